"""What only Django has: CSRF, migrations, transactions, foreign keys, the admin, system checks and STORAGES."""

import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from userimages import (
    ConfigurationError,
    ConflictError,
    DatabaseBusyError,
    ImageRepository,
    ImageService,
    InvalidFieldError,
    RepositoryError,
)
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor, make_image

ROOT = Path(__file__).parents[2]
JPEG = make_image("JPEG", (400, 300))


def client(**options):
    from django.test import Client

    return Client(headers={"host": "localhost"}, **options)


def post_image(browser, **options):
    upload = io.BytesIO(JPEG)
    upload.name = "cat.jpg"
    fields = {"username": "demo", "image_type": "gallery", "image": upload}
    return browser.post("/api/upload_user_image/", fields, **options)


# CSRF


@pytest.mark.contract("C20")
def test_the_csrf_token_of_the_home_page_allows_upload(project):
    """Get of the home page sets the CSRF cookie and its token lets an upload through."""
    browser = client(enforce_csrf_checks=True)
    token = browser.get("/").cookies["csrftoken"].value

    assert post_image(browser, headers={"x-csrftoken": token}).status_code == 200
    assert b"<img src=" in browser.get("/").content


@pytest.mark.contract("C20")
def test_a_change_without_the_csrf_token_is_forbidden(project):
    """A change without the CSRF token is 403, as JSON."""
    browser = client(enforce_csrf_checks=True)
    browser.get("/")
    image = project.images().upload("demo", JPEG, image_type="gallery")
    answers = [
        post_image(browser),
        browser.post(f"/api/user_image/{image.id}/delete/"),
        browser.delete(f"/api/user_image/{image.id}/delete/"),
        browser.post(f"/api/user_image/{image.id}/set_primary/"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert {answer.json()["code"] for answer in answers} == {"forbidden"}
    assert len(project.images().list("demo")) == 1


def unreadable_bodies():
    """Yield bodies that Django's own parsers refuse before the CSRF check can find a token in them."""
    urlencoded, multipart = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"

    def parts(fields):
        lines = (f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields)
        return ("".join(lines) + "--x--\r\n").encode()

    files = b"".join(b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nf\r\n' for _ in range(101))
    yield "multipart over the limit", parts([("a", "x" * 11 * 2**20)]), multipart, 413
    yield "urlencoded over Django's limit", b"a=" + b"x" * 3_000_000, urlencoded, 400
    yield "a multipart field over Django's limit", parts([("a", "x" * 3_000_000)]), multipart, 400
    yield "too many urlencoded fields", b"&".join(b"a%d=1" % number for number in range(1001)), urlencoded, 400
    yield "too many multipart fields", parts([(f"a{number}", "1") for number in range(1001)]), multipart, 400
    yield "too many files", files + b"--x--\r\n", multipart, 400
    yield "no boundary", b"x", "multipart/form-data", 400
    yield "a boundary that is not ASCII", b"x", "multipart/form-data; boundary=\u00e9", 400
    yield "a charset that is not UTF-8", b"a=1", f"{urlencoded}; charset=utf-16", 400


@pytest.mark.contract("C20")
@pytest.mark.parametrize(
    ("body", "kind", "status"), [pytest.param(*each, id=name) for name, *each in unreadable_bodies()]
)
def test_a_body_that_cannot_be_read_changes_nothing(project, body, kind, status):
    """No error path routes a request that the CSRF protection has not passed, whatever made the parser give up."""
    images = project.images()
    image = images.upload("demo", JPEG, image_type="gallery")
    browser = client(enforce_csrf_checks=True)
    browser.get("/")
    code = {413: "file_too_large", 400: "missing_fields"}[status]
    for path in (f"user_image/{image.id}/delete/", f"user_image/{image.id}/set_primary/", "upload_user_image/"):
        answer = browser.post(f"/api/{path}", body, content_type=kind)

        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    assert [each.is_primary for each in images.list("demo")] == [False]
    images.delete(image.id)


@pytest.mark.contract("C20")
def test_the_demo_guard_knows_users_and_staff(project):
    """The demo's guard knows users by their session, and lets the staff see all."""
    image = project.images().upload("ana", JPEG, image_type="gallery")
    ana, ben = client(), client()
    ana.post("/login", {"name": "ana"})
    ben.post("/login", {"name": "ben"})

    assert ana.get(image.url).status_code == 200
    assert ben.get(image.url).status_code == 404
    assert ben.get("/api/user_images/ana/").status_code == 403
    assert "Set-Cookie" not in ana.get(image.url).headers


# Migrations and transactions


@pytest.mark.contract("C6")
def test_the_migration_makes_the_tables_of_the_library(project):
    """The migration makes the library's tables, and Django sees no change."""
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    assert project.images().repository.missing_schema() == ()


def test_a_call_inside_atomic_on_sqlite_gives_advice(project):
    """A call inside `atomic` on SQLite says what to do, and works after the commit."""
    from django.db import transaction

    ids = []
    with transaction.atomic():
        assert len(project.images().list("ana")) == 0
        with pytest.raises(RepositoryError, match="on_commit"):
            project.images().upload("ana", JPEG, image_type="gallery")
        transaction.on_commit(lambda: ids.append(project.images().upload("ana", JPEG, image_type="gallery").id))

    assert [image.id for image in project.images().list("ana")] == ids


def test_the_api_works_under_atomic_requests(project, monkeypatch):
    """The API works under atomic requests."""
    from django.db import connection

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    browser = client()
    browser.get("/")

    assert post_image(browser).status_code == 200


ON_POSTGRESQL = """
import django
django.setup()
from django.core.management import call_command
from django.db import transaction
from project.models import Post
from userimages import ConflictError
from userimages.testing import make_image
from userimages_django.models import Image
from userimages_django.service import images

call_command("migrate", verbosity=0)
with transaction.atomic():
    Post.objects.count()
    image = images().upload("ana", make_image(), image_type="profile", is_primary=True)
    post = Post.objects.create(title="Hello", picture_id=image.id)
seen = Image.objects.prefetch_related("primaries").get(id=image.id)
assert seen.user == "ana" and seen.url == image.url and dict(seen.variants) == dict(image.variants)
assert seen.primaries.get().user == "ana" and seen.uploaded_at == image.uploaded_at
try:
    images().delete(image.id)
except ConflictError:
    print("refused")
post.delete()
images().delete(image.id)
print(Image.objects.filter(id=image.id).count())
"""


@pytest.mark.contract("C15")
def test_calls_inside_atomic_on_postgresql_work(project, postgresql, tmp_path):
    """On PostgreSQL calls inside `atomic` work, and a foreign key refuses a deletion."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("CREATE DATABASE of_django")
    url = urlsplit(postgresql)
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "of_django",
        "USER": url.username,
        "PASSWORD": url.password or "",
        "HOST": url.query.partition("host=")[2] or url.hostname,
        "PORT": url.port or "",
    }
    (tmp_path / "on_postgresql.py").write_text(
        f"from project.settings import *\nDATABASES = {{'default': {settings!r}}}\n"
    )
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "on_postgresql", "USERIMAGES_DATA_DIR": str(tmp_path / "data")}
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT / "examples/django_app")])
    done = subprocess.run(
        [sys.executable, "-c", ON_POSTGRESQL], env=environ, capture_output=True, text=True, check=False
    )

    assert (done.stdout.split(), done.returncode) == (["refused", "0"], 0), done.stderr


# Foreign keys and models


@pytest.mark.contract("C15")
def test_a_picture_that_a_foreign_key_holds_is_kept(project):
    """The answer is 409, and the bytes stay."""
    from project.models import Post

    image = project.images().upload("demo", JPEG, image_type="gallery")
    post = Post.objects.create(title="Hello", picture_id=image.id)
    browser = client()
    browser.get("/")
    answer = browser.delete(f"/api/user_image/{image.id}/delete/")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    with pytest.raises(ConflictError):
        project.images().delete(image.id)
    with project.images().open(image.id) as stream:
        assert stream.read(2) == b"\xff\xd8"
    post.delete()
    assert browser.delete(f"/api/user_image/{image.id}/delete/").status_code == 200


def test_the_models_are_for_reading(project):
    """The models are for reading."""
    from userimages_django.models import Image

    made = project.images().upload("ana", JPEG, image_type="cover", is_primary=True, caption="Sea")
    image = Image.objects.get(user="ana", image_type="cover")

    assert (image.id, image.width, image.uploaded_at, str(image)) == (made.id, 400, made.uploaded_at, "Sea")
    assert image.primaries.get().user == "ana"
    for write in (image.save, image.delete, Image.objects.all().delete, lambda: Image.objects.update(caption="x")):
        with pytest.raises(TypeError, match="service"):
            write()


# C32


@pytest.fixture
def staff(project):
    from django.contrib.auth.models import User

    user, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    browser = client()
    browser.force_login(user)
    return browser


LIST = "/admin/userimages_django/image/"


@pytest.mark.contract("C32")
def test_the_admin_lists_and_finds_the_images(project, staff):
    """The admin lists the images with thumbnails, and finds them."""
    image = project.images().upload("ana", JPEG, image_type="profile", caption="Sea")
    project.images().upload("ben", JPEG, image_type="gallery", caption="Hill")
    page = staff.get(LIST, {"q": "sea"}).content.decode()

    assert f'<img src="/api/user_image/{image.id}/serve/?variant=64"' in page
    assert "ana" in page
    assert "Hill" not in page
    assert staff.get(f"/api/user_image/{image.id}/serve/?variant=64").headers["Content-Type"] == "image/webp"


@pytest.mark.contract("C32")
def test_the_admin_changes_through_the_service(project, staff):
    """The admin makes primary, captions and deletes through the service."""
    first, second = (project.images().upload("ana", JPEG, image_type="gallery") for _ in range(2))
    staff.post(LIST, {"action": "make_primary", "_selected_action": [str(second.id)]})
    assert project.images().primary("ana").id == second.id

    staff.post(f"{LIST}{second.id}/change/", {"caption": "A & B"})
    assert project.images().get(second.id).caption == "A & B"

    staff.post(LIST, {"action": "delete_selected", "_selected_action": [str(first.id)], "post": "yes"})
    staff.post(f"{LIST}{second.id}/delete/", {"post": "yes"})
    assert len(project.images().list("ana")) == 0
    assert list(project.images().storage.list("users/ana/")) == []


@pytest.mark.contract("C32")
def test_the_admin_adds_no_image_past_the_checks(project, staff):
    """The admin adds no image past the checks."""
    assert staff.get(f"{LIST}add/").status_code == 403


# System checks


def test_the_system_checks_find_every_wrong_setting(project, settings_changed):
    """The system checks find every wrong setting."""
    from userimages_django import checks

    def found(**settings):
        with settings_changed(**settings):
            return [each.id for each in (*checks.check_guard(), *checks.check_storages())]

    s3 = {"BACKEND": "storages.backends.s3.S3Storage"}
    assert found() == []
    assert found(USERIMAGES_AUTHORIZE="") == ["userimages.E001"]
    assert found(USERIMAGES_AUTHORIZE="project.guard.nothing") == ["userimages.E002"]
    assert found(USERIMAGES_AUTHORIZE="project.guard.OPEN") == ["userimages.E002"]
    assert found(STORAGES={"default": {**s3, "OPTIONS": {"location": "/users/x"}}}) == ["userimages.W001"]
    assert found(STORAGES={"default": s3}) == ["userimages.W001"]
    assert found(STORAGES={"default": {**s3, "OPTIONS": {"location": "media"}}}) == []


def test_the_checks_find_what_cannot_be_imported(project, settings_changed):
    """And recipes beside a processor, which would be ignored."""
    from userimages_django import checks

    def found(**settings):
        with settings_changed(**settings):
            return {each.id for each in checks.check_settings()}

    assert found() == set()
    assert found(USERIMAGES_ON_DELETED="project.nowhere") == {"userimages.E005"}
    assert found(USERIMAGES_USER="project.nowhere") == {"userimages.E005"}
    assert found(USERIMAGES_RECIPES={"banner": None, "BAD NAME": None}) == {"userimages.E006"}
    assert found(USERIMAGES_RECIPES={"cover": None}, USERIMAGES_PROCESSOR=instant_processor) == {"userimages.E006"}


def test_the_checks_warn_of_requests_in_transactions(project, monkeypatch):
    """On SQLite no view of such a project can write, and its tests do not show it: they have one connection."""
    from django.db import connection
    from userimages_django import checks

    assert checks.check_database() == []
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    (warning,) = checks.check_database()
    assert warning.id == "userimages.W004"


def test_the_checks_find_a_serve_url_of_elsewhere(project, settings_changed):
    """The API may be included anywhere; the URLs of images and of direct uploads have to say where."""
    from userimages_django import checks

    assert checks.check_urls() == []
    with settings_changed(ROOT_URLCONF="userimages_django.urls"):
        assert checks._url_of_api("user_image/{id}/serve/") is None  # it is not included as an app
    with settings_changed(ROOT_URLCONF=elsewhere()):
        (warning,) = checks.check_urls()
        assert warning.id == "userimages.W002"
        assert "/pictures/user_image/{id}/serve/" in warning.hint
    with settings_changed(ROOT_URLCONF=elsewhere(), USERIMAGES_SIGNING_KEYS="k" * 32):
        staged = checks.check_urls()[1]
        assert staged.hint == "USERIMAGES_STAGED_URL = '/pictures/staged_upload/{id}/'"
    with settings_changed(ROOT_URLCONF=elsewhere(), USERIMAGES_SERVE_URL="https://example.com/{id}"):
        assert checks.check_urls() == []


def elsewhere():
    """Return URLs with the API at another place than usual."""
    from django.urls import include, path

    urls = ModuleType("urls")
    urls.urlpatterns = [path("pictures/", include("userimages_django.urls"))]
    return urls


@pytest.mark.parametrize(
    ("on_delete", "found"),
    [
        ("PROTECT", []),
        ("RESTRICT", []),
        ("DO_NOTHING", []),
        ("CASCADE", ["userimages.W003"]),
        ("SET_NULL", ["userimages.W003"]),
    ],
)
def test_a_foreign_key_must_not_promise_too_much(project, on_delete, found):
    """Django's on_delete runs where Django deletes, and it is not Django that deletes images."""
    from django.db import models
    from django.test.utils import isolate_apps
    from userimages_django import checks
    from userimages_django.models import Image

    with isolate_apps("project") as registry, pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "get_model", lambda *_: Image, raising=False)
        patch.setattr(checks, "apps", registry)

        class Pin(models.Model):
            picture = models.ForeignKey(Image, getattr(models, on_delete), null=True, related_name="+")

            class Meta:
                app_label = "project"

        assert [each.id for each in checks.check_foreign_keys()] == found


def test_the_models_have_the_columns_of_the_tables(project):
    """Each column is declared, with its name and its nullability, because Django makes queries and states of them."""
    from django.apps import apps

    from userimages.repositories.tables import images, intents, primaries

    models = {model._meta.db_table: model for model in apps.get_app_config("userimages_django").get_models()}
    assert models.keys() == {table.name for table in (images, intents, primaries)}
    for table in (images, intents, primaries):
        declared = {field.column: field.null for field in models[table.name]._meta.local_concrete_fields}
        declared.pop(None, None)  # a key of two columns
        assert declared == {column.name: column.nullable for column in table.columns}


def test_every_writing_verb_is_refused_inside_atomic(project):
    """A verb that the protocol gains must be listed as one that writes, or be one that reads."""
    from django.db import transaction
    from userimages_django.database import OutsideAtomic

    reads = {"get", "get_many", "list", "recent", "primaries", "list_by_key", "list_intents", "usage"}
    verbs = {name for name in vars(ImageRepository) if not name.startswith("_")}
    assert verbs - reads <= OutsideAtomic.WRITES
    repository = project.images().repository
    with transaction.atomic():
        for name in OutsideAtomic.WRITES:
            with pytest.raises(DatabaseBusyError, match="on_commit"):
                getattr(repository, name)()


def test_a_name_is_that_of_a_user(project, settings_changed):
    """By default the primary key; a string is a name already; nobody has none."""
    from django.contrib.auth.models import AnonymousUser, User

    with pytest.raises(ConfigurationError):
        project.name_of(User(pk=7))  # the demo has users of its own
    with settings_changed(USERIMAGES_USER=""):
        assert project.name_of(User(pk=7)) == "7"
        assert project.name_of("ana") == "ana"
        with pytest.raises(InvalidFieldError, match="signed in"):
            project.name_of(AnonymousUser())
    with settings_changed(USERIMAGES_USER=lambda user: user.username):
        assert project.name_of(User(pk=7, username="ana")) == "ana"


def test_settings_count_more_than_the_environment(project, settings_changed, monkeypatch, tmp_path):
    """Those of the same names, as text; and what is kept is made again after a change."""
    monkeypatch.setenv("R2_BUCKET_NAME", "of-the-environment")
    monkeypatch.delenv("USERIMAGES_DATA_DIR", raising=False)
    with settings_changed(R2_BUCKET_NAME="of-settings", USERIMAGES_PRIMARY_PER_TYPE=True, BASE_DIR=ROOT):
        found = project.environment()
    assert found["R2_BUCKET_NAME"] == "of-settings"
    assert found["USERIMAGES_PRIMARY_PER_TYPE"] == "true"
    assert found["USERIMAGES_DATA_DIR"] == str(ROOT / "userimages-data")
    monkeypatch.delenv("R2_BUCKET_NAME")
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    storage = MemoryStorage()
    with settings_changed(USERIMAGES_STORAGE=storage, USERIMAGES_SERVE_URL="/p/{id}"):
        assert project.images().storage is storage
        image = project.images().upload("ana", JPEG, image_type="gallery")
        assert image.url == f"/p/{image.id}"
        project.images().delete(image.id)
    with settings_changed(USERIMAGES_SIGNING_KEYS="k" * 32, USERIMAGES_STAGED_URL="/s/{id}"):
        ticket = project.images().begin_upload("ana", size_bytes=3, mime_type="image/jpeg")
        assert ticket.url.startswith(f"/s/{ticket.id}?")
    with settings_changed(USERIMAGES_SERVE_URL="/q/{id}"):
        assert project.images().storage is not storage


@pytest.fixture
def settings_changed():
    from django.test import override_settings

    return override_settings


def databases(engine, **given):
    """Return the connections of Django's for one entry of DATABASES."""
    from django.db.utils import ConnectionHandler

    return ConnectionHandler({"default": {"ENGINE": engine, **given}})


SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"


@pytest.mark.parametrize(
    "name",
    ["a b", "a?b", "a%20b", "a#b", "a memory of mine", ":memory:x", "a'b\"c", "\u00e9", "x?mode=ro"],
)
def test_the_file_of_the_records_is_that_of_django(project, name, tmp_path):
    """Whatever characters its path has: one file is made, and both see one table."""
    from userimages_django.database import url_of

    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    file = tmp_path / name / f"{name}.sqlite3"
    file.parent.mkdir()
    for given in (file, str(file)):
        connection = databases(SQLITE, NAME=given)["default"]
        repository = SQLAlchemyRepository(url_of(connection))
        repository.create_schema()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM userimages_images")
        assert [each.name for each in file.parent.iterdir() if not each.name.endswith(("-wal", "-shm"))] == [file.name]
        repository.close()
        connection.close()


PARTS = {"USER": "u@x", "PASSWORD": "p:/?#%40", "HOST": "db", "PORT": 5433}


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ({}, {}),
        (PARTS, {"user": "u@x", "password": "p:/?#%40", "host": "db", "port": 5433}),
        ({"HOST": "::1"}, {"host": "::1"}),
        ({"HOST": "/run/postgresql", "PORT": "5433"}, {"host": "/run/postgresql", "port": 5433}),
        ({"HOST": "one,two", "PORT": "5432,5433"}, {"host": "one,two", "port": "5432,5433"}),
        ({"NAME": "", "OPTIONS": {"service": "shop"}}, {"service": "shop", "dbname": None}),
        ({"OPTIONS": {"sslmode": "require", "connect_timeout": 3}}, {"sslmode": "require", "connect_timeout": "3"}),
        ({"OPTIONS": {"pool": True, "server_side_binding": True, "isolation_level": 3}}, {}),
        ({"OPTIONS": {"pool": {"min_size": 2}, "prepare_threshold": 5}}, {}),
        ({"OPTIONS": {"assume_role": "a role"}}, {"options": r"-c role=a\ role"}),
        ({"OPTIONS": {"assume_role": "r", "options": "-c a=1"}}, {"options": "-c a=1 -c role=r"}),
    ],
)
def test_libpq_is_told_what_django_tells_it(project, given, reached):
    """The parts are passed on as they are; options that are Django's own are not."""
    pytest.importorskip("psycopg")
    from sqlalchemy.dialects.postgresql.psycopg import dialect
    from userimages_django.database import url_of

    arguments = {"dbname": "p/n", **reached}
    _, connects_with = dialect().create_connect_args(
        url_of(databases(POSTGRESQL, **{"NAME": "p/n", **given})["default"])
    )
    connects_with.pop("context", None)
    assert connects_with == {name: value for name, value in arguments.items() if value is not None}


