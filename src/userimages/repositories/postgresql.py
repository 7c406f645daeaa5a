"""PostgreSQL: how it is opened, how a transaction begins, how it differs from SQLite, and its error codes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import URL, Connection, Engine, bindparam, create_engine, delete, func, select
from sqlalchemy.dialects import postgresql

from userimages.errors import ConfigurationError
from userimages.repositories import statements
from userimages.repositories.errors import (
    BUSY,
    CROWDED,
    DENIED,
    FORBIDDEN,
    FULL,
    MISSING,
    NO_DATABASE,
    PATIENCE,
    READ_ONLY,
    Meaning,
)
from userimages.repositories.tables import about, images, intents, primaries

CODES: dict[str | int | None, Meaning] = {  # SQLSTATE
    "42P01": MISSING,
    "42703": MISSING,
    "28P01": DENIED,
    "28000": DENIED,
    "3D000": NO_DATABASE,
    "53100": FULL,
    "53300": CROWDED,
    "40001": BUSY,
    "40P01": BUSY,
    "55P03": BUSY,
    "57014": BUSY,
    "42501": FORBIDDEN,
    "25006": READ_ONLY,
}
FOREIGN_KEY = {"23503", "23001"}
UNIQUE = {"23505"}

_SCHEMA_LOCK = 0x75736572696D6167  # "userimag"


def open_engine(url: URL) -> Engine:
    """Make an engine that commits each statement: to switch to that costs 60 us each time, unless it was made so."""
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {}
    if url.get_driver_name() == "psycopg":
        _refuse_unknown_options(url)
        options["prepare_threshold"] = None
    return create_engine(url, connect_args=options, hide_parameters=True, isolation_level="AUTOCOMMIT")


def _refuse_unknown_options(url: URL) -> None:
    """Refuse what libpq does not know, such as ``?pgbouncer=true`` or ``?schema=app`` of other libraries."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"prepare_threshold", "autocommit"}
    if unknown := sorted(set(url.query) - known):
        raise ConfigurationError(
            f"The database URL has the option {', '.join(unknown)}, which PostgreSQL's driver does not know.",
            hint="Remove it. A schema is chosen by ?options=-csearch_path%3Dapp.",
        )


def as_used(engine: Engine, *, owned: bool) -> tuple[Engine, Engine]:
    """Return *engine* for single statements and for transactions, whatever isolation the application has set.

    A single statement needs no round trips for BEGIN and COMMIT. And while one transaction waits for another, its next
    statement must see what that one committed.
    """
    options = engine.execution_options
    statement = engine if owned else options(isolation_level="AUTOCOMMIT")
    return statement, options(isolation_level="READ COMMITTED")


def begin(connection: Connection, *, reads_first: bool, alone: bool) -> None:
    """Bound how long a lock is waited for, because the caller may hold it itself and would wait for ever."""
    if not alone:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE * 1000:.0f}")


def turn(engine: Engine) -> AbstractContextManager[None]:
    """Return what callers of this engine wait for: nothing, because each has a connection."""
    return nullcontext()


def in_order(connection: Connection, text: str) -> None:
    """Let transactions for the same *text* go one after the other: two would not see what the other one inserts."""
    connection.execute(_QUEUE_UP, {"the_text": text})


def lock_schema(connection: Connection) -> None:
    """Let one process at a time change the schema."""
    connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))


def lock_records(connection: Connection) -> None:
    """Let nobody else write to the tables until the transaction ends; reading goes on."""
    names = ", ".join(table.name for table in (images, intents, primaries, about))
    connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def after_delete(connection: Connection, ids: Any) -> None:
    """Delete the primaries of deleted images: the foreign key does."""


def notice_file(connection: Connection) -> None:
    """Refuse to work on a file that has vanished: a server notices that itself."""


def make_room(engine: Engine) -> bool:
    """Make room on a full disk: a client of PostgreSQL cannot."""
    return False


_QUEUE_UP = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("the_text"), 0)))


def _publish(per_type: bool | None) -> Any:
    """Build one statement of all, because it is one round trip in place of three."""
    taken = statements.TAKE_INTENT.returning(intents.c.id).cte("taken")
    insertion = statements.inserted(statements.NEW_IMAGE.select_from(taken))
    if per_type is None:
        return insertion
    published = insertion.returning(images.c.user, images.c.id).cte("published")
    is_published = select(published.c.id).exists()
    cleared = delete(primaries).where(*statements.FORBIDDEN[per_type], is_published).cte("cleared")
    primary = select(published.c.user, bindparam("the_scope"), published.c.id)
    return statements.upserted(postgresql.insert, primary).add_cte(cleared)


_PUBLISH = {per_type: _publish(per_type) for per_type in (None, False, True)}


def publish(connection: Connection, facts: Mapping[str, object], *, per_type: bool | None) -> bool:
    """Turn an intent into an image, primary unless *per_type* is None. Tell whether the intent was there."""
    return bool(connection.execute(_PUBLISH[per_type], facts).rowcount)


SET_PRIMARY = statements.set_primary(postgresql.insert)
