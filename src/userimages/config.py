"""The environment's settings, and the service that they describe."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from userimages.errors import ConfigurationError
from userimages.lifecycle.deletion import OnDeleted
from userimages.logs import log
from userimages.protocols import ImageRepository, Processor, Storage
from userimages.service import ImageService
from userimages.signing import SIGNING_KEYS, UrlSigner

if TYPE_CHECKING:
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

DATA_DIR = "USERIMAGES_DATA_DIR"
DATABASE_URL = "USERIMAGES_DATABASE_URL"
STORAGE = "USERIMAGES_STORAGE"
PRIMARY_PER_TYPE = "USERIMAGES_PRIMARY_PER_TYPE"
SETTINGS = (DATA_DIR, DATABASE_URL, STORAGE, PRIMARY_PER_TYPE, SIGNING_KEYS)
DEFAULT_DATA_DIR = "userimages-data"
_PREFIX = "USERIMAGES_"


def service_from_env(
    environ: Mapping[str, str] | None = None,
    *,
    storage: Storage | None = None,
    repository: ImageRepository | None = None,
    processor: Processor | None = None,
    serve_url: str | None = None,
    staged_url: str | None = None,
    on_deleted: OnDeleted | None = None,
    primary_per_type: bool | None = None,
    create: bool = True,
) -> ImageService:
    """Make the service that the environment describes, with its folder and its tables.

    ``R2_*`` chooses Cloudflare R2, else the bytes are on the local disk under ``USERIMAGES_DATA_DIR`` (default
    ``userimages-data``). ``USERIMAGES_STORAGE`` says which of the two it must be (``r2`` or ``disk``), so that a lost
    environment is an error. ``USERIMAGES_DATABASE_URL`` is the database, else SQLite in that folder.
    ``USERIMAGES_SIGNING_KEYS`` signs the URLs of private images. An empty value counts as not set.

    Args:
        environ: the settings; None reads ``os.environ``.
        storage: holds the objects in place of what the settings say.
        repository: holds the records in place of what the settings say; its tables are there.
        processor: as for ``ImageService``.
        serve_url: as for ``ImageService``.
        staged_url: as for ``ImageService``.
        on_deleted: as for ``ImageService``.
        primary_per_type: as for ``ImageService``; None reads ``USERIMAGES_PRIMARY_PER_TYPE`` (``true`` or ``false``).
        create: make folders and tables that are missing. False is for tools that run beside the application.

    Raises:
        ConfigurationError: settings are missing, wrong or misspelt, and the message names every one of them; or the
            folder of the objects is missing, although there are images.
        RepositoryError: the database cannot be reached.
    """
    settings = _settings(environ)
    signer = UrlSigner.from_env(settings)
    if primary_per_type is None:
        primary_per_type = _flag(settings, PRIMARY_PER_TYPE)
    if storage is None and _wants_r2(settings):
        storage = storage_from_env(settings)
    if repository is None:
        repository = repository_from_env(settings, create=create)
    if storage is None:
        # If there are images but no folder for them, a volume is not mounted: this is not a first start.
        storage = storage_from_env(settings, create=create and not repository.list_by_key(limit=1))
    place = f"the bucket {storage.bucket_name}" if hasattr(storage, "bucket_name") else repr(storage)
    log.info("objects are stored in %s, records in %r", place, repository, extra={"event": "configured"})
    urls: dict[str, Any] = {"serve_url": serve_url, "staged_url": staged_url}
    return ImageService(
        storage,
        repository,
        processor=processor,
        signer=signer,
        on_deleted=on_deleted,
        primary_per_type=primary_per_type,
        **{name: url for name, url in urls.items() if url is not None},
    )


def storage_from_env(environ: Mapping[str, str] | None = None, *, create: bool = True) -> Storage:
    """Make the storage that the environment describes: the part of ``service_from_env`` without the records.

    Raises:
        ConfigurationError: settings are missing, wrong or misspelt; or, without *create*, the folder is missing.
    """
    settings = _settings(environ)
    if _wants_r2(settings):
        from userimages.storages.r2 import R2Storage

        try:
            return R2Storage.from_env(settings)
        except ConfigurationError as exc:
            if STORAGE not in settings:
                raise
            raise ConfigurationError(f"{STORAGE} is r2. {exc.message}", hint=exc.hint) from exc
    from userimages.storages.disk import DiskStorage

    try:
        return DiskStorage(_folder(settings) / "objects", create=create)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{DATA_DIR}: {exc.message}", hint=exc.hint) from exc


def repository_from_env(environ: Mapping[str, str] | None = None, *, create: bool = True) -> SQLAlchemyRepository:
    """Make the repository that the environment describes: the part of ``service_from_env`` without the objects.

    Raises:
        ConfigurationError: settings are wrong or misspelt; or, without *create*, the file of SQLite is missing.
        RepositoryError: with *create*, the database cannot be reached.
    """
    settings = _settings(environ)
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository  # first: it says what to install
    from sqlalchemy import URL  # isort: skip

    setting = DATABASE_URL if DATABASE_URL in settings else DATA_DIR
    folder = _folder(settings)
    if setting == DATA_DIR and create:
        _make_folder(folder)
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
        new = repository.file is not None and not repository.file.exists()
        repository.create_schema()
        if new:  # it may be the wrong folder, or a volume that is not mounted
            log.warning(
                "there was no database, so an empty one was made: %s", repository.file, extra={"event": "new_database"}
            )
    return repository


def _settings(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the settings that have a value, after a check of their names."""
    settings = {name: value for name, value in (os.environ if environ is None else environ).items() if value.strip()}
    _refuse_misspelt(settings)
    return settings


