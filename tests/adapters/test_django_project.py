"""A project as ``startproject`` makes it, in an environment of its own, with the adapter as the console writes it."""

import functools
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.adapters.strangers import new_environment, run
from tests.parts import needs

POSTS = Path(__file__).with_name("django_project") / "posts"

SETTINGS = """
import json, os
INSTALLED_APPS += ["userimages_django", "posts"]
ROOT_URLCONF = "posts.urls"
USERIMAGES_AUTHORIZE = "posts.views.authorize"
if "DATABASE" in os.environ:
    DATABASES["default"] = json.loads(os.environ["DATABASE"])
if "ATOMIC" in os.environ:
    DATABASES["default"]["ATOMIC_REQUESTS"] = True
"""
OTHER = """
from project.settings import *
INSTALLED_APPS.remove("posts")
DATABASES["media"] = {**DATABASES["default"], "NAME": BASE_DIR / "of?media%20#memory.sqlite3"}
DATABASE_ROUTERS = ["userimages_django.database.Router"]
USERIMAGES_DATABASE = "media"
ROOT_URLCONF = "userimages_django.urls"
USERIMAGES_AUTHORIZE = "userimages.errors.may_have_happened"  # any function will do
"""
BUCKET = """
from project.settings import *
R2_ACCOUNT_ID = "0" * 32
R2_ACCESS_KEY_ID = "id"
R2_BUCKET_NAME = "pictures"
"""


@pytest.fixture(scope="module")
def bin(tmp_path_factory):
    needs("django")
    return new_environment(tmp_path_factory.mktemp("django"), "psycopg-pool", "pytest-django")


def project(bin, folder):
    """Make a project in *folder*, and return what runs a program of the environment in it."""
    started = run([bin / "python", "-m", "django", "startproject", "project", "."], folder)
    written = run([bin / "userimages", "adapter", "django", "."], folder)
    assert (started.stderr, written.stderr) == ("", "")
    shutil.copytree(POSTS, folder / "posts", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "project/settings.py").open("a") as file:
        file.write(SETTINGS)
    (folder / "project/other.py").write_text(OTHER)
    (folder / "project/bucket.py").write_text(BUCKET)

    def manage(*arguments, status=0, cwd=folder, **settings):
        settings = {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(folder)} | settings
        done = run([bin / "python", *arguments], cwd, **settings)
        assert done.returncode == status, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    return manage


@pytest.fixture
def manage(bin, tmp_path):
    return project(bin, tmp_path)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(bin, request, tmp_path_factory):
    """Return a project in production: its folder, and what runs its programs. Its tables are made."""
    folder = tmp_path_factory.mktemp("shop")
    database = {}
    if request.param == "postgresql":
        database = {"DATABASE": json.dumps(entry_of(request.getfixturevalue("new_database")(), pool=True))}
    manage = functools.partial(project(bin, folder), **database)
    manage("manage.py", "migrate", "-v0")
    return folder, manage


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """Return what the settings need for a database that is empty."""
    if request.param == "sqlite":
        return {}
    return {"DATABASE": json.dumps(entry_of(request.getfixturevalue("own_database")))}


def entry_of(url, *, pool=False):
    """Return the entry of ``DATABASES`` for a database, with options of Django's own and of libpq."""
    from sqlalchemy import make_url

    url = make_url(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.query.get("host", url.host or ""),
        "PORT": url.port or "",
        "OPTIONS": {
            "isolation_level": 3,
            "server_side_binding": True,
            "options": "-c statement_timeout=60000",
            **({"pool": True} if pool else {"assume_role": url.username or "postgres"}),  # Django hangs with both
        },
    }


RUNNERS = {
    "in turn": ("manage.py", "test", "--shuffle"),
    "side by side": ("manage.py", "test", "--parallel", "2", "--reverse"),
    "pytest": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "posts/tests.py"),
    "pytest without migrations": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "posts/tests.py", "--nomigrations"),
}

SMALL_FORM = [("in turn", False), ("side by side", True), ("pytest without migrations", False)]
TORTURE = bool(os.environ.get("USERIMAGES_TORTURE"))


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_tests_of_a_project_leave_nothing(runner, manage, database, tmp_path):
    """Each test begins with nothing, in whatever order, and the data of development is not touched."""
    if not TORTURE and (runner, bool(database)) not in SMALL_FORM:
        pytest.skip("a run takes seconds: all of them are in `make torture`")
    done = manage(*RUNNERS[runner], **database)

    assert "OK" in done.stderr or " passed" in done.stdout
    assert not (tmp_path / "userimages-data").exists()
    assert not list(tmp_path.glob("*.sqlite3*"))


@pytest.mark.parametrize(
    "name",
    [
        "first_call_inside_atomic",
        "the_admin_deletes_in_requests_of_one_transaction",
        "deleted_users_leave_nothing_but_what_others_show",
    ],
)
def test_in_production_it_works(name, shop):
    """See the function of this name in ``posts.production``."""
    _, manage = shop
    manage("-m", "posts.production", name, ATOMIC="1")


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_the_console_uses_the_projects_own_service(shop, tmp_path):
    """From another folder, too, because a cron job runs in one."""
    folder, manage = shop
    console = functools.partial(manage, folder / "manage.py", "userimages", cwd=tmp_path)
    assert json.loads(console("check", "--json").stdout)["ok"]
    assert "0 finished" in console("sweep", "--settings=project.settings").stdout
    assert (folder / "userimages-data/objects").is_dir()
    assert not list(tmp_path.iterdir())
    assert "audit" in console("-h").stdout
    assert "--max-share" in console("audit", "-h").stdout
    console("nothing", status=2)
    disk = f"disk:{folder}/userimages-data/objects"
    assert "0 missing" in console("copy", disk, f"disk:{tmp_path}/moved").stdout
    assert "Missing: R2_ACCOUNT_ID" in console("copy", disk, "r2:", status=2).stderr


def test_copy_finds_the_bucket_of_the_settings(manage):
    """R2_* may stand in the settings of the project; what is missing is named."""
    other = {"DJANGO_SETTINGS_MODULE": "project.bucket"}
    manage("manage.py", "migrate", "-v0")
    said = manage("manage.py", "userimages", "copy", "r2:", "r2:", status=2, **other).stderr
    assert "Missing: R2_SECRET_ACCESS_KEY." in said


def test_another_database_than_the_default(manage):
    """Its file may be called anything."""
    other = {"DJANGO_SETTINGS_MODULE": "project.other"}
    manage("manage.py", "migrate", "-v0", **other)
    manage("manage.py", "migrate", "-v0", "--database=media", **other)
    manage("-m", "posts.production", "another_database_holds_the_records", **other)
    assert "no issues" in manage("manage.py", "check", **other).stdout
