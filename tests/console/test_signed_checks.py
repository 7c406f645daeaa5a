"""`check` on signed URLs: the signed one must be served and the same one without its signature refused."""

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import pytest

from userimages import ImageService
from userimages.model import Check
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.by_type import ByType
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage

KEY, OTHER = "a-key-of-at-least-32-characters-1234", "another-key-of-at-least-32-characters"


class SignedMemory(MemoryStorage):
    """Objects in memory whose URLs are signed, as those of a bucket behind a WAF rule are."""

    def __init__(self, url: str, signer: UrlSigner) -> None:
        super().__init__(public_url=url)
        self.signer = signer

    def url(self, key: str) -> str:
        return self.signer.signed(str(super().url(key)), now=datetime.now(UTC))


@attrs.define
class Domain:
    """A domain whose rule is a function of path and token; it tells which status it answers."""

    storage: SignedMemory
    rule: Callable[[str, str], int]

    def judge(self, path: str, token: str) -> int:
        return 200 if self.storage.signer.seconds_left(path, token, now=datetime.now(UTC)) else 403


@pytest.fixture
def domain() -> Iterator[Domain]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status = domain.rule(parts.path, parts.query.removeprefix("verify="))
            with domain.storage.open(unquote(parts.path.lstrip("/"))) as stream:
                body = stream.read() if status == 200 else b""
            self.send_response(status)
            headers = {"Content-Type": "image/webp", "Cache-Control": "max-age=1", "Content-Length": str(len(body))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    domain = Domain(SignedMemory(f"http://127.0.0.1:{server.server_port}", UrlSigner([KEY, OTHER])), lambda *_: 200)
    domain.rule = domain.judge
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield domain
    server.shutdown()
    thread.join()
    server.server_close()


def checked(storage: Any) -> dict[str, Check]:
    report = ImageService(storage, MemoryRepository()).check()
    assert not [secret for secret in (KEY, OTHER, "verify=", "X-Amz-Signature") if secret in repr(report)]
    return {line.name: line for line in report.checks}


def test_a_domain_that_checks_is_well(domain: Domain) -> None:
    """The signed URL is served, and the unsigned one is not."""
    lines = checked(domain.storage)

    assert (lines["signed URL"].ok, lines["signed URL"].hint) == (True, "")
    assert (lines["unsigned URL"].ok, lines["unsigned URL"].hint) == (True, "")
    assert "403" in lines["unsigned URL"].detail
    assert "public domain" not in lines


def test_a_domain_that_does_not_check_gets_its_rule(domain: Domain) -> None:
    """The rule is printed, for this host and lifetime and with a place for each key."""
    domain.rule = lambda path, token: 200
    line = checked(domain.storage)["unsigned URL"]

    host = urlsplit(domain.storage.url("")).netloc
    rule = domain.storage.signer.waf_rule(host)
    assert '"KEY 2"' in rule
    assert line == Check(
        "unsigned URL",
        ok=False,
        detail=f"{host} serves images to anybody, because it does not check signatures.",
        hint="Add a custom rule to the WAF of the domain, with the action Block and this expression, in which KEY 1 is "
        f"the first key of USERIMAGES_SIGNING_KEYS:\n{rule}\n"
        "It needs the Pro plan. Close the bucket's r2.dev address, because no rule applies there.",
    )


def test_a_rule_with_other_keys_is_found_out(domain: Domain) -> None:
    """Then the signed URL is refused; the hint says where to look."""
    domain.rule = lambda path, token: 403
    lines = checked(domain.storage)

    assert not lines["signed URL"].ok
    assert "USERIMAGES_SIGNING_KEYS" in lines["signed URL"].hint
    assert lines["unsigned URL"].ok


def test_a_failing_domain_is_not_taken_for_a_refusal(domain: Domain) -> None:
    """A 500 for the unsigned URL tells nothing about the rule."""
    domain.rule = lambda path, token: 200 if token else 500
    lines = checked(domain.storage)
    host = urlsplit(domain.storage.url("")).netloc

    assert lines["signed URL"].ok
    detail = f"{host} answers 500 to a URL without a signature."
    assert lines["unsigned URL"] == Check("unsigned URL", ok=False, detail=detail, hint="Try again.")


def test_any_answer_of_a_refusal_is_one(domain: Domain) -> None:
    """A 400 says as well as a 403 that the domain checks."""
    domain.rule = lambda path, token: 200 if token else 400
    host = urlsplit(domain.storage.url("")).netloc

    assert checked(domain.storage)["unsigned URL"] == Check(
        "unsigned URL", ok=True, detail=f"{host} refuses a URL without a signature (400)."
    )


class Anybody(MemoryStorage):
    """Objects whose URLs carry a query that nobody checks, as of a bucket that is public by mistake."""

    def url(self, key: str) -> str:
        return f"{super().url(key)}?X-Amz-Expires=60"


def test_a_public_bucket_is_to_be_closed(domain: Domain) -> None:
    """Without a signer it is the bucket that is open, not the domain that checks too little."""
    domain.rule = lambda path, token: 200
    host = urlsplit(domain.storage.url("")).netloc
    domain.storage = Anybody(public_url=f"http://{host}")
    line = checked(domain.storage)["unsigned URL"]

    detail = f"{host} serves images to anybody, because it does not check signatures."
    assert line == Check("unsigned URL", ok=False, detail=detail, hint="Close the public access of the bucket.")


def test_a_domain_that_is_away_is_told() -> None:
    """Both lines say that nobody answers."""
    lines = checked(SignedMemory("http://127.0.0.1:9", UrlSigner([KEY])))

    detail = "127.0.0.1:9 does not answer (URLError)."
    assert lines["unsigned URL"] == Check("unsigned URL", ok=False, detail=detail, hint="Try again.")


def test_a_domain_that_never_answers_ends_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: a check has patience, but not without end."""
    monkeypatch.setattr("userimages.lifecycle.check._PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        lines = checked(SignedMemory(f"http://127.0.0.1:{port}", UrlSigner([KEY])))

    assert lines["signed URL"].detail == "127.0.0.1 does not answer (TimeoutError)."
    assert lines["unsigned URL"].detail == f"127.0.0.1:{port} does not answer (TimeoutError)."


def test_each_storage_of_a_composite_is_checked(domain: Domain) -> None:
    """A public one and a signed one have lines of their own."""
    domain.rule = lambda path, token: 200
    report = ImageService(ByType({"profile": MemoryStorage(), "gallery": domain.storage}), MemoryRepository()).check()
    names = [line.name for line in report.checks]

    assert (names.count("write"), names.count("public domain"), names.count("unsigned URL")) == (2, 1, 1)
    assert [line.name for line in report.checks if not line.ok] == ["unsigned URL"]


def test_presigned_urls_of_a_private_bucket_are_well(seaweedfs: Any) -> None:
    """A real S3 server serves the presigned URL and refuses the bare one."""
    storage = R2Storage.from_env(seaweedfs.environ() | {"R2_SIGNED_URLS": "3600"})
    lines = checked(storage)

    assert lines["signed URL"].ok, lines
    assert lines["unsigned URL"].ok, lines


def test_a_clock_that_is_hours_wrong_is_found_out(seaweedfs: Any) -> None:
    """Its presigned URLs have already ended, and the line says to check the clock."""
    late = R2Storage.from_env(seaweedfs.environ() | {"R2_SIGNED_URLS": "3600"})
    late = attrs.evolve(late, clock=lambda: datetime.now(UTC) - timedelta(hours=3))
    line = checked(late)["signed URL"]

    assert not line.ok
    assert "clock" in line.hint
