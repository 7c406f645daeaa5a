"""What ``manage.py check`` says about the settings."""

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils.module_loading import import_string

from .service import database_url


@checks.register()
def check_guard(**_):
    name = getattr(settings, "USERIMAGES_AUTHORIZE", None)
    hint = (
        'USERIMAGES_AUTHORIZE = "project.guard.authorize", a function of (request, action, user) that returns a bool.'
    )
    if not name:
        return [
            checks.Error(
                "USERIMAGES_AUTHORIZE is not set: nobody says who may do what.", hint=hint, id="userimages.E001"
            )
        ]
    try:
        guard = import_string(name)
    except ImportError as error:
        return [checks.Error(f"USERIMAGES_AUTHORIZE cannot be imported: {error}", hint=hint, id="userimages.E002")]
    return (
        []
        if callable(guard)
        else [checks.Error("USERIMAGES_AUTHORIZE is not callable.", hint=hint, id="userimages.E002")]
    )


@checks.register()
def check_database(**_):
    try:
        database_url(connection.settings_dict)
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), hint="A SQLite file or PostgreSQL.", id="userimages.E003")]
    return []


@checks.register()
def check_storages(**_):
    """Keep Django's own files out of the prefix that holds the images of users."""
    found = []
    for alias, entry in settings.STORAGES.items():
        location = str(entry.get("OPTIONS", {}).get("location", ""))
        if entry["BACKEND"].startswith("storages.") and (location.strip("/").split("/")[0] in ("", "users")):
            message = f"STORAGES[{alias!r}] writes to the whole bucket, or among the images of users."
            found.append(checks.Warning(message, hint='Give it a "location" such as "media".', id="userimages.W001"))
    return found