def test_a_database_that_cannot_hold_the_records(project, monkeypatch):
    """The system checks find one of another kind, in memory, or of a name that DATABASES lacks."""
    from django.test import override_settings
    from userimages_django import checks

    assert checks.check_database() == []
    for engine in (SQLITE, "django.db.backends.dummy"):
        monkeypatch.setattr(checks, "connections", databases(engine, NAME=":memory:"))
        assert [each.id for each in checks.check_database()] == ["userimages.E003"]
    with override_settings(USERIMAGES_DATABASE="nowhere"):
        assert [each.id for each in checks.check_database()] == ["userimages.E003"]


# C23

R2 = {
    "R2_ACCOUNT_ID": "0123456789abcdef0123456789abcdef",
    "R2_ACCESS_KEY_ID": "id",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_BUCKET_NAME": "bucket",
}


@pytest.mark.contract("C23")
def test_the_storages_entries_have_the_options_of_r2(project, storages):
    """The `STORAGES` entries carry the options that R2 needs."""
    from django.core.files.storage.handler import StorageHandler
    from project.r2 import r2_storages

    entries = r2_storages({**R2, "R2_JURISDICTION": "eu", "R2_PUBLIC_DOMAIN": "img.example.com"})
    media = StorageHandler(entries)["default"]
    config = media.client_config

    assert media.endpoint_url == "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com"
    assert (media.region_name, media.default_acl, media.location) == ("auto", None, "media")
    assert (config.request_checksum_calculation, config.response_checksum_validation) == ("when_required",) * 2
    assert media.url("a b.txt") == "https://img.example.com/media/a%20b.txt"
    assert entries["staticfiles"]["OPTIONS"]["location"] == "static"


