"""SQLAlchemyRepository beside an application: its engine, its foreign keys, its forks."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, StaticPool, event, literal, select, text

from userimages.errors import ConfigurationError, ConflictError, RepositoryError
from userimages.model import PublishResult
from userimages.repositories import database
from userimages.repositories import postgresql as dialect
from userimages.repositories.database import open_engine
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.repositories.tables import images
from userimages.testing.records import (
    LEASE,
    NOW,
    at_once,
    begin_upload,
    claim_expired_of,
    delete_one,
    ids,
    new_image,
    new_user,
    publish,
)
from userimages.testing.repository_contract import RepositoryContract

EngineOf = Callable[..., Engine]


def given(url: str, engine_of: EngineOf, **options: object) -> tuple[Engine, SQLAlchemyRepository]:
    """Return an application's engine and a repository on it."""
    address = url.replace("postgresql://", "postgresql+psycopg://")
    engine = engine_of(address, **options)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    return engine, repository


# statements


@pytest.mark.contract("C8")
@pytest.mark.cost
def test_a_page_is_one_statement_and_one_round_trip(url: str, engine_of: EngineOf) -> None:
    """A page is one statement and one round trip."""
    engine, repository = given(url, engine_of)
    user = new_user()
    images = [publish(repository, new_image(user), is_primary=True) for _ in range(5)]
    executed = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))
    assert len(repository.list(user, limit=3)) == 3
    assert len(repository.primaries([user, new_user()])) == 1
    assert len(repository.list_by_key(after=images[0].key[:-1], limit=9)) >= 1
    assert repository.get(images[0].id)
    assert len(executed) == 4, executed


@pytest.mark.cost
def test_publishing_as_primary_is_one_statement(postgresql: str, engine_of: EngineOf) -> None:
    """On PostgreSQL publishing as primary is one statement."""
    engine, repository = given(postgresql, engine_of)
    first = new_image(new_user())
    intent = begin_upload(repository, first, id=first.id)
    executed = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))
    assert repository.publish(intent, first, is_primary=True, replace=False)
    assert [each.split()[0] for each in executed] == ["SET", "WITH"]


def test_columns_may_be_null_in_an_outer_join(url: str, engine_of: EngineOf) -> None:
    """Columns of the library may be null in statements of the application."""
    engine, _ = given(url, engine_of)
    one = select(literal(1).label("one")).subquery()
    columns = select(images.c.id, images.c.uploaded_at, images.c.image_type)
    with engine.connect() as connection:
        found = connection.execute(columns.select_from(one.outerjoin(images, images.c.user == "nobody"))).one()
    assert found == (None, None, None)


def test_a_missing_image_costs_what_a_foreign_one_does(url: str, engine_of: EngineOf) -> None:
    """A missing image and another user's cost the same statements."""
    engine, repository = given(url, engine_of)
    image = publish(repository, new_image(new_user()))
    executed: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))
    counts = set()
    for id in (image.id, new_image("x").id):
        for call in (repository.get, repository.set_primary, partial(delete_one, repository)):
            executed.clear()
            assert call(id, user="somebody else") is None
            counts.add(tuple(executed))
    assert len(counts) == 3


@pytest.mark.parametrize("further", [False, True])
@pytest.mark.contract("C6")
def test_a_page_comes_from_the_index_in_its_order(url: str, engine_of: EngineOf, further: bool) -> None:
    """A page comes from the index in its order."""
    engine, repository = given(url, engine_of)
    user = new_user()
    images = [publish(repository, new_image(user)) for _ in range(20)]
    statements: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2:4]))
    repository.list(user, limit=5, after=(NOW, images[0].id) if further else None)
    (statement, parameters) = statements.pop()
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))
            connection.execute(text("SET enable_bitmapscan = off"))
        explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))
    assert "userimages_images_newest" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    if further and engine.dialect.name == "postgresql":
        assert "ROW(uploaded_at, id) <" in plan.partition("Index Cond")[2]


@pytest.mark.contract("C4")
def test_the_schema_allows_one_primary(url: str, engine_of: EngineOf) -> None:
    """The schema allows one primary."""
    engine, repository = given(url, engine_of)
    image = publish(repository, new_image(new_user()), is_primary=True)
    other = publish(repository, new_image(image.user))
    spelt = other.id.hex if engine.dialect.name == "sqlite" else str(other.id)
    with engine.connect() as connection, pytest.raises(Exception, match=r"(?i)unique"):
        connection.execute(
            text('INSERT INTO userimages_primaries ("user", image_id) VALUES (:user, :id)'),
            {"user": image.user, "id": spelt},
        )


