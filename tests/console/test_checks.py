"""`check` tries the parts for real, and each line says what to do."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.reliability import rig

from userimages import ImageService, RepositoryError, StorageError, StorageUnavailableError
from userimages.caching import CachingRepository
from userimages.ids import new_id
from userimages.lifecycle.check import check
from userimages.model import Check, CheckReport, Intent
from userimages.processing import PillowProcessor
from userimages.repositories.memory import MemoryRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import faults
from userimages.testing.faults import before, faulty


def checked(storage: Any, repository: Any = None, clock: Any = None) -> dict[str, Check]:
    images = ImageService(
        storage, repository or MemoryRepository(), processor=rig.instant_processor, clock=clock or rig.Clock()
    )
    return {line.name: line for line in images.check().checks}


class Domain:
    """A public domain in front of a storage, with what a test makes of its answers."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.status = 200
        self.headers = {"Content-Type": "image/webp", "Cache-Control": "public, max-age=31536000, immutable"}
        self.body: bytes | None = None
        self.asked: list[Any] = []
        domain = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                domain.asked.append(self.headers)
                with domain.storage.open(unquote(self.path.lstrip("/"))) as stream:
                    body = domain.body or stream.read()
                self.send_response(domain.status)
                for name, value in (domain.headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.storage = MemoryStorage(public_url=f"http://127.0.0.1:{self.server.server_port}")


@pytest.fixture
def domain() -> Iterator[Domain]:
    domain = Domain()
    thread = threading.Thread(target=partial(domain.server.serve_forever, poll_interval=0.01))
    thread.start()
    yield domain
    domain.server.shutdown()
    thread.join()
    domain.server.server_close()


@pytest.mark.contract("C12")
def test_a_round_trip_tells_that_all_is_well(place: rig.Place, clock: rig.Clock) -> None:
    """A round trip tells that all is well, and leaves nothing."""
    report = place.service(clock).check()
    assert report.ok, report
    names = [line.name for line in report.checks]
    assert names[-4:] == ["database", "schema", "transactions", "work in hand"]
    assert {"write", "create-only", "read", "clock", "public domain", "delete"} < set(names)
    details = {line.name: line.detail for line in report.checks}
    assert (details["write"], details["read"]) == (
        "A probe object was written.",
        "It was read back, whole and in part.",
    )
    assert details["create-only"] == "Other bytes under the same key were refused."
    assert details["public domain"] == "None: images are served by the application's own route."
    assert (details["delete"], details["database"]) == ("It was deleted.", "SQLAlchemyRepository answers.")
    assert (details["schema"], details["transactions"]) == ("Complete.", "A probe intent was begun and finished.")
    assert details["work in hand"] == "0 intents, none is overdue."
    assert list(place.storage.list("userimages-probe/")) == []
    rig.check_nothing_left(place.service(clock), [], root=place.root)


@pytest.mark.contract("C12")
def test_no_line_holds_a_secret(seaweedfs: Any) -> None:
    """No line holds a secret."""
    from userimages.storages.r2 import R2Storage

    environ = seaweedfs.environ() | {"R2_SECRET_ACCESS_KEY": "wrong-and-secret"}
    report = CheckReport(tuple(checked(R2Storage.from_env(environ)).values()))
    assert not report.ok
    assert "wrong-and-secret" not in repr(report)
    assert seaweedfs.access_key not in repr(report)


def test_wrong_credentials_are_told_from_silence(seaweedfs: Any) -> None:
    """Wrong credentials are told from a store that is away."""
    from userimages.storages.r2 import R2Storage

    lines = checked(R2Storage.from_env(seaweedfs.environ() | {"R2_SECRET_ACCESS_KEY": "wrong"}))
    assert lines["endpoint"].ok
    assert not lines["bucket"].ok
    assert "R2_SECRET_ACCESS_KEY" in lines["bucket"].hint
    lines = checked(R2Storage.from_env(seaweedfs.environ() | {"R2_ENDPOINT_URL": "http://127.0.0.1:9"}))
    assert not lines["endpoint"].ok
    assert "bucket" not in lines
    assert "R2_ENDPOINT_URL" in lines["endpoint"].hint


def test_a_wrong_bucket_is_named(seaweedfs: Any) -> None:
    """A wrong bucket is named."""
    from userimages.storages.r2 import R2Storage

    line = checked(R2Storage.from_env(seaweedfs.environ() | {"R2_BUCKET_NAME": "no-such-bucket"}))["bucket"]
    assert not line.ok
    assert "R2_BUCKET_NAME" in line.hint


def test_an_endpoint_never_asked_is_not_said_to_answer(seaweedfs: Any) -> None:
    """An endpoint that was never asked is not said to answer."""
    from userimages.storages.r2 import R2Storage

    unsent = checked(R2Storage.from_env(seaweedfs.environ() | {"R2_BUCKET_NAME": "no/bucket"}))
    assert "endpoint" not in unsent
    assert "R2_BUCKET_NAME" in unsent["bucket"].hint
    wrong = checked(R2Storage.from_env(seaweedfs.environ() | {"R2_ENDPOINT_URL": "ftp://127.0.0.1"}))
    assert not wrong["endpoint"].ok


@pytest.mark.parametrize(
    ("method", "name"), [("put", "write"), ("open", "read"), ("list", "storage"), ("delete", "delete")]
)
def test_what_the_store_refuses_is_the_line_that_fails(method: str, name: str) -> None:
    """What the store refuses is the line that fails."""
    lines = checked(faulty(MemoryStorage(), **{method: before(StorageError("Refused.", hint="Grant it."))}))
    assert lines[name] == Check(name, ok=False, detail="Refused.", hint="Grant it.")
    assert lines["database"].ok


def test_a_foreign_error_is_named_by_its_class_alone() -> None:
    """A foreign error is named by its class alone."""
    line = checked(faulty(MemoryStorage(), list=before(OSError("secret"))))["storage"]
    detail, hint = "It raised OSError.", "Check the log of the backend."
    assert line == Check("storage", ok=False, detail=detail, hint=hint)


def test_a_store_that_overwrites_is_found_out() -> None:
    """A store that overwrites is found out."""

    class Overwriting(MemoryStorage):
        def put(self, key: str, data: bytes, *, mime_type: str) -> None:
            self.delete([key])
            super().put(key, data, mime_type=mime_type)

    detail = "The store overwrote an object that it was told not to."
    hint = "Use a store that knows If-None-Match."
    assert checked(Overwriting())["create-only"] == Check("create-only", ok=False, detail=detail, hint=hint)


def test_a_store_that_deletes_nothing_is_found_out() -> None:
    """A store that keeps what was deleted is found out."""
    line = checked(faulty(MemoryStorage(), delete=lambda call: None))["delete"]
    detail, hint = "The object is still there after its deletion.", "Check the lock rules of the bucket."
    assert line == Check("delete", ok=False, detail=detail, hint=hint)


def test_probes_of_killed_checks_go_once_they_are_old() -> None:
    """Probes of killed checks go once they are old."""
    storage = MemoryStorage()
    for age, key in (
        (61, "userimages-probe/old"),
        (59, "userimages-probe/of-another-check"),
        (61, "users/not-a-probe"),
    ):
        storage._objects[key] = (b"x", rig.Clock()() - timedelta(minutes=age))
    assert checked(storage)["delete"].ok
    assert [found.key for found in storage.list()] == ["userimages-probe/of-another-check", "users/not-a-probe"]


def test_wrong_bytes_are_found_out() -> None:
    """Wrong bytes are found out."""
    detail, hint = "The store gave other bytes than it was given.", "Check the proxies in between."
    for plan in ([faults.wrong_bytes, None, None], [None, faults.wrong_bytes, None]):  # the whole, and a part
        line = checked(faulty(MemoryStorage(), open=plan))["read"]
        assert line == Check("read", ok=False, detail=detail, hint=hint)


def test_a_listing_that_is_late_is_found_out() -> None:
    """An audit would take what was just written for missing."""
    line = checked(faulty(MemoryStorage(), list=lambda call: iter(())))["clock"]
    detail, hint = "The listing lacks what was just written.", "Use a store whose listing is up to date."
    assert line == Check("clock", ok=False, detail=detail, hint=hint)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_wrong_clock_is_found_out(minutes: int) -> None:
    """A wrong clock is found out."""
    clock = rig.Clock()
    clock.now += timedelta(minutes=minutes)
    line = checked(MemoryStorage(), clock=clock)["clock"]
    assert not line.ok
    assert "360 s" in line.detail or "359 s" in line.detail
    assert line.hint == "Set it by NTP: the sweep allows for 5 minutes between machines."


def test_a_public_domain_that_serves_objects_is_well(domain: Domain) -> None:
    """A public domain that serves what was written is well."""
    cached = "'Cache-Control: public, max-age=31536000, immutable'"
    detail = f"127.0.0.1 serves what was written, with its type and {cached}."
    assert checked(domain.storage)["public domain"] == Check("public domain", ok=True, detail=detail)
    assert {(each["User-Agent"], each["Accept"]) for each in domain.asked} == {("userimages-check", "*/*")}


@pytest.mark.parametrize(
    ("change", "detail", "hint"),
    [
        (
            {"status": 404},
            "127.0.0.1 answers 404 for what was just written.",
            "Check that it is connected to this bucket, active, and open to the public.",
        ),
        (
            {"body": b"another bucket"},
            "127.0.0.1 serves other bytes.",
            "Check that it is connected to this bucket.",
        ),
        (
            {"headers": {"Content-Type": "text/plain", "Cache-Control": "max-age=60"}},
            "127.0.0.1 serves text/plain in place of image/webp.",
            "Check for a rule that changes headers; on a web server, map the extensions to their types.",
        ),
        (
            {"headers": {"Content-Type": "image/webp"}},
            "127.0.0.1 serves without Cache-Control.",
            "Let it send 'Cache-Control: public, max-age=31536000, immutable': keys never repeat.",
        ),
    ],
)
def test_what_a_public_domain_serves_is_judged(domain: Domain, change: dict[str, Any], detail: str, hint: str) -> None:
    """The line says what was served, and what to check."""
    vars(domain).update(change)
    assert checked(domain.storage)["public domain"] == Check("public domain", ok=False, detail=detail, hint=hint)


def test_a_public_domain_that_is_away_is_told() -> None:
    """A public domain that is away is told."""
    line = checked(MemoryStorage(public_url="http://127.0.0.1:9"))["public domain"]
    detail = "127.0.0.1 does not answer (URLError)."
    assert line == Check("public domain", ok=False, detail=detail, hint="Check R2_PUBLIC_DOMAIN, DNS and TLS.")


def test_r2_dev_works_and_is_warned_about(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """R2 dev works and is warned about."""
    port = domain.server.server_port
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies that it began with
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    shown = MemoryStorage(public_url="http://pub-0.r2.dev")
    domain.storage = _BehindProxy(shown)
    line = checked(shown)["public domain"]
    assert line == Check(
        "public domain",
        ok=True,
        detail="It serves what was written, but r2.dev is limited in rate and meant for development.",
        hint="Connect a domain of your own to the bucket and set R2_PUBLIC_DOMAIN to it.",
    )


class _BehindProxy:
    """What a proxy is asked for is a whole URL."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage

    def open(self, url: str) -> Any:
        return self.storage.open(url.removeprefix("http://pub-0.r2.dev/"))


def test_without_a_database_the_store_is_checked_too() -> None:
    """A database that is away is told, and the store is checked all the same."""
    lines = checked(MemoryStorage(), faulty(MemoryRepository(), get=before(RepositoryError("Away.", hint="Start it."))))
    assert lines["database"] == Check("database", ok=False, detail="Away.", hint="Start it.")
    assert "schema" not in lines
    assert lines["delete"].ok


@pytest.mark.parametrize("cached", [False, True])
def test_a_missing_schema_is_printed_as_ddl(own_database: str, cached: bool) -> None:
    """A missing schema is printed as DDL."""
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    repository = SQLAlchemyRepository(own_database)
    line = checked(MemoryStorage(), CachingRepository(repository, _NoCache()) if cached else repository)["schema"]
    parts = len(repository.missing_schema())
    assert (line.ok, line.detail) == (False, f"{parts} parts of the schema are missing.")
    assert line.hint.startswith("Call create_schema(), or run:\nCREATE TABLE")
    assert "CREATE TABLE userimages_images" in line.hint
    assert len(re.findall(r";$", line.hint, re.MULTILINE)) == parts
    repository.create_schema()
    assert checked(MemoryStorage(), repository)["schema"].ok
    repository.close()


class _NoCache:
    def get(self, key: str, /) -> None:
        return None

    def set(self, key: str, value: object, timeout: int, /) -> None:
        return None


def test_a_database_that_takes_no_writes_is_found_out() -> None:
    """A database that takes no writes is found out."""
    repository = faulty(MemoryRepository(), begin_upload=before(RepositoryError("Read-only.", hint="Grant it.")))
    line = checked(MemoryStorage(), repository)["transactions"]
    assert line == Check("transactions", ok=False, detail="Read-only.", hint="Grant it.")


def test_a_schema_that_differs_is_told() -> None:
    """Each difference is a line, and the last one says what to do."""
    repository = MemoryRepository()
    repository.schema_differences = lambda: ("One.", "Two.")  # type: ignore[attr-defined]
    line = checked(MemoryStorage(), repository)["schema"]
    detail = "The schema differs from what this release makes."
    assert line == Check("schema", ok=False, detail=detail, hint="One.\nTwo.\nChange it by hand.")


def test_work_that_is_overdue_is_counted() -> None:
    """Page by page, with the age of the oldest."""
    repository, clock = MemoryRepository(), rig.Clock()
    for days in (0, 1, 2, 3):
        due = clock() - timedelta(days=days)
        intent = Intent(id=new_id(due), user="ana", object_keys=("x",), lease_until=due)
        repository.begin_upload(intent, now=due)
    one_by_one = faulty(repository, list_intents=lambda call: repository.list_intents(**{**call.kwargs, "limit": 1}))
    report = check(MemoryStorage(), one_by_one, now=clock())
    assert (report.overdue, report.oldest) == (2, clock() - timedelta(days=3))
    line = report.checks[-1]
    detail = "2 of 4 intents are overdue, the oldest by 3 days."
    hint = "Run `userimages sweep` every minute. If it runs, its log says why they fail."
    assert line == Check("work in hand", ok=False, detail=detail, hint=hint)


class Bucket(MemoryStorage):
    """Objects in memory that say that they lie behind an endpoint."""

    bucket_name = "pictures"

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.endpoint = endpoint


class DeniedError(StorageError):
    """An error that the endpoint itself answered."""

    status = 403


REACHED = Check("endpoint", ok=True, detail="store.example:9000 answers.")
NO_URL = Check("endpoint", ok=False, detail="Not an http(s) URL.", hint="Check R2_ENDPOINT_URL.")


@pytest.mark.parametrize(
    ("endpoint", "error", "lines"),
    [
        ("http://store.example:9000", None, [REACHED, Check("bucket", ok=True, detail="pictures can be listed.")]),
        ("https://store.example", None, [Check("endpoint", ok=True, detail="store.example answers.")]),
        ("ftp://store.example", None, [NO_URL]),
        ("http://store.example:99999", None, [NO_URL]),
        ("http://store.example:9000", StorageUnavailableError("Away."), [Check("endpoint", ok=False, detail="Away.")]),
        ("", StorageUnavailableError("Away."), [Check("storage", ok=False, detail="Away.")]),
        ("http://store.example:9000", StorageError("No."), [Check("bucket", ok=False, detail="No.")]),
        ("http://store.example:9000", DeniedError("No."), [REACHED, Check("bucket", ok=False, detail="No.")]),
    ],
)
def test_an_endpoint_answers_or_not(endpoint: str, error: Exception | None, lines: list[Check]) -> None:
    """A bad URL, silence, a refusal and an error of our own are told apart, and then nothing else is tried."""
    storage = Bucket(endpoint)
    storage = faulty(storage, list=before(error)) if error else storage
    report = check(storage, None, now=rig.Clock()())

    assert [line for line in report.checks if line.name in {"endpoint", "bucket", "storage"}][: len(lines)] == lines
    assert ("write" in {line.name for line in report.checks}) == (error is None and lines != [NO_URL])


def test_one_of_the_two_is_checked_alone() -> None:
    """A service without a database, or without a store, is tried as far as it goes."""
    store = [line.name for line in check(MemoryStorage(), None, now=rig.Clock()()).checks]
    database = [line.name for line in check(None, MemoryRepository(), now=rig.Clock()()).checks]
    assert store == ["storage", "write", "create-only", "read", "clock", "public domain", "delete"]
    assert database == ["database", "schema", "transactions", "work in hand"]


def test_a_folder_that_can_be_listed_is_named(tmp_path: Path) -> None:
    """The line of a storage on disk says where the objects are."""
    line = check(DiskStorage(tmp_path), None, now=rig.Clock()()).checks[0]
    assert line == Check("storage", ok=True, detail=f"{tmp_path} can be listed.")


def test_what_shrinks_images_is_told() -> None:
    """The processor names it, and the line is the last one."""
    processor = PillowProcessor()
    line = check(None, MemoryRepository(), processor, now=rig.Clock()()).checks[-1]
    assert line == Check("resizer", ok=True, detail=f"Images are shrunk by {processor.resizer}.")


def test_what_a_schema_lacks_can_be_pasted() -> None:
    """Each statement ends with one semicolon, on a line of its own."""
    repository = MemoryRepository()
    repository.missing_schema = lambda: ("\nCREATE TABLE a (b);\n", "CREATE INDEX X")  # type: ignore[attr-defined]
    line = checked(MemoryStorage(), repository)["schema"]
    hint = "Call create_schema(), or run:\nCREATE TABLE a (b);\nCREATE INDEX X;"
    assert line == Check("schema", ok=False, detail="2 parts of the schema are missing.", hint=hint)


def test_the_probe_intent_names_nothing() -> None:
    """If the process dies, the sweep finds an intent of the check that is due, with no object to delete."""
    seen, clock = [], rig.Clock()

    def begin(call: faults.Call) -> None:
        seen.append((call.args[0], call.kwargs["now"]))
        call.do()

    repository = faulty(MemoryRepository(), begin_upload=begin)
    assert checked(MemoryStorage(), repository, clock)["transactions"].ok
    ((intent, now),) = seen
    assert (intent.user, intent.object_keys, intent.lease_until, now) == ("userimages-probe", (), clock(), clock())
    assert repository.list_intents() == ()
