"""The engine beneath ``SQLAlchemyRepository``: how it is made, its transactions, and what its failures mean."""

import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Pool, QueuePool, create_engine, event, exc, make_url

from userimages.errors import ConfigurationError, ConflictError, RepositoryError, UserImagesError
from userimages.forks import renew_after_fork

Outcome = TypeVar("Outcome")

ATTEMPTS = 5
PATIENCE = 30.0  # seconds: SQLite's busy time-out, and how long a transaction is begun again

_MISSING = ("A table or a column of userimages is missing.", "Call create_schema(), or apply what `check` prints.")
_DENIED = ("The database refuses this user or password.", "Check the user and the password in the database URL.")
_NO_DATABASE = ("There is no database of this name.", "Create it, or check the name in the database URL.")
_FULL = ("The database has no space left.", "Make room on its disk.")
_BUSY = (
    "Other transactions kept the database busy for too long.",
    "Look for a long transaction, also one that the caller itself has open, and try again.",
)
_FORBIDDEN = (
    "This database user may not do that.",
    "Grant it SELECT, INSERT, UPDATE, DELETE on userimages_*, and CREATE for create_schema().",
)
_READ_ONLY = ("The database is read-only.", "Point the database URL at the primary, or make the file writable.")
_CROWDED = ("The database accepts no more connections.", "Make the pools smaller, or max_connections larger.")
_LOST = ("The connection to the database was lost.", "Whether the call took effect is unknown: read before repeating.")
_UNREACHABLE = ("The database does not answer.", "Check the host and port in the database URL and that it is running.")
_NO_FILE = ("The database file cannot be opened.", "Check that its folder exists and is writable.")
_BROKEN_FILE = ("The database file is damaged or is no database.", "Restore it from a backup.")
_POOL = ("No connection of the engine's pool came free in time.", "Make the pool larger, or hold connections shorter.")
_BREAKS_RULE = ("The database refuses these values.", "Compare its schema with ours by `userimages check`.")
_FAILED = ("The database failed.", "The log holds its message.")

_BY_CODE: dict[str | int | None, tuple[str, str]] = {  # SQLSTATE of PostgreSQL, primary code of SQLite
    "42P01": _MISSING,
    "42703": _MISSING,
    "28P01": _DENIED,
    "28000": _DENIED,
    "3D000": _NO_DATABASE,
    "53100": _FULL,
    "53300": _CROWDED,
    "40001": _BUSY,
    "40P01": _BUSY,
    "55P03": _BUSY,
    "57014": _BUSY,
    "42501": _FORBIDDEN,
    "25006": _READ_ONLY,
    5: _BUSY,
    6: _BUSY,
    8: _READ_ONLY,
    11: _BROKEN_FILE,
    13: _FULL,
    14: _NO_FILE,
    26: _BROKEN_FILE,
}
_BY_WORDS = {  # where the driver gives no code: psycopg while it connects, SQLite's generic error
    "no such table": _MISSING,
    "no such column": _MISSING,
    "has no column named": _MISSING,
    "password": _DENIED,
    "authentication": _DENIED,
    'role "': _DENIED,
    "does not exist": _NO_DATABASE,
    "too many clients": _CROWDED,
    "too many connections": _CROWDED,
    "could not translate": _UNREACHABLE,
    "failed to resolve": _UNREACHABLE,
    "refused": _UNREACHABLE,
    "timeout": _UNREACHABLE,
    "no such file": _UNREACHABLE,
    "server closed": _UNREACHABLE,
    "starting up": _UNREACHABLE,
    "shutting down": _UNREACHABLE,
}
_FOREIGN_KEY = {"23503", "23001", 787, 1811}  # SQLite calls RESTRICT a trigger
_UNIQUE = {"23505", 1555, 2067}

_SQLITE_OPTIONS = {"timeout": PATIENCE, "check_same_thread": False, "isolation_level": "IMMEDIATE"}

_inherited: list[Pool] = []