def _folder(settings: Mapping[str, str]) -> Path:
    return Path(settings.get(DATA_DIR, DEFAULT_DATA_DIR)).absolute()


def _wants_r2(settings: Mapping[str, str]) -> bool:
    """Tell whether the bytes go to R2; refuse settings that contradict each other."""
    wanted = settings.get(STORAGE, "").strip().lower()
    has_r2 = any(name.startswith("R2_") for name in settings)
    if wanted not in ("", "r2", "disk"):
        raise ConfigurationError(f"{STORAGE} is {settings[STORAGE]!r}.", hint="Write r2 or disk.")
    if wanted == "disk" and has_r2:
        raise ConfigurationError(f"{STORAGE} is disk, but R2_* are set.", hint="Remove one of them.")
    return has_r2 or wanted == "r2"


def _flag(settings: Mapping[str, str], name: str) -> bool:
    text = settings.get(name, "false").strip().lower()
    if text not in ("true", "false"):
        raise ConfigurationError(f"{name} is {settings[name]!r}.", hint="Write true or false.")
    return text == "true"


def _expect(database: Path) -> None:
    """Refuse to go on without the file of the database."""
    try:
        database.stat()
    except OSError as exc:
        raise ConfigurationError(
            f"The database {database} cannot be opened: {os.strerror(exc.errno or 0)}.",
            hint="Start the application once, which makes it, and use its settings and its user.",
        ) from exc


def _make_folder(folder: Path) -> None:
    """Make the data folder if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationError(
            f"The folder {folder} cannot be made: {os.strerror(exc.errno or 0)}.",
            hint=f"Point {DATA_DIR} to a folder that this user may write.",
        ) from exc


def _refuse_misspelt(settings: Mapping[str, str]) -> None:
    """Refuse a name that resembles one of ours: a typo must not put photos on the disk of a container."""
    known = [name.removeprefix(_PREFIX) for name in SETTINGS]
    misspelt: dict[str, str] = {}
    for name in sorted(settings):
        match = re.match("USER_?IMAGES?_(.*)", name, re.IGNORECASE)
        if match and match[1].upper().startswith("R2_"):
            misspelt[name] = match[1].upper()
        elif match and name not in SETTINGS:
            written = match[1].upper()
            part = [each for each in known if len(written) > 2 and written in each]
            meant = part[:1] or difflib.get_close_matches(written, known, n=1, cutoff=0.6)
            misspelt.update((name, _PREFIX + each) for each in meant)
    if misspelt:
        pairs = ", ".join(f"{name} (did you mean {meant}?)" for name, meant in misspelt.items())
        raise ConfigurationError(f"Unknown settings: {pairs}.", hint="Correct or remove them.")
