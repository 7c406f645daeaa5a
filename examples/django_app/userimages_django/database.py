"""Which database of the project holds the records, how it is reached, and what may be done inside ``atomic()``."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from sqlalchemy import URL

from userimages import ConfigurationError, DatabaseBusyError, ImageRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository

from . import testing


def alias() -> str:
    """Return which of ``DATABASES`` it is: the setting ``USERIMAGES_DATABASE``."""
    return getattr(settings, "USERIMAGES_DATABASE", "default")


class Router:
    """For ``DATABASE_ROUTERS`` if it is not ``default``: sends the models of this app to their database."""

    def db_for_read(self, model, **hints):
        return alias() if model._meta.app_label == "userimages_django" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return db == alias() if app_label == "userimages_django" else None


def url_of(connection: BaseDatabaseWrapper) -> URL:
    """Return the address of a database of Django's for connections of our own.

    It is made of parts, because a path or a password may hold any character. Of ``OPTIONS``, only what libpq knows is
    passed on: the rest is about Django's own connections.
    """
    given = connection.settings_dict
    name, options = given["NAME"], given.get("OPTIONS") or {}
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():
        return _url_of_file(str(name))
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(
            f"userimages keeps its records in PostgreSQL or in a SQLite file: see DATABASES[{connection.alias!r}]."
        )
    from psycopg.pq import Conninfo

    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    query = {key: str(value) for key, value in options.items() if key in known and value is not None}
    if role := options.get("assume_role"):
        escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
        query["options"] = f"{query.get('options', '')} -c role={escaped}".strip()
    host, port = given.get("HOST") or None, str(given.get("PORT") or "")
    if port and not port.isdecimal():  # one for each of several hosts
        query |= {"host": host, "port": port}
        host = None
    return URL.create(
        "postgresql+psycopg",
        username=given.get("USER") or None,
        password=given.get("PASSWORD") or None,
        host=host,
        port=int(port) if port.isdecimal() else None,
        database="postgres" if name is None else name or None,  # None is Django's word for it
        query=query,
    )


def _url_of_file(name: str) -> URL:
    if not name.startswith("file:"):
        return URL.create("sqlite", database=name)
    return URL.create("sqlite", database=name, query={"uri": "true"})


def repository() -> ImageRepository:
    """Make the repository on connections of its own."""
    connection = connections[alias()]
    return OutsideAtomic(SQLAlchemyRepository(url_of(connection)), connection.alias)


class OutsideAtomic:
    """A repository that refuses to write inside a transaction of Django's on SQLite, instead of waiting for itself.

    The library commits on a connection of its own. PostgreSQL takes both at once; SQLite has one lock for all writes,
    and the transaction that holds it would wait for the call that waits for the lock.
    """

    WRITES = frozenset(
        {
            *("begin_upload", "publish", "set_primary", "update", "begin_delete", "finish", "claim_expired", "revise"),
            *("create_schema", "new_database_id"),
        }
    )

    def __init__(self, repository: ImageRepository, alias: str) -> None:
        self._repository, self._alias = repository, alias

    def __repr__(self) -> str:
        return repr(self._repository)

    def __getattr__(self, name: str):
        if testing.under_test():
            raise ConfigurationError(
                "images() was called before the tests began, so it would change the real pictures.",
                hint="Call images() where you use it, not when a module is imported.",
            )
        connection = connections[self._alias]
        if name in self.WRITES and connection.vendor == "sqlite" and connection.in_atomic_block:
            return _refuse
        return getattr(self._repository, name)


def _refuse(*_, **__):
    raise DatabaseBusyError(
        "The call came inside a transaction of Django's, which holds SQLite's only lock.",
        hint="Call the service before atomic(), or in transaction.on_commit().",
    )
