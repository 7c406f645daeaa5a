"""What ``manage.py check`` says about the settings, and about foreign keys to images."""

from urllib.parse import unquote

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, router
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from userimages import UserImagesError
from userimages.signing import SIGNING_KEYS

from . import database, service, testing

ROUTES = {"USERIMAGES_SERVE_URL": "user_image/{id}/serve/", "USERIMAGES_STAGED_URL": "staged_upload/{id}/"}


@checks.register()
def check_guard(**_):
    name = getattr(settings, "USERIMAGES_AUTHORIZE", None)
    hint = (
        'USERIMAGES_AUTHORIZE = "project.guard.authorize", a function of (request, action, user) that returns a bool.'
    )
    if not name:
        if _url_of_api(next(iter(ROUTES.values()))) is None:  # the project has views of its own
            return []
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
    alias = database.alias()
    hint = 'USERIMAGES_DATABASE = "default", or another name of DATABASES: PostgreSQL with psycopg 3, or a SQLite file.'
    if alias not in connections:
        return [checks.Error(f"DATABASES has no {alias!r}.", hint=hint, id="userimages.E003")]
    try:
        if not testing.under_test():
            database.url_of(connections[alias])
    except (ImproperlyConfigured, ImportError) as error:
        return [checks.Error(str(error), hint=hint, id="userimages.E003")]
    if router.db_for_read(apps.get_model("userimages_django", "Image")) != alias:
        hint = 'DATABASE_ROUTERS = ["userimages_django.database.Router"]'
        return [checks.Error("The models are not read from USERIMAGES_DATABASE.", hint=hint, id="userimages.E004")]
    if connections[alias].vendor == "sqlite" and connections[alias].settings_dict.get("ATOMIC_REQUESTS"):
        message = (
            "With ATOMIC_REQUESTS on SQLite, no view can upload or delete: each would wait for its own transaction."
        )
        hint = (
            "Decorate the views that do with @transaction.non_atomic_requests. The API and the admin do so themselves."
        )
        return [checks.Warning(message, hint=hint, id="userimages.W004")]
    return []


@checks.register()
def check_settings(**_):
    """Import what the settings name."""
    found = []
    for name in ("USERIMAGES_PROCESSOR", "USERIMAGES_RECIPES", "USERIMAGES_ON_DELETED", "USERIMAGES_USER"):
        try:
            service.setting(name)
        except ImportError as error:
            found.append(checks.Error(f"{name} cannot be imported: {error}", id="userimages.E005"))
    try:
        service.processor()
    except (ImportError, UserImagesError) as error:
        found.append(checks.Error(f"The processor cannot be made: {error}", id="userimages.E006"))
    return found


@checks.register()
def check_urls(**_):
    """Compare where images are served and direct uploads are taken with what their URLs say."""
    found = []
    for name, path in ROUTES.items():
        if name == "USERIMAGES_STAGED_URL" and not service.environment().get(SIGNING_KEYS):
            continue  # no token opens this route
        there, said = _url_of_api(path), f"/api/{path}"
        if there is None or said.endswith(there) or hasattr(settings, name):
            continue
        message = f"The API is at {there}, but the URLs that the service gives are {said}."
        found.append(checks.Warning(message, hint=f"{name} = {there!r}", id="userimages.W002"))
    return found


@checks.register()
def check_foreign_keys(**_):
    """Find foreign keys that promise what Django does not do, because it is not Django that deletes images."""
    found = []
    image = apps.get_model("userimages_django", "Image")
    harmless = (models.PROTECT, models.RESTRICT, models.DO_NOTHING)
    for model in apps.get_models():
        for field in model._meta.local_fields:
            on_delete = getattr(field.remote_field, "on_delete", None)
            if field.related_model is not image or on_delete in harmless or on_delete.__name__.startswith("DB_"):
                continue
            message = (
                f"on_delete={on_delete.__name__} does nothing here: the service deletes images, not Django. The "
                "database refuses while a row refers to the image, and the service raises ConflictError."
            )
            hint = "Write models.PROTECT, which says so, and change or delete the row before its image."
            found.append(checks.Warning(message, hint=hint, obj=field, id="userimages.W003"))
    return found


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


def _url_of_api(path):
    """Return where the project has this path of the API, or None if it does not include the URLs."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return None
    try:
        return unquote(reverse("userimages:api", kwargs={"path": path}))
    except NoReverseMatch:
        return None
