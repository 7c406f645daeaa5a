"""The engine beneath ``SQLAlchemyRepository``: how it is made, and its transactions."""

import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, Pool, QueuePool, create_engine, event, exc, make_url

from userimages.errors import ConfigurationError
from userimages.fork_safety import reset_after_fork
from userimages.repositories.errors import BUSY, LOST, meaning_of, translated

Outcome = TypeVar("Outcome")

ATTEMPTS = 5
PATIENCE = 30.0  # seconds: SQLite's busy time-out, and how long a transaction is begun again

_SQLITE_OPTIONS = {"timeout": PATIENCE, "check_same_thread": False, "isolation_level": "IMMEDIATE"}

_inherited: list[Pool] = []


class Database:
    """Runs each piece of work in a transaction of its own, begun again where that is certain to be safe."""

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self._owned = isinstance(url_or_engine, str | URL)
        self._engine = open_engine(url_or_engine) if isinstance(url_or_engine, str | URL) else _adopted(url_or_engine)
        self.dialect = self._engine.dialect.name
        self._statement, self._transaction = _as_used(self._engine, autocommit=self._owned)
        self.in_memory = _is_in_memory(self._engine.url)
        self.file = _file(self._engine.url)
        self._turn = _turns.setdefault(self._engine.pool, _Turn()) if self.in_memory else nullcontext()
        reset_after_fork(self)
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
        return self._run(work, engine, writes=True, reads_first=reads_first, alone=alone)

    def close(self) -> None:
        """Close the connections of an engine made here; leave a given one alone."""
        if self._owned:
            self._engine.dispose()

    def reset(self) -> None:
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
        alone: bool = False,
    ) -> Outcome:
        started, attempt = time.monotonic(), 1
        while True:
            committing = alone
            try:
                with self._turn, engine.connect() as connection:
                    if writes and self.dialect == "sqlite":
                        _begin(connection, at_once=reads_first)
                    elif writes and not alone:  # the caller may hold a lock itself, and wait for us for ever
                        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE * 1000:.0f}")
                    outcome = work(connection)
                    committing = writes
                    if writes:
                        _commit(connection)
                    return outcome
            except (exc.SQLAlchemyError, ValueError) as error:  # drivers also raise UnicodeError, as it is
                meaning = meaning_of(error)
                certain = meaning is BUSY or (meaning is LOST and not committing)
                if not certain or attempt == ATTEMPTS or time.monotonic() - started > PATIENCE:
                    raise translated(error, meaning) from error
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
        if url.get_dialect().is_async:
            raise ConfigurationError(
                f"The driver {url.get_driver_name()} is one for asyncio.", hint="Use sqlite:/// or postgresql://."
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
            hint="Install it; pip install 'userimages[postgresql]' brings psycopg 3, for postgresql://.",
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
    """Return the file of a SQLite database, also where its name is a URI."""
    if url.get_backend_name() != "sqlite" or _is_in_memory(url) or not url.database:
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
            if meaning_of(error) is not BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _adopted(engine: Engine) -> Engine:
    """Return *engine*, if it is one that we can work with."""
    if not isinstance(engine, Engine):
        raise ConfigurationError(
            "The repository was given neither a database URL nor an engine.",
            hint="Pass a str or a synchronous sqlalchemy.Engine.",
        )
    if engine.get_execution_options().get("schema_translate_map"):
        raise ConfigurationError(
            "The engine has a schema_translate_map, which the three tables do not follow.",
            hint="Choose the schema by the search_path of the database user or of the URL.",
        )
    if engine.dialect.name not in {"sqlite", "postgresql"} or engine.dialect.is_async:
        raise ConfigurationError(
            f"The repository cannot work with {engine.dialect.name} through {engine.dialect.driver}.",
            hint="Use SQLite or PostgreSQL with a synchronous driver, such as psycopg.",
        )
    return engine


def _as_used(engine: Engine, *, autocommit: bool) -> tuple[Engine, Engine]:
    """Return *engine* for single statements and for transactions, whatever isolation the application has set.

    On PostgreSQL a statement by itself needs no round trips for BEGIN and COMMIT (and to switch to that costs 60 us
    each time, unless the engine was made so); and while one transaction waits for another, its next statement must
    see what that one committed.
    """
    if engine.dialect.name == "sqlite":
        return engine, engine
    options = engine.execution_options
    statement = engine if autocommit else options(isolation_level="AUTOCOMMIT")
    return statement, options(isolation_level="READ COMMITTED")
