"""What a failure of a database means, and what to do about it. The codes are in the file of each dialect."""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from sqlalchemy import exc

from userimages.errors import ConflictError, DatabaseBusyError, InvalidFieldError, RepositoryError, UserImagesError

Meaning = tuple[str, str]  # what happened, and the hint

PATIENCE = 30.0  # seconds: SQLite's busy time-out, how long a lock is waited for, and how long work is begun again

MISSING = (
    "A table or a column of userimages is missing.",
    "Call create_schema(), or apply what `userimages check` prints.",
)
DENIED = ("The database refuses this user or password.", "Check the user and the password in the database URL.")
NO_DATABASE = ("There is no database of this name.", "Create it, or check the name in the database URL.")
FULL = (
    "The database has no space left.",
    "Free a megabyte on its disk: then deletions work again, and make more room.",
)
BUSY = (
    "Other transactions kept the database busy for too long.",
    "Check for a long transaction, also one that the caller itself has open, and try again.",
)
FORBIDDEN = (
    "This database user may not do that.",
    "Grant it SELECT, INSERT, UPDATE, DELETE on userimages_*, and CREATE for create_schema().",
)
READ_ONLY = ("The database is read-only.", "Point the database URL at the primary, or make the file writable.")
CROWDED = ("The database accepts no more connections.", "Make the pools smaller, or max_connections larger.")
LOST = ("The connection to the database was lost.", "Whether the call took effect is unknown: read before repeating.")
UNREACHABLE = ("The database does not answer.", "Check the host and port in the database URL and that it is running.")
CERTIFICATE = (
    "The database cannot be reached over TLS.",
    "Check sslmode and sslrootcert in the database URL, and the certificate of the server.",
)
NO_FILE = ("The database file cannot be opened.", "Check that its folder exists and is writable.")
BROKEN_FILE = ("The database file is damaged, or it is not a database.", "Restore it from a backup.")
_POOL = (
    "No connection of the engine's pool came free in time.",
    "Make the pool larger, or hold connections for less time.",
)
_BREAKS_RULE = ("The database refuses these values.", "Check the schema with `userimages check`.")
_NOT_UNICODE = ("The database cannot hold this text: its encoding is not UTF-8.", "Use a database of encoding UTF8.")
DISK = ("The disk of the database failed.", "Check its log and its free space.")
_FAILED = ("The database failed.", "Check the cause of this error, or the log of the database.")

_SQLITE_FULL, _NO_SHARED_MEMORY = 13, 4874  # the second: on a full disk the file beside the log cannot grow

# If the driver gives no code: SQLite's generic error, and libpq or PgBouncer while they connect. The longest words that
# occur decide, because "too many connections for role" also has the words of a wrong user.
_BY_WORDS = {
    "no such table": MISSING,
    "no such column": MISSING,
    "has no column named": MISSING,
    "password": DENIED,
    "authentication": DENIED,
    'role "': DENIED,
    "no pg_hba.conf entry": DENIED,
    "no such user": DENIED,
    "user blocked": DENIED,
    "not permitted to log in": DENIED,
    'database "': NO_DATABASE,
    "no such database": NO_DATABASE,
    "is not currently accepting connections": NO_DATABASE,
    "too many clients": CROWDED,
    "too many connections": CROWDED,
    "remaining connection slots are reserved": CROWDED,
    "no more connections allowed": CROWDED,
    "query_wait_timeout": CROWDED,
    "could not translate": UNREACHABLE,
    "failed to resolve": UNREACHABLE,
    "name or service not known": UNREACHABLE,
    "temporary failure in name resolution": UNREACHABLE,
    "refused": UNREACHABLE,
    "timeout": UNREACHABLE,
    "timed out": UNREACHABLE,
    "no route to host": UNREACHABLE,
    "network is unreachable": UNREACHABLE,
    "connection reset": UNREACHABLE,
    "no such file": UNREACHABLE,
    "server closed": UNREACHABLE,
    "server_login_retry": UNREACHABLE,
    "client_login_timeout": UNREACHABLE,
    "starting up": UNREACHABLE,
    "shutting down": UNREACHABLE,
    "recovery mode": UNREACHABLE,
    "not yet accepting connections": UNREACHABLE,
    "ssl error": CERTIFICATE,
    "ssl syscall error": CERTIFICATE,
    "ssl connection": CERTIFICATE,
    "does not support ssl": CERTIFICATE,
    "certificate": CERTIFICATE,
    "root certificate file": CERTIFICATE,
    'root certificate file "': CERTIFICATE,
}


class Codes(Protocol):
    """What a dialect says of its error codes."""

    @property
    def CODES(self) -> Mapping[str | int | None, Meaning]:  # noqa: N802 - a constant of a module
        """What a code means."""

    @property
    def FOREIGN_KEY(self) -> Collection[Any]:  # noqa: N802
        """The codes of a foreign key that refuses."""

    @property
    def UNIQUE(self) -> Collection[Any]:  # noqa: N802
        """The codes of a unique constraint that refuses."""


def meaning_of(error: Exception, dialect: Codes) -> Meaning:
    """Find out what went wrong and what to do about it."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, exc.TimeoutError):
        return _POOL
    if isinstance(cause, UnicodeError):
        return _NOT_UNICODE
    if isinstance(error, exc.IntegrityError):
        return _BREAKS_RULE
    code = code_of(cause)
    if code in dialect.CODES:
        return dialect.CODES[code]
    if getattr(error, "connection_invalidated", False) or str(code)[:2] in {"08", "57"}:
        return LOST
    words = str(cause).lower()
    found = [part for part in _BY_WORDS if part in words]
    return _BY_WORDS[max(found, key=len)] if found else _FAILED


def code_of(error: object) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL's error, or the primary code of SQLite's."""
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if sqlite_code == _NO_SHARED_MEMORY:
        return _SQLITE_FULL
    if sqlite_code is not None:
        return int(sqlite_code) if isinstance(error, sqlite3.IntegrityError) else int(sqlite_code) & 0xFF
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def our_error(error: Exception, meaning: Meaning, dialect: Codes) -> UserImagesError:
    """Return the error of this library for one of SQLAlchemy or of the driver."""
    cause = getattr(error, "orig", None) or error
    code = code_of(cause)
    if meaning is _BREAKS_RULE and code in dialect.FOREIGN_KEY:
        return ConflictError(
            "A row of the application still refers to this image.", hint="Delete or change that row first."
        )
    if meaning is _BREAKS_RULE and code in dialect.UNIQUE:
        return ConflictError("A record with this id, key or idempotency key exists already.")
    what, hint = meaning
    if meaning is _FAILED:
        what = f"{what} ({type(cause).__name__}{f', {code}' if code else ''})"
    if meaning is _NOT_UNICODE:
        return InvalidFieldError(what, field="text", hint=hint)
    return DatabaseBusyError(what, hint=hint) if meaning in (BUSY, _POOL) else RepositoryError(what, hint=hint)
