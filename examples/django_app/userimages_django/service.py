"""The project's one service: records in the project's own database, bytes where the settings say."""

import functools
import os

from django.conf import settings
from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from userimages import ConfigurationError, ImageService, InvalidFieldError, Processor, Storage
from userimages.config import DATA_DIR, SETTINGS, STORAGE, service_from_env
from userimages.processing import PillowProcessor

from . import database, testing

objects_of_tests = testing.Objects()


def images() -> ImageService:
    """Return the service. Call it where you need it, and do not keep it: a test has another than the one before."""
    if testing.under_test():
        return _service(objects_of_tests.of_this_test(connections[database.alias()]))
    return _service(None)


def name_of(user) -> str:
    """Return the string that names a user of Django's: what the service takes as *user*. A string is returned as it is.

    It is ``str(user.pk)``, unless ``USERIMAGES_USER`` names a function of yours. None there means that the users of
    the service are not those of Django.
    """
    if isinstance(user, str):
        return user
    if getattr(settings, "USERIMAGES_USER", "") is None:
        raise ConfigurationError("USERIMAGES_USER is None.", hint="Pass the string that names the user.")
    if user.pk is None:
        raise InvalidFieldError("Nobody is signed in.", field="user", hint="Pass a user that is saved.")
    named = setting("USERIMAGES_USER")
    return named(user) if named else str(user.pk)


def setting(name: str):
    """Return a setting that is an object or the dotted path of one; None if it is not set."""
    value = getattr(settings, name, None)
    return import_string(value) if value and isinstance(value, str) else value


@functools.lru_cache(maxsize=4)
def _service(objects: Storage | None) -> ImageService:
    """Make the service of a test, whose objects are given, or of production."""
    records = testing.on_djangos_connection(database.alias()) if objects is not None else database.repository()
    return service_from_env(
        environment(),
        storage=_storage() if objects is None else objects,
        repository=records,
        processor=processor(),
        serve_url=getattr(settings, "USERIMAGES_SERVE_URL", None),
        staged_url=getattr(settings, "USERIMAGES_STAGED_URL", None),
        on_deleted=setting("USERIMAGES_ON_DELETED"),
    )


def environment() -> dict[str, str]:
    """Return the environment with the settings of the same names, which count more, as text."""
    names = [*SETTINGS, *(name for name in dir(settings) if name.startswith("R2_"))]
    ours = {name: getattr(settings, name) for name in names if getattr(settings, name, None) is not None}
    if STORAGE in ours and ours[STORAGE] not in ("r2", "disk"):
        del ours[STORAGE]  # a storage of the project's own
    found = os.environ | {
        name: str(value).lower() if value in (True, False) else str(value) for name, value in ours.items()
    }
    if not found.get(DATA_DIR) and hasattr(settings, "BASE_DIR"):
        found[DATA_DIR] = os.path.join(settings.BASE_DIR, "userimages-data")
    return found


def _storage() -> Storage | None:
    named = getattr(settings, STORAGE, None)
    return None if named in (None, "", "r2", "disk") else setting(STORAGE)


def processor() -> Processor | None:
    """Return the processor of the settings; None is the default one."""
    recipes, named = setting("USERIMAGES_RECIPES"), setting("USERIMAGES_PROCESSOR")
    if recipes and named:
        raise ConfigurationError(
            "USERIMAGES_RECIPES and USERIMAGES_PROCESSOR are both set.", hint="Give the recipes to your processor."
        )
    return PillowProcessor(recipes=recipes) if recipes else named


def _forget(*, setting: str, **_) -> None:
    if setting == "DATABASES" or setting.startswith(("USERIMAGES_", "R2_")):
        _service.cache_clear()


setting_changed.connect(_forget, dispatch_uid="userimages")