# a foreign key of the application's own


@pytest.mark.parametrize("rule", ["", "ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_foreign_key_refuses_before_any_change(
    repository: SQLAlchemyRepository, url: str, engine_of: EngineOf, rule: str
) -> None:
    """A foreign key of the application refuses before anything is changed."""
    engine = engine_of(url.replace("postgresql://", "postgresql+psycopg://"))
    image = publish(repository, new_image(new_user()), is_primary=True)
    sqlite = engine.dialect.name == "sqlite"
    kind, spelt = ("CHAR(32)", image.id.hex) if sqlite else ("UUID", str(image.id))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE pins (image {kind} REFERENCES userimages_images (id) {rule})"))
        connection.execute(text("INSERT INTO pins VALUES (:id)"), {"id": spelt})
    with pytest.raises(ConflictError, match="application still refers"):
        delete_one(repository, image.id)
    newer = new_image(image.user)
    intent = begin_upload(repository, newer)
    with pytest.raises(ConflictError, match="application still refers"):
        repository.publish(intent, newer, is_primary=True, replace=True)
    assert repository.list(image.user, limit=9) == (image,)
    assert claim_expired_of(repository, image.user, NOW + LEASE) == [intent]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM pins"))
    assert delete_one(repository, image.id)


def test_an_uncommitted_row_is_waited_for_a_while(
    repository: SQLAlchemyRepository, url: str, engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of the caller that is not committed yet is not waited for without end."""
    if url.startswith("sqlite"):
        pytest.skip("SQLite has a busy time-out of its own")
    for module in (database, dialect):  # how long work is begun again, and how long a lock is waited for
        monkeypatch.setattr(module, "PATIENCE", 0.2)
    image = publish(repository, new_image(new_user()))
    engine = engine_of(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE pins (image UUID REFERENCES userimages_images (id))"))
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO pins VALUES (:id)"), {"id": str(image.id)})
        with pytest.raises(RepositoryError, match="busy"):
            delete_one(repository, image.id)
    assert repository.get(image.id) == image
    newer = new_image(image.user)
    intent = begin_upload(repository, newer)
    repository.set_primary(image.id)
    with engine.connect() as connection:
        connection.execute(text("UPDATE userimages_primaries SET image_id = image_id"))
        for replace in (False, True):
            with pytest.raises(RepositoryError, match="busy"):
                repository.publish(intent, newer, is_primary=True, replace=replace)
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE userimages_images IN SHARE MODE"))
        with pytest.raises(RepositoryError, match="busy"):
            repository.publish(intent, newer, is_primary=True, replace=False)
    assert repository.publish(intent, newer, is_primary=True, replace=True)


# an engine of the application's own


@pytest.mark.parametrize(
    "options",
    [{}, {"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "SERIALIZABLE"}],
    ids=lambda options: str(options.get("isolation_level", "default")),
)
def test_a_given_engine_keeps_its_ways_and_ours_hold(url: str, engine_of: EngineOf, options: dict[str, object]) -> None:
    """A given engine keeps its ways and ours hold."""
    engine, repository = given(url, engine_of, **options)
    with engine.connect() as connection:
        before = _ways(connection)
    image = publish(repository, new_image(new_user()), is_primary=True, idempotency_key="k")
    other = publish(repository, new_image(image.user))
    with pytest.raises(ConflictError):  # the insert of the intent is undone with the rest
        repository.publish(begin_upload(repository, other), other, is_primary=True, replace=True)
    assert ids(repository.primaries([image.user])) == [image.id]
    assert delete_one(repository, image.id)
    assert not repository.primaries([image.user])
    with engine.connect() as connection:
        assert _ways(connection) == before
        assert connection.execute(text("SELECT count(*) FROM userimages_primaries")).scalar() == 0


def _ways(connection: Any) -> list[Any]:
    if connection.dialect.name == "postgresql":
        return [connection.get_isolation_level(), connection.connection.dbapi_connection.autocommit]
    pragmas = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
    return [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]


class TestSQLiteWhereTheApplicationBegins(RepositoryContract):
    """The recipe of SQLAlchemy's own documentation: pysqlite's transactions off, BEGIN by a listener."""

    @pytest.fixture
    def repository(self, tmp_path: Path, engine_of: EngineOf) -> SQLAlchemyRepository:
        engine = engine_of(f"sqlite:///{tmp_path}/app.db", connect_args={"timeout": 30})
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        repository = SQLAlchemyRepository(engine)
        repository.create_schema()
        return repository


def test_an_engine_of_our_own_is_durable_and_waits(tmp_path: Path, postgresql: str) -> None:
    """An engine of our own is durable and waits."""
    engine = open_engine(f"sqlite:///{tmp_path}/images.db")
    with engine.connect() as connection:
        assert _ways(connection) == ["wal", 1, 2, 30_000]
    engine.dispose()
    for url in (postgresql, postgresql.replace("postgresql://", "postgres://")):
        engine = open_engine(url)
        with engine.connect() as connection:
            assert connection.connection.driver_connection.prepare_threshold is None
        engine.dispose()


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    """A database in memory is one for all threads."""
    repository = SQLAlchemyRepository("sqlite://")
    repository.create_schema()
    image = publish(repository, new_image(new_user()))
    found = []
    thread = threading.Thread(target=lambda: found.append(repository.get(image.id)))
    thread.start()
    thread.join()
    assert found == [image]
    repository.close()


def test_a_static_pool_in_memory_works_for_tests(engine_of: EngineOf) -> None:
    """A static pool in memory will do for tests."""
    _, repository = given("sqlite://", engine_of, poolclass=StaticPool)
    image = publish(repository, new_image(new_user()), is_primary=True)
    assert delete_one(repository, image.id)


def test_repositories_of_one_memory_take_turns(engine_of: EngineOf) -> None:
    """All repositories of one database in memory take turns."""
    engine, one = given("sqlite://", engine_of, poolclass=StaticPool, connect_args={"check_same_thread": False})
    other, user, inside = SQLAlchemyRepository(engine), new_user(), []

    @event.listens_for(engine, "begin")
    def enter(_connection: object) -> None:
        inside.append(len(inside))

    @event.listens_for(engine, "commit")
    @event.listens_for(engine, "rollback")
    def leave(_connection: object) -> None:
        met.add(inside.pop())

    def work(repository: SQLAlchemyRepository) -> None:
        for _ in range(40):
            begin_upload(repository, new_image(user))
            repository.list(user, limit=200)

    met = set[int]()
    at_once([partial(work, each) for each in (one, other) * 2])
    assert met == {0}
    assert len(one.claim_expired(NOW + LEASE, limit=200)) == 160


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("make", [MemoryRepository, lambda: SQLAlchemyRepository("sqlite://")])
def test_a_child_never_waits_for_a_lock_of_its_parent(make: Any) -> None:
    """A child does not wait for a lock that a thread of its parent held."""
    repository = make()
    getattr(repository, "create_schema", int)()
    lock = getattr(repository, "_lock", None) or repository._database._turn._lock
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            os._exit(len(repository.list("ana", limit=1)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_pool_without_a_free_connection_says_so(url: str, engine_of: EngineOf) -> None:
    """A pool without a free connection says so."""
    engine, repository = given(url, engine_of, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect(), pytest.raises(RepositoryError, match="pool"):
        repository.list("ana", limit=1)


def test_a_lock_that_is_held_too_long_says_so(tmp_path: Path, engine_of: EngineOf) -> None:
    """A lock that is held too long says so."""
    engine, repository = given(f"sqlite:///{tmp_path}/app.db", engine_of, connect_args={"timeout": 0})
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(RepositoryError, match="busy"):
            begin_upload(repository, new_image("ana"))


def test_a_connection_closed_by_the_server_is_replaced(postgresql: str, engine_of: EngineOf) -> None:
    """A connection that the server closed is replaced."""
    engine, repository = given(postgresql, engine_of)
    image = publish(repository, new_image(new_user()))
    close_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'app'"
    engine, repository = given(postgresql, engine_of, connect_args={"application_name": "app"})
    for call in (repository.get, repository.set_primary, repository.get):
        with engine_of(engine.url).connect() as connection:
            connection.execute(text(close_all))
        assert call(image.id)


# forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.parametrize("owned", [True, False])
def test_a_repository_works_on_both_sides_of_a_fork(url: str, owned: bool) -> None:
    """A repository made before a fork works on both sides."""
    program = """
import os, sys
from sqlalchemy import create_engine
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.records import new_image, publish, delete_one
url, owned = sys.argv[1:]
engine = url if owned == "True" else create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
repository = SQLAlchemyRepository(engine)
repository.create_schema()
image = publish(repository, new_image("ana"))
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        for _ in range(20):
            assert repository.set_primary(image.id) and len(repository.list("ana", limit=9)) == 1
        os._exit(0)
    children.append(child)
for _ in range(20):
    assert repository.set_primary(image.id) and len(repository.list("ana", limit=9)) == 1
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
assert repository.get(image.id)
if owned == "False":
    engine.dispose()
"""
    command = [sys.executable, "-W", "error", "-c", program, url, str(owned)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_child_leaves_its_parent_s_connections_open(own_database: str) -> None:
    """The parent would only see that it has to connect again, so the connection itself is compared."""
    program = """
import os, sys
from sqlalchemy import create_engine, text
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.records import new_image, publish
engine = create_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg://"), pool_size=1, max_overflow=0)
repository = SQLAlchemyRepository(engine)
repository.create_schema()
image = publish(repository, new_image("ana"))
def backend():
    with engine.connect() as connection:
        return connection.execute(text("SELECT pg_backend_pid()")).scalar()
before = backend()
child = os.fork()
if not child:
    assert repository.get(image.id)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert backend() == before
engine.dispose()
"""
    command = [sys.executable, "-W", "error", "-c", program, own_database]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")


# errors


def test_no_error_shows_what_was_asked_for(url: str) -> None:
    """The cause goes into a log, and a name in it would be personal data."""
    repository = SQLAlchemyRepository(url)
    with pytest.raises(RepositoryError) as caught:
        repository.list("ana-secret", limit=1)
    repository.close()

    assert "ana-secret" not in str(caught.value.__cause__)
    assert "parameters hidden" in str(caught.value.__cause__)


def test_missing_tables_say_create_schema(url: str) -> None:
    """Missing tables say `create_schema`."""
    repository = SQLAlchemyRepository(url)
    for call in (lambda: repository.list("ana", limit=1), lambda: begin_upload(repository, new_image("ana"))):
        with pytest.raises(RepositoryError, match=r"create_schema\(\)"):
            call()
    repository.close()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("sqlite:///{}/no/such/folder/images.db", "folder"),
        ("sqlite:////dev/null/images.db", "cannot be opened"),
        ("sqlite:///{}/rubbish.db", "damaged"),
        ("sqlite:///file:{}/rubbish.db?mode=ro&uri=true", "damaged"),
        ("postgresql://ana:s3cr3t@127.0.0.1:1/images", "does not answer"),
        ("postgresql://ana:s3cr3t@no-such-host.invalid/images", "does not answer"),
    ],
)
def test_a_database_that_cannot_be_opened_says_why(tmp_path: Path, where: str, says: str) -> None:
    """A database that cannot be opened says what to check."""
    (tmp_path / "rubbish.db").write_bytes(b"rubbish" * 1000)
    repository = SQLAlchemyRepository(where.format(tmp_path))
    with pytest.raises(RepositoryError, match=says) as caught:
        repository.list("ana", limit=1)
    assert not {"s3cr3t", "ana", "127.0.0.1", str(tmp_path)} & set(str(caught.value).replace(":", " ").split())
    repository.close()


def test_a_missing_database_or_role_says_so(postgresql: str) -> None:
    """A missing database or role says so."""
    for url, says in (
        (postgresql.replace("/postgres?", "/no_such_database?"), "no database of this name"),
        (postgresql.replace("postgres:@", "no_such_role:@"), "user or password"),
    ):
        repository = SQLAlchemyRepository(url)
        with pytest.raises(RepositoryError, match=says):
            repository.list("ana", limit=1)
        repository.close()


@pytest.mark.parametrize(
    "address",
    [
        "mysql+pymysql://ana:s3cr3t@host/db",
        "sqlite+aiosqlite:///images.db",
        "s3cr3t",
        "",
        3,
        None,
        "nosuch://s3cr3t@host",
    ],
)
def test_an_unknown_database_is_refused(address: Any) -> None:
    """An unsupported database is refused, and its URL is not in the message."""
    with pytest.raises(ConfigurationError) as caught:
        SQLAlchemyRepository(address)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [
        ("sqlalchemy", "sqlite://", "userimages[sqlalchemy]"),
        ("psycopg", "postgresql://host/db", "userimages[postgresql]"),
    ],
)
def test_a_missing_extra_says_how_to_install_it(module: str, url: str, extra: str) -> None:
    """A missing extra says how to install it."""
    program = f"""
import sys
sys.modules[{module!r}] = None
from userimages import ConfigurationError
try:
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    SQLAlchemyRepository({url!r})
except ConfigurationError as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    assert f"pip install '{extra}'" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.contract("C7")
def test_a_publication_is_whole_or_nothing(repository: SQLAlchemyRepository) -> None:
    """A publication is whole or nothing."""
    image = publish(repository, new_image(new_user()), is_primary=True)
    broken = new_image(image.user)
    intent = begin_upload(repository, broken)
    object.__setattr__(broken, "width", 0)
    with pytest.raises(RepositoryError, match="refuses these values"):
        repository.publish(intent, broken, is_primary=True, replace=True)
    assert repository.list(image.user, limit=9) == (image,)
    object.__setattr__(broken, "width", 1)
    assert isinstance(repository.publish(intent, broken, is_primary=True, replace=True), PublishResult)


# the schema


@pytest.mark.contract("C6")
def test_the_schema_is_complete_after_one_call(url: str) -> None:
    """The schema is complete after one call, which can be repeated."""
    repository = SQLAlchemyRepository(url)
    missing = repository.missing_schema()
    assert [ddl.split()[2] for ddl in missing if ddl.startswith("CREATE TABLE")] == [
        "userimages_images",
        "userimages_intents",
        "userimages_primaries",
        "userimages_about",
    ]
    for _ in range(2):
        repository.create_schema()
        assert repository.missing_schema() == ()
    repository.close()


@pytest.mark.parametrize(
    ("broken", "ddl"),
    [
        ("DROP INDEX userimages_images_newest", "CREATE INDEX userimages_images_newest"),
        ("DROP INDEX ix_userimages_intents_lease_until", "CREATE INDEX ix_userimages_intents_lease_until"),
        ("DROP TABLE userimages_primaries", "CREATE TABLE userimages_primaries"),
        ("ALTER TABLE userimages_intents DROP COLUMN claimed", "ADD COLUMN claimed BOOLEAN DEFAULT"),
    ],
)
def test_what_is_missing_is_named_and_added(url: str, engine_of: EngineOf, broken: str, ddl: str) -> None:
    """What is missing is named and added, and nothing else is changed."""
    engine, repository = given(url, engine_of)
    image = publish(repository, new_image(new_user()))
    with engine.begin() as connection:
        connection.execute(text(broken))
    missing = repository.missing_schema()
    assert ddl in missing[0]
    assert all("userimages_primaries" in each for each in missing[1:]), missing
    repository.create_schema()
    assert repository.missing_schema() == ()
    assert repository.set_primary(image.id)
    assert repository.claim_expired(NOW, limit=1) == ()


def test_the_ddl_that_is_named_can_be_applied_by_hand(url: str, engine_of: EngineOf) -> None:
    """The DDL that is named can be applied by hand."""
    engine = engine_of(url.replace("postgresql://", "postgresql+psycopg://"))
    repository = SQLAlchemyRepository(engine)
    with engine.begin() as connection:
        for ddl in repository.missing_schema():
            connection.exec_driver_sql(ddl)
    assert repository.missing_schema() == ()
    assert publish(repository, new_image(new_user()), is_primary=True)


def test_keys_are_in_byte_order_in_any_language(postgresql: str, engine_of: EngineOf) -> None:
    """Keys are in byte order, whatever the language of the database."""
    engine, _ = given(postgresql, engine_of)
    column = "table_name = 'userimages_images' AND column_name = 'key'"
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT collation_name FROM information_schema.columns WHERE {column}"))
        assert found.scalars().all() == ["C"]


def test_the_same_intent_twice_is_a_conflict(repository: SQLAlchemyRepository) -> None:
    """The same intent twice is a conflict."""
    intent = begin_upload(repository, new_image(new_user()))
    with pytest.raises(ConflictError, match="id"):
        repository.begin_upload(intent, now=NOW)
    assert claim_expired_of(repository, intent.user, NOW + LEASE) == [intent]
