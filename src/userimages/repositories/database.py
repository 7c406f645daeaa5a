"""The engine beneath ``SQLAlchemyRepository``, and its transactions. What a dialect does is in the file of its name."""

import random
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, Pool, exc, make_url

from userimages.errors import ConfigurationError, UserImagesError
from userimages.fork_safety import reset_after_fork
from userimages.repositories import postgresql, sqlite
from userimages.repositories.errors import BUSY, FULL, LOST, PATIENCE, Codes, meaning_of, our_error

Outcome = TypeVar("Outcome")

ATTEMPTS = 5

_inherited: list[Pool] = []


class Dialect(Codes, Protocol):
    """What differs from database to database; each is a module of this package."""

    @property
    def SET_PRIMARY(self) -> Mapping[tuple[bool, bool], Any]:  # noqa: N802 - a constant of a module
        """The upsert that makes an image primary: per type, of one user."""

    def open_engine(self, url: URL) -> Engine:
        """Make an engine."""

    def as_used(self, engine: Engine, *, owned: bool) -> tuple[Engine, Engine]:
        """Return the engine for single statements and for transactions."""

    def turn(self, engine: Engine) -> AbstractContextManager[None]:
        """Return what callers wait for before they take a connection."""

    def begin(self, connection: Connection, *, reads_first: bool, alone: bool) -> None:
        """Begin a transaction that writes."""

    def publish(self, connection: Connection, facts: Mapping[str, object], *, per_type: bool | None) -> bool:
        """Turn an intent into an image."""

    def in_order(self, connection: Connection, text: str) -> None:
        """Let transactions for the same text go one after the other."""

    def after_delete(self, connection: Connection, ids: Collection[Any]) -> None:
        """Delete what a foreign key may have left."""

    def notice_file(self, connection: Connection) -> None:
        """Refuse to work on a file that has vanished."""

    def make_room(self, engine: Engine) -> bool:
        """Make room on a full disk, and tell whether that was possible."""

    def lock_schema(self, connection: Connection) -> None:
        """Let one process at a time change the schema."""

    def lock_records(self, connection: Connection) -> None:
        """Let nobody else write to the tables until the transaction ends."""


_DIALECTS: Mapping[str, Dialect] = {"sqlite": sqlite, "postgresql": postgresql}


class Database:
    """Runs each piece of work in a transaction of its own, and retries it where that is certainly safe."""

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self._owned = isinstance(url_or_engine, str | URL)
        self._engine = open_engine(url_or_engine) if isinstance(url_or_engine, str | URL) else _checked(url_or_engine)
        self.dialect = _DIALECTS[self._engine.dialect.name]
        self.url = self._engine.url
        self._statement, self._transaction = self.dialect.as_used(self._engine, owned=self._owned)
        self._turn = self.dialect.turn(self._engine)
        self._shares_connection = sqlite.shares_connection(self._engine)
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
        between. If it has to read first, *reads_first* takes the lock for it. With *alone*, work is one statement,
        which on PostgreSQL commits by itself: one round trip, not three. It must be safe to repeat, because it is begun
        again if its connection is lost, as the first statement on a connection that was idle for long often is.

        Raises:
            ConflictError: a foreign key or a unique constraint refused. Nothing changed.
            RepositoryError: anything else; only after a connection that was lost in COMMIT is the outcome unknown.
        """
        engine = self._statement if alone else self._transaction
        return self._run(work, engine, writes=True, reads_first=reads_first, alone=alone)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Give a transaction in which nobody else writes to the tables, and commit it at the end.

        Raises:
            RepositoryError: the database failed. If that was in COMMIT, the outcome is unknown.
        """
        try:
            with self._turn, self._transaction.connect() as connection:
                self.dialect.notice_file(connection)
                self.dialect.begin(connection, reads_first=True, alone=False)
                self.dialect.lock_records(connection)
                yield connection
                _commit(connection)
        except UserImagesError:
            raise
        except Exception as error:
            raise our_error(error, meaning_of(error, self.dialect), self.dialect) from error

    def close(self) -> None:
        """Close the connections of an engine made here; leave a given one alone."""
        if self._owned:
            self._engine.dispose()

    def reset(self) -> None:
        """Leave the connections that the fork copied to the parent, without closing them."""
        if not self._shares_connection:
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
        started, attempt, has_room = time.monotonic(), 1, True
        while True:
            committing = False
            try:
                with self._turn, engine.connect() as connection:
                    self.dialect.notice_file(connection)
                    if writes:
                        self.dialect.begin(connection, reads_first=reads_first, alone=alone)
                    outcome = work(connection)
                    committing = writes and not alone
                    if writes:
                        _commit(connection)
                    return outcome
            except UserImagesError:
                raise
            except Exception as error:  # a driver raises its own, too: UnicodeError, NotImplementedError, TypeError ...
                meaning = meaning_of(error, self.dialect)
                if meaning is FULL and has_room:
                    has_room = False
                    certain = self._make_room()
                else:
                    certain = meaning is BUSY or (meaning is LOST and not committing)
                if not certain or attempt == ATTEMPTS or time.monotonic() - started > PATIENCE:
                    raise our_error(error, meaning, self.dialect) from error
            time.sleep(random.uniform(0, 0.02) * 2**attempt)  # noqa: S311 - spreads callers, hides nothing
            attempt += 1

    def _make_room(self) -> bool:
        try:
            return self.dialect.make_room(self._engine)
        except exc.SQLAlchemyError:
            return False


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
    """Make an engine from a URL."""
    try:
        url = make_url(address)
        if url.drivername == "postgres":
            url = url.set(drivername="postgresql")
        dialect = _DIALECTS.get(url.get_backend_name())
        if dialect is None:
            raise ConfigurationError(
                f"The database is of the kind {url.get_backend_name()}.", hint="Use SQLite or PostgreSQL."
            )
        if url.get_dialect().is_async:  # before its driver is imported
            raise _asyncio(url.get_driver_name())
        engine = dialect.open_engine(url)
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
    return _checked(engine)


def _checked(engine: Engine) -> Engine:
    """Return *engine*, if a repository can work with it."""
    if not isinstance(engine, Engine):
        raise ConfigurationError(
            "The repository was given neither a database URL nor an engine.",
            hint="Pass a str or a synchronous sqlalchemy.Engine.",
        )
    if engine.get_execution_options().get("schema_translate_map"):
        raise ConfigurationError(
            "The engine has a schema_translate_map, which the tables do not follow.",
            hint="Choose the schema by the search_path of the database user or of the URL.",
        )
    if engine.dialect.is_async:
        raise _asyncio(engine.dialect.driver)
    if engine.dialect.name not in _DIALECTS:
        raise ConfigurationError(
            f"The repository cannot work with {engine.dialect.name}.", hint="Use SQLite or PostgreSQL."
        )
    return engine


def _asyncio(driver: str) -> ConfigurationError:
    return ConfigurationError(
        f"The driver {driver} is one for asyncio.", hint="Use a synchronous one: sqlite:/// or postgresql://."
    )
