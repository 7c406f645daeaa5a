"""R2Storage on moto, on SeaweedFS and on a store that follows a script, each under the wire check."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from userimages.storages.r2 import R2Storage
from userimages.testing.wire_check import WireCheck, check_wire

Checked = tuple[R2Storage, WireCheck]

MOTO_ENVIRON = {
    "R2_ACCOUNT_ID": "0123456789abcdef0123456789abcdef",
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "hush-hush",
    "R2_BUCKET_NAME": "userimages",
    "R2_JURISDICTION": "eu",
    "R2_PUBLIC_DOMAIN": "img.example.com",
}


@pytest.fixture
def moto(_moto_client: Checked, _aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let moto answer at R2's own address, in this process, with one empty bucket ``userimages``."""
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", R2Storage.from_env(MOTO_ENVIRON).endpoint)
    from moto import mock_aws

    with mock_aws():
        _aws.create_bucket(Bucket="userimages")
        yield


@pytest.fixture(scope="session")
def _aws(_moto_client: Checked) -> Any:
    """Return a client that moto answers and nothing checks."""
    import boto3

    return boto3.client("s3", region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="secret")


@pytest.fixture
def r2_moto(moto: None, _moto_client: Checked) -> Iterator[R2Storage]:
    yield from let_through(_moto_client)


@pytest.fixture
def r2_seaweedfs(seaweedfs, _seaweedfs_client: Checked) -> Iterator[R2Storage]:
    yield from let_through(_seaweedfs_client)


@pytest.fixture(scope="session")
def _moto_client() -> Checked:
    if not os.environ.get("CI"):
        pytest.importorskip("moto")
    import moto.core.models  # registers itself at clients that are created later

    # moto stores an object before its metadata, and a request in between would see a half. So it answers one at a time.
    stubber, turn = moto.core.models.BotocoreStubber, threading.Lock()
    answer = stubber.process_request

    def answer_alone(self: object, request: object) -> object:
        with turn:
            return answer(self, request)

    stubber.process_request = answer_alone
    return checked(R2Storage.from_env(MOTO_ENVIRON))


@pytest.fixture(scope="session")
def _seaweedfs_client(s3_server) -> Checked:
    return checked(R2Storage.from_env(s3_server.environ()))


@attrs.frozen
class Answer:
    """What the scripted store answers. *cut* closes the connection after that many bytes (-1: before any)."""

    status: int = 200
    code: str = ""
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)
    cut: int | None = None


@attrs.define
class ScriptedStore:
    """A store on this machine that gives the answers of a script, one for each request, and records the requests."""

    answers: list[Answer] = attrs.field(factory=list)
    requests: list[SimpleNamespace] = attrs.field(factory=list)
    checked: Checked = attrs.field(init=False)

    @property
    def storage(self) -> R2Storage:
        return self.checked[0]


@pytest.fixture
def scripted(_scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedStore]:
    """Return a store with an empty script. Its R2Storage does not wait between tries."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0))
    _scripted.answers.clear()
    _scripted.requests.clear()
    for _ in let_through(_scripted.checked):
        yield _scripted


@pytest.fixture(scope="session")
def _scripted() -> Iterator[ScriptedStore]:
    store = ScriptedStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            store.requests.append(SimpleNamespace(method=self.command, path=self.path, headers=self.headers, body=body))
            answer = store.answers.pop(0)
            if answer.cut == -1:
                self.close_connection = True
                return
            body = f"<Error><Code>{answer.code}</Code></Error>".encode() if answer.code else answer.body
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: answer.cut])
            self.close_connection = answer.cut is not None

        do_GET = do_HEAD = do_POST = do_PUT  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    store.checked = checked(R2Storage.from_env(MOTO_ENVIRON | {"R2_ENDPOINT_URL": endpoint}))
    try:
        yield store
    finally:
        store.storage.client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def checked(storage: R2Storage) -> Checked:
    """Put the wire check before a storage."""
    return storage, check_wire(storage.client)


def let_through(checked: Checked) -> Iterator[R2Storage]:
    """Yield the storage, and check afterwards that the wire check has refused nothing."""
    storage, check = checked
    yield storage
    assert check.refused == []


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "R2_"))]:
        monkeypatch.delenv(name)
