"""A small project around the reusable app ``userimages_django``; the environment decides where bytes go."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

DATA = Path(os.environ.get("USERIMAGES_DATA_DIR") or "userimages-data").absolute()
DATA.mkdir(parents=True, exist_ok=True)


def _secret_key(file: Path) -> str:
    """Return the key that signs the sessions; it outlives a restart.

    Several workers may start at once, so the file appears whole and for its owner alone, and the first one counts.
    """
    if not file.exists():
        with tempfile.NamedTemporaryFile("w", dir=file.parent) as new:  # its mode is 0600
            new.write(secrets.token_hex(32))
            new.flush()
            with contextlib.suppress(FileExistsError):
                os.link(new.name, file)
    return file.read_text()


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or _secret_key(DATA / "django-secret")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "project.urls"
TIME_ZONE = "UTC"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "userimages_django",
    "project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "django.sqlite3"}}
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
STATIC_URL = "static/"

# Who may do what with whose images: asked on every route of the API.
USERIMAGES_AUTHORIZE = "project.guard.authorize"

# Django's own files (media, static) in the same bucket. userimages keeps to users/; its audit looks nowhere else.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if os.environ.get("R2_BUCKET_NAME"):
    from .r2 import r2_storages

    STORAGES = r2_storages(os.environ)
