"""The project's one service: bytes where the environment says, records in the project's own database."""

import functools
import os
from urllib.parse import quote, urlencode

from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from userimages import ImageRepository, ImageService, RepositoryError
from userimages.config import service_from_env


@functools.cache
def images() -> ImageService:
    """Return the service; call it outside ``atomic()``, or in ``transaction.on_commit()``."""
    made = service_from_env({**os.environ, "USERIMAGES_DATABASE_URL": database_url(connection.settings_dict)})
    return ImageService(made.storage, OutsideAtomic(made.repository), processor=made.processor, signer=made.signer)


def database_url(settings: dict) -> str:
    """Return the URL of a database as it stands in ``DATABASES``."""
    engine, name = settings["ENGINE"], str(settings["NAME"])
    if engine.endswith(".sqlite3") and "memory" not in name:
        return f"sqlite:///{name}"
    if not engine.endswith((".postgresql", ".postgis")):
        raise ImproperlyConfigured("userimages keeps its records in PostgreSQL or in a SQLite file: see DATABASES.")
    options = {key: value for key, value in settings.get("OPTIONS", {}).items() if isinstance(value, str | int)}
    host = settings.get("HOST") or ""
    if host.startswith("/"):
        options["host"], host = host, ""
    user = quote(settings.get("USER") or "", safe="")
    password = f":{quote(settings['PASSWORD'], safe='')}" if settings.get("PASSWORD") else ""
    port = f":{settings['PORT']}" if settings.get("PORT") and host else ""
    where = f"{user}{password}@{host}{port}" if user or host else ""
    return f"postgresql://{where}/{quote(name, safe='')}" + (f"?{urlencode(options)}" if options else "")


class OutsideAtomic:
    """A repository that refuses to write inside a transaction of Django's on SQLite, instead of waiting for itself.

    The library commits on a connection of its own. PostgreSQL takes both at once; SQLite has one lock for all writes,
    and the transaction that holds it would wait for the call that waits for the lock.
    """

    WRITES = frozenset({"begin_upload", "publish", "set_primary", "update", "begin_delete", "finish", "claim_expired"})

    def __init__(self, repository: ImageRepository) -> None:
        self._repository = repository

    def __getattr__(self, name: str):
        if name in self.WRITES and connection.vendor == "sqlite" and connection.in_atomic_block:
            raise RepositoryError(
                "The call came inside a transaction of Django's, which holds SQLite's only lock.",
                hint="Call the service before atomic(), or in transaction.on_commit().",
            )
        return getattr(self._repository, name)