class Database:
    """Runs each piece of work in a transaction of its own, begun again where that is certain to be safe."""

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self._owned = isinstance(url_or_engine, str | URL)
        self._engine = open_engine(url_or_engine) if isinstance(url_or_engine, str | URL) else _adopted(url_or_engine)
        self.dialect = self._engine.dialect.name
        self._statement, self._transaction = _as_used(self._engine, commits_by_itself=self._owned)
        self.in_memory = _is_in_memory(self._engine.url)
        self.file = _file(self._engine.url)
        self._turn = _turns.setdefault(self._engine.pool, _Turn()) if self.in_memory else nullcontext()
        renew_after_fork(self)
        if self._owned:
            weakref.finalize(self, self._engine.dispose)

    def read(self, work: Callable[[Connection], Outcome]) -> Outcome:
        """Run *work*, which only reads."""
        return self._run(work, self._statement)

    def write(
        self, work: Callable[[Connection], Outcome], *, reads_first: bool = False, alone: bool = False
    ) -> Outcome:
        """Run *work* and commit.

        Work begins with a write, so that SQLite takes its write lock before anything is read and nobody can come in
        between; where it has to read first, *reads_first* takes the lock for it. With *alone*, work is one statement,
        which on PostgreSQL commits by itself: one round trip, not three.

        Raises:
            ConflictError: a foreign key or a unique constraint refused. Nothing changed.
            RepositoryError: anything else; only after a connection that was lost in COMMIT is the outcome unknown.
        """
        engine = self._statement if alone else self._transaction
        return self._run(work, engine, writes=True, reads_first=reads_first, commits=alone)

    def close(self) -> None:
        """Close the connections of an engine made here; leave a given one alone."""
        if self._owned:
            self._engine.dispose()

    def renew(self) -> None:
        """Leave the connections that a fork brought along to the parent, unclosed."""
        if not isinstance(self._turn, _Turn):
            _inherited.append(self._engine.pool)
            self._engine.dispose(close=False)

    def _run(
        self,
        work: Callable[[Connection], Outcome],
        engine: Engine,
        *,
        writes: bool = False,
        reads_first: bool = False,
        commits: bool = False,
    ) -> Outcome:
        started, attempt = time.monotonic(), 1
        while True:
            committing = commits
            try:
                with self._turn, engine.connect() as connection:
                    if writes and self.dialect == "sqlite":
                        _begin(connection, at_once=reads_first)
                    elif writes and not commits:  # the caller may hold a lock itself, and wait for us for ever
                        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE * 1000:.0f}")
                    outcome = work(connection)
                    committing = writes
                    if writes:
                        _commit(connection)
                    return outcome
            except exc.SQLAlchemyError as error:
                meaning = _meaning(error)
                certain = meaning is _BUSY or (meaning is _LOST and not committing)
                if not certain or attempt == ATTEMPTS or time.monotonic() - started > PATIENCE:
                    raise _translated(error, meaning) from error
            time.sleep(random.uniform(0, 0.02) * 2**attempt)  # noqa: S311 - spreads callers, hides nothing
            attempt += 1


def _begin(connection: Connection, *, at_once: bool) -> None:
    """Begin on SQLite where pysqlite would not by itself: before a read, or on an engine that commits by itself."""
    connection.begin()
    sqlite: Any = connection.connection.dbapi_connection
    if (at_once or sqlite.isolation_level is None) and not sqlite.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _commit(connection: Connection) -> None:
    """Commit; a refused COMMIT leaves SQLite's transaction open, and SQLAlchemy would take it for ended."""
    try:
        connection.commit()
    except exc.DBAPIError:
        if not connection.invalidated:
            try:
                connection.connection.rollback()
            except connection.dialect.loaded_dbapi.Error:
                connection.invalidate()
        raise


def open_engine(address: str | URL) -> Engine:
    """Make an engine of our own from a URL."""
    try:
        url = make_url(address)
        if url.drivername in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigurationError(
                f"The database is of the kind {url.get_backend_name()}.", hint="Use SQLite or PostgreSQL."
            )
        if url.get_backend_name() == "sqlite":
            return _open_sqlite(url)
        options: dict[str, Any] = {"prepare_threshold": None} if url.get_driver_name() == "psycopg" else {}
        return _adopted(create_engine(url, connect_args=options, hide_parameters=True, isolation_level="AUTOCOMMIT"))
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            "The database URL is not understood.",
            hint="Write sqlite:///path/to/file.db or postgresql://user@host/name.",
        ) from error
    except ImportError as error:
        raise ConfigurationError(
            "The driver of this database is not installed.",
            hint="pip install 'userimages[postgresql]' brings psycopg 3, for postgresql://.",
        ) from error


