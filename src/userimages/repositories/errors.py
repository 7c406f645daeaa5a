"""What a failure of the database means: one table from its code or its words to ours, and what to do about it."""

import sqlite3

from sqlalchemy import exc

from userimages.errors import ConflictError, DatabaseBusyError, InvalidFieldError, RepositoryError, UserImagesError

Meaning = tuple[str, str]  # what happened, and the hint

_MISSING = ("A table or a column of userimages is missing.", "Call create_schema(), or apply what `check` prints.")
_DENIED = ("The database refuses this user or password.", "Check the user and the password in the database URL.")
_NO_DATABASE = ("There is no database of this name.", "Create it, or check the name in the database URL.")
_FULL = ("The database has no space left.", "Make room on its disk.")
BUSY = (
    "Other transactions kept the database busy for too long.",
    "Look for a long transaction, also one that the caller itself has open, and try again.",
)
_FORBIDDEN = (
    "This database user may not do that.",
    "Grant it SELECT, INSERT, UPDATE, DELETE on userimages_*, and CREATE for create_schema().",
)
_READ_ONLY = ("The database is read-only.", "Point the database URL at the primary, or make the file writable.")
_CROWDED = ("The database accepts no more connections.", "Make the pools smaller, or max_connections larger.")
LOST = ("The connection to the database was lost.", "Whether the call took effect is unknown: read before repeating.")
_UNREACHABLE = ("The database does not answer.", "Check the host and port in the database URL and that it is running.")
_NO_FILE = ("The database file cannot be opened.", "Check that its folder exists and is writable.")
_BROKEN_FILE = ("The database file is damaged or is no database.", "Restore it from a backup.")
_POOL = ("No connection of the engine's pool came free in time.", "Make the pool larger, or hold connections shorter.")
_BREAKS_RULE = ("The database refuses these values.", "Compare its schema with ours by `userimages check`.")
_NOT_UNICODE = ("The database cannot hold this text: its encoding is not UTF-8.", "Use a database of encoding UTF8.")
_FAILED = ("The database failed.", "Look at the cause of this error, or at the database's own log.")

_BY_CODE: dict[str | int | None, Meaning] = {  # SQLSTATE of PostgreSQL, primary code of SQLite
    "42P01": _MISSING,
    "42703": _MISSING,
    "28P01": _DENIED,
    "28000": _DENIED,
    "3D000": _NO_DATABASE,
    "53100": _FULL,
    "53300": _CROWDED,
    "40001": BUSY,
    "40P01": BUSY,
    "55P03": BUSY,
    "57014": BUSY,
    "42501": _FORBIDDEN,
    "25006": _READ_ONLY,
    5: BUSY,
    6: BUSY,
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


def meaning_of(error: Exception) -> Meaning:
    """Look up what went wrong and what to do about it."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, exc.TimeoutError):
        return _POOL
    if isinstance(cause, UnicodeError):
        return _NOT_UNICODE
    if isinstance(error, exc.IntegrityError):
        return _BREAKS_RULE
    code = code_of(cause)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if getattr(error, "connection_invalidated", False) or str(code)[:2] in {"08", "57"}:
        return LOST
    words = str(cause).lower()
    return next((meaning for part, meaning in _BY_WORDS.items() if part in words), _FAILED)


def code_of(error: object) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL's error, or the primary code of SQLite's."""
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return int(sqlite_code) if isinstance(error, sqlite3.IntegrityError) else int(sqlite_code) & 0xFF
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def translated(error: Exception, meaning: Meaning) -> UserImagesError:
    """Return our error for one of SQLAlchemy or of the driver."""
    cause = getattr(error, "orig", None) or error
    code = code_of(cause)
    if meaning is _BREAKS_RULE and code in _FOREIGN_KEY:
        return ConflictError(
            "A row of the application still refers to this image.", hint="Delete or change that row first."
        )
    if meaning is _BREAKS_RULE and code in _UNIQUE:
        return ConflictError("A record with this id, key or idempotency key exists already.")
    what, hint = meaning
    if meaning is _FAILED:
        what = f"{what} ({type(cause).__name__}{f', {code}' if code else ''})"
    if meaning is _NOT_UNICODE:
        return InvalidFieldError(what, field="text", hint=hint)
    return DatabaseBusyError(what, hint=hint) if meaning in (BUSY, _POOL) else RepositoryError(what, hint=hint)
