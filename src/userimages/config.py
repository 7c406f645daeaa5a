"""The environment's settings, and the service that they describe."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from userimages.errors import ConfigurationError
from userimages.logs import log
from userimages.protocols import Storage
from userimages.service import ImageService
from userimages.signing import SIGNING_KEYS, UrlSigner

if TYPE_CHECKING:
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

DATA_DIR = "USERIMAGES_DATA_DIR"
DATABASE_URL = "USERIMAGES_DATABASE_URL"
DEFAULT_DATA_DIR = "userimages-data"
_PREFIX = "USERIMAGES_"


def service_from_env(environ: Mapping[str, str] | None = None, *, create: bool = True) -> ImageService:
    """Make the service that the environment describes, with its folder and its tables.

    ``R2_*`` chooses Cloudflare R2, else the bytes are on the local disk under ``USERIMAGES_DATA_DIR`` (default
    ``userimages-data``). ``USERIMAGES_DATABASE_URL`` is the database, else SQLite in that folder.
    ``USERIMAGES_SIGNING_KEYS`` signs the URLs of private images. An empty value counts as not set.
    *environ* is read instead of ``os.environ`` where given. Without *create* nothing is made that
    is not there, as befits a tool beside the application.

    Raises:
        ConfigurationError: settings are missing, wrong or misspelt, and the message names every one of them; or the
            folder of the objects is missing, although it should be there.
        RepositoryError: the database cannot be reached.
    """
    settings = {name: value for name, value in (os.environ if environ is None else environ).items() if value.strip()}
    _refuse_misspelt(settings)
    signer = UrlSigner.from_env(settings)
    folder = Path(settings.get(DATA_DIR, DEFAULT_DATA_DIR)).absolute()
    if any(name.startswith("R2_") for name in settings):
        from userimages.storages.r2 import R2Storage

        storage: Storage = R2Storage.from_env(settings)
        return ImageService(storage, _repository(settings, folder, create=create), signer=signer)
    from userimages.storages.disk import DiskStorage

    repository = _repository(settings, folder, create=create)
    objects = folder / "objects"
    try:
        # Where there are images but no folder for them, a volume is not mounted: that is no new beginning.
        storage = DiskStorage(objects, create=create and not repository.list_by_key(limit=1))
    except ConfigurationError as exc:
        raise ConfigurationError(f"{DATA_DIR}: {exc.message}", hint=exc.hint) from exc
    log.info("images are stored on this machine's disk, in %s", folder, extra={"event": "configured"})
    return ImageService(storage, repository, signer=signer)


def _repository(settings: Mapping[str, str], folder: Path, *, create: bool) -> SQLAlchemyRepository:
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository  # first: it says what to install
    from sqlalchemy import URL  # isort: skip

    setting = DATABASE_URL if DATABASE_URL in settings else DATA_DIR
    if setting == DATA_DIR and create:
        _made(folder)
    try:
        repository = SQLAlchemyRepository(
            settings.get(DATABASE_URL) or URL.create("sqlite", database=str(folder / "userimages.sqlite3"))
        )
        if repository.in_memory:
            raise ConfigurationError(
                f"{settings[DATABASE_URL]} would keep the records in memory.", hint="Write sqlite:////path/to/file.db."
            )
        if not create and repository.file is not None:
            _expect(repository.file)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{setting}: {exc.message}", hint=exc.hint) from exc
    if create:
        repository.create_schema()
    return repository


def _expect(database: Path) -> None:
    """Refuse to go on without the file of the database."""
    try:
        database.stat()
    except OSError as exc:
        raise ConfigurationError(
            f"The database {database} cannot be opened: {os.strerror(exc.errno or 0)}.",
            hint="Start the application once, which makes it, and use its settings and its user.",
        ) from exc


def _made(folder: Path) -> None:
    """Make the data folder where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationError(
            f"The folder {folder} cannot be made: {os.strerror(exc.errno or 0)}.",
            hint=f"Point {DATA_DIR} to a folder that this user may write.",
        ) from exc


def _refuse_misspelt(settings: Mapping[str, str]) -> None:
    """Refuse a name that resembles one of ours: a typo must not put photos on the disk of a container."""
    known = [name.removeprefix(_PREFIX) for name in (DATA_DIR, DATABASE_URL, SIGNING_KEYS)]
    misspelt: dict[str, str] = {}
    for name in sorted(settings):
        match = re.match("USER_?IMAGES?_(.*)", name, re.IGNORECASE)
        if match and match[1].upper().startswith("R2_"):
            misspelt[name] = match[1].upper()
        elif match and name not in {DATA_DIR, DATABASE_URL, SIGNING_KEYS}:
            meant = difflib.get_close_matches(match[1].upper(), known, n=1, cutoff=0.5)
            misspelt.update((name, _PREFIX + each) for each in meant)
    if misspelt:
        pairs = ", ".join(f"{name} (did you mean {meant}?)" for name, meant in misspelt.items())
        raise ConfigurationError(f"Unknown settings: {pairs}.", hint="Correct or remove them.")
