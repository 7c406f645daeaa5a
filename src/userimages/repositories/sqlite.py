"""SQLite: how it is opened, how a transaction begins, how it differs from PostgreSQL, and its error codes."""

import sqlite3
import threading
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Pool,
    QueuePool,
    StaticPool,
    bindparam,
    create_engine,
    delete,
    event,
    exc,
    select,
    true,
)
from sqlalchemy.dialects import sqlite

from userimages.errors import RepositoryError
from userimages.fork_safety import reset_after_fork
from userimages.repositories import statements
from userimages.repositories.errors import BROKEN_FILE, BUSY, DISK, FULL, NO_FILE, PATIENCE, READ_ONLY, Meaning
from userimages.repositories.tables import images, primaries

CODES: dict[str | int | None, Meaning] = {  # primary result codes
    5: BUSY,
    6: BUSY,
    8: READ_ONLY,
    10: DISK,
    11: BROKEN_FILE,
    13: FULL,
    14: NO_FILE,
    26: BROKEN_FILE,
}
FOREIGN_KEY = {787, 1811}  # extended result codes; RESTRICT counts as a trigger
UNIQUE = {1555, 2067}

_OPTIONS = {"timeout": PATIENCE, "check_same_thread": False, "isolation_level": "IMMEDIATE"}


def open_engine(url: URL) -> Engine:
    """Make an engine for one file, or for one connection if the database is in memory."""
    alone = {"pool_size": 1, "max_overflow": 0} if is_in_memory(url) else {}
    engine = create_engine(url, poolclass=QueuePool, connect_args=_OPTIONS, hide_parameters=True, **alone)
    file, opened = file_of(url), threading.Event()
    file = file and file.absolute()  # as SQLAlchemy does now, because the process may change its folder

    @event.listens_for(engine, "do_connect")
    def expect(*_: object) -> None:
        if file is not None and opened.is_set():
            _identity(file)  # SQLite would make an empty file in place of one that has vanished

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone() == ("delete",):
            _try_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        opened.set()

    return engine


def as_used(engine: Engine, *, owned: bool) -> tuple[Engine, Engine]:
    """Return *engine* for single statements and for transactions: there is no difference here."""
    return engine, engine


def begin(connection: Connection, *, reads_first: bool, alone: bool) -> None:
    """Begin where pysqlite would not: before a read, or on an engine that commits each statement."""
    connection.begin()
    driver: Any = connection.connection.dbapi_connection
    if (reads_first or driver.isolation_level is None) and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def turn(engine: Engine) -> AbstractContextManager[None]:
    """Return what callers of this engine wait for: each other, if they share the one connection of a database."""
    return _turns.setdefault(engine.pool, _Turn()) if shares_connection(engine) else nullcontext()


def in_order(connection: Connection, text: str) -> None:
    """Let transactions for the same *text* go one after the other: SQLite's write lock does."""


def lock_schema(connection: Connection) -> None:
    """Let one process at a time change the schema: SQLite's write lock does."""


def lock_records(connection: Connection) -> None:
    """Let nobody else write to the tables until the transaction ends: SQLite's write lock does."""


def after_delete(connection: Connection, ids: Any) -> None:
    """Delete the primaries of deleted images, because the application's engine may have foreign keys switched off."""
    connection.execute(_UNSET_PRIMARY, {"the_ids": ids})


def notice_file(connection: Connection) -> None:
    """Refuse to work on a file that has vanished, and open again one that was replaced.

    SQLite would go on with the file that it has opened, which nobody can see any more.
    """
    file = file_of(connection.engine.url)
    if file is None:
        return
    if not file.is_absolute():  # the process may have changed its folder since, so SQLite tells which file it has
        driver: Any = connection.connection.dbapi_connection
        file = Path(driver.execute("PRAGMA database_list").fetchone()[2])
    identity = _identity(file)
    if connection.info.setdefault("userimages_file", identity) != identity:
        connection.invalidate()
        connection.info["userimages_file"] = identity  # of the new connection


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells one file from another, or None where only SQLite can open it."""
    try:
        found = file.stat()
    except FileNotFoundError as error:
        raise RepositoryError(
            f"The database file {file} has vanished.", hint="Restore it, or mount its volume again."
        ) from error
    except OSError:
        return None
    return found.st_dev, found.st_ino


def make_room(engine: Engine) -> bool:
    """Let the next transaction write over the write-ahead log from its start: on a full disk the log cannot grow."""
    with engine.connect() as connection:
        busy, frames, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)").one()
    return not busy and frames > 0


def shares_connection(engine: Engine) -> bool:
    """Tell whether all threads use one connection, at which SQLite would end the process if two did at once."""
    return engine.dialect.name == "sqlite" and (is_in_memory(engine.url) or isinstance(engine.pool, StaticPool))


def is_in_memory(url: URL) -> bool:
    """Tell whether *url* is of a database that ends with its process."""
    if url.get_backend_name() != "sqlite":
        return False
    return (
        ":memory:" in (url.database or ":memory:")
        or url.query.get("mode") == "memory"
        or url.query.get("vfs") == "memdb"
    )


def file_of(url: URL) -> Path | None:
    """Return the file of a database, also if its name is a URI."""
    if url.get_backend_name() != "sqlite" or is_in_memory(url) or not url.database:
        return None
    return Path(unquote(urlsplit(url.database).path) if url.database.startswith("file:") else url.database)


class _Turn:
    """A lock for callers that share one connection: in a pool of one, some would starve."""

    def __init__(self) -> None:
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=PATIENCE):
            raise exc.TimeoutError("The one connection of this database in memory did not come free.")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


# One turn for all repositories of one database in memory.
_turns: "weakref.WeakKeyDictionary[Pool, _Turn]" = weakref.WeakKeyDictionary()


def _try_wal(connection: Any) -> None:
    """Turn on the write-ahead log, or leave it to the next connection if somebody holds the database.

    Waiting would not help where the caller itself has a transaction open on another connection. Without the log
    everything works, but readers wait for writers.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if CODES.get(error.sqlite_errorcode & 0xFF) is not BUSY:
            raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


_UNSET_PRIMARY = delete(primaries).where(primaries.c.image_id.in_(bindparam("the_ids", expanding=True)))


_INSERT = statements.inserted(statements.NEW_IMAGE)
# Without a WHERE, SQLite would take ON CONFLICT for the ON of a join.
_MAKE_PRIMARY = statements.upserted(
    sqlite.insert,
    select(bindparam("the_user"), bindparam("the_scope"), bindparam("the_id", type_=images.c.id.type)).where(true()),
)


def publish(connection: Connection, facts: Mapping[str, object], *, per_type: bool | None) -> bool:
    """Turn an intent into an image, primary unless *per_type* is None. Tell whether the intent was there."""
    for statement in (statements.TAKE_INTENT, _INSERT):
        if not connection.execute(statement, facts).rowcount:
            return False
    if per_type is not None:
        connection.execute(_MAKE_PRIMARY, facts)
        connection.execute(statements.CLEAR[per_type], facts)
    return True


SET_PRIMARY = statements.set_primary(sqlite.insert)