def _is_in_memory(url: URL) -> bool:
    """Tell whether *url* is of a SQLite that ends with its process."""
    if url.get_backend_name() != "sqlite":
        return False
    return (
        ":memory:" in (url.database or ":memory:")
        or url.query.get("mode") == "memory"
        or url.query.get("vfs") == "memdb"
    )


def _file(url: URL) -> Path | None:
    """Return the file of a SQLite database, where the URL is plain about it."""
    plain = url.get_backend_name() == "sqlite" and not _is_in_memory(url) and "uri" not in url.query
    return Path(url.database) if plain and url.database else None


class _Turn:
    """A lock for callers that share one connection: in a pool of one, some would starve."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=PATIENCE):
            raise exc.TimeoutError("The one connection of this database in memory did not come free.")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


# One turn for all repositories of one database in memory.
_turns: "weakref.WeakKeyDictionary[Pool, _Turn]" = weakref.WeakKeyDictionary()


def _open_sqlite(url: URL) -> Engine:
    """Make an engine for one file, or for one connection where the database is in memory."""
    alone = {"pool_size": 1, "max_overflow": 0} if _is_in_memory(url) else {}
    engine = create_engine(url, poolclass=QueuePool, connect_args=_SQLITE_OPTIONS, hide_parameters=True, **alone)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone() == ("delete",):
            _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def _switch_to_wal(connection: Any) -> None:
    """Turn on the write-ahead log; SQLite does not wait by itself while another process does the same."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _BY_CODE.get(_code(error)) is not _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _adopted(engine: Engine) -> Engine:
    """Return *engine*, if it is one that we can work with."""
    if not isinstance(engine, Engine):
        raise ConfigurationError(
            "The repository was given neither a database URL nor an engine.", hint="Pass a str or a sqlalchemy.Engine."
        )
    if engine.dialect.name not in {"sqlite", "postgresql"} or engine.dialect.is_async:
        raise ConfigurationError(
            f"The repository cannot work with {engine.dialect.name} through {engine.dialect.driver}.",
            hint="Use SQLite or PostgreSQL with a synchronous driver, such as psycopg.",
        )
    return engine


def _as_used(engine: Engine, *, commits_by_itself: bool) -> tuple[Engine, Engine]:
    """Return *engine* for single statements and for transactions, whatever isolation the application has set.

    On PostgreSQL a statement by itself needs no round trips for BEGIN and COMMIT (and to switch to that costs 60 us
    each time, unless the engine was made so); and while one transaction waits for another, its next statement must
    see what that one committed.
    """
    if engine.dialect.name == "sqlite":
        return engine, engine
    options = engine.execution_options
    statement = engine if commits_by_itself else options(isolation_level="AUTOCOMMIT")
    return statement, options(isolation_level="READ COMMITTED")


def _meaning(error: exc.SQLAlchemyError) -> tuple[str, str]:
    """Look up what went wrong and what to do about it."""
    if not isinstance(error, exc.DBAPIError):
        return _POOL if isinstance(error, exc.TimeoutError) else _FAILED
    if isinstance(error, exc.IntegrityError):
        return _BREAKS_RULE
    code = _code(error.orig)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if error.connection_invalidated or str(code)[:2] in {"08", "57"}:
        return _LOST
    words = str(error.orig).lower()
    return next((meaning for part, meaning in _BY_WORDS.items() if part in words), _FAILED)


def _code(error: object) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL's error, or the primary code of SQLite's."""
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return int(sqlite_code) if isinstance(error, sqlite3.IntegrityError) else int(sqlite_code) & 0xFF
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _translated(error: exc.SQLAlchemyError, meaning: tuple[str, str]) -> UserImagesError:
    code = _code(getattr(error, "orig", None))
    if meaning is _BREAKS_RULE and code in _FOREIGN_KEY:
        return ConflictError(
            "A row of the application still refers to this image.", hint="Delete or change that row first."
        )
    if meaning is _BREAKS_RULE and code in _UNIQUE:
        return ConflictError("A record with this id, key or idempotency key exists already.")
    return RepositoryError(meaning[0], hint=meaning[1])