@pytest.mark.contract("C23")
def test_no_setting_is_one_that_django_dropped(project, storages):
    """The setting that Django dropped is not used, and no class is missing."""
    from django.conf import settings
    from django.utils.module_loading import import_string
    from project.r2 import r2_storages

    assert not hasattr(settings, "DEFAULT_FILE_STORAGE")
    for entry in r2_storages(R2).values():
        assert import_string(entry["BACKEND"])


@pytest.mark.contract("C23")
def test_the_audit_leaves_files_of_django_alone(project, storages, seaweedfs):
    """Files of Django in the same bucket are nothing to the audit."""
    from django.core.files.base import ContentFile
    from django.core.files.storage.handler import StorageHandler
    from project.r2 import r2_storages

    from userimages.storages.r2 import R2Storage

    media = StorageHandler(r2_storages(seaweedfs.environ()))["default"]
    sent = []
    media.connection.meta.client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(request.headers)
    )
    name = media.save(f"{uuid4()}.txt", ContentFile(b"hello"))
    storage = R2Storage.from_env(seaweedfs.environ())
    report = ImageService(storage, MemoryRepository()).audit()

    assert [each.key for each in storage.list(f"media/{name}")] == [f"media/{name}"]
    with media.open(name) as file:
        assert file.read() == b"hello"
    assert not {each.key for each in report.orphans} & {f"media/{name}"}
    names = {name.lower() for headers in sent for name in headers}
    assert names
    assert not {
        each for each in names if each.startswith(("x-amz-acl", "x-amz-trailer", "x-amz-checksum", "x-amz-sdk"))
    }
    assert report.unknown == 0
    media.delete(name)
