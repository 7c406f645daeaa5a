"""What only Django has: CSRF, migrations, transactions, foreign keys, the admin, system checks and STORAGES."""

import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from userimages import ConflictError, ImageService, RepositoryError
from userimages.repositories.memory import MemoryRepository
from userimages.testing import make_image

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


def test_c20_get_of_the_home_page_sets_the_csrf_cookie_and_its_token_lets_an_upload_through(project):
    browser = client(enforce_csrf_checks=True)
    token = browser.get("/").cookies["csrftoken"].value

    assert post_image(browser, headers={"x-csrftoken": token}).status_code == 200
    assert b"<img src=" in browser.get("/").content


def test_c20_mended_a_change_without_the_csrf_token_is_403_as_json(project):
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


@pytest.mark.parametrize(
    ("body", "kind", "status"), [pytest.param(*each, id=name) for name, *each in unreadable_bodies()]
)
def test_c20_a_body_that_cannot_be_read_changes_nothing(project, body, kind, status):
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


def test_c20_the_demos_guard_knows_users_by_their_session_and_lets_the_staff_see_all(project):
    image = project.images().upload("ana", JPEG, image_type="gallery")
    ana, ben = client(), client()
    ana.post("/login", {"name": "ana"})
    ben.post("/login", {"name": "ben"})

    assert ana.get(image.url).status_code == 200
    assert ben.get(image.url).status_code == 404
    assert ben.get("/api/user_images/ana/").status_code == 403
    assert "Set-Cookie" not in ana.get(image.url).headers


# Migrations and transactions


def test_c6_the_migration_makes_the_librarys_tables_and_django_sees_no_change(project):
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    assert project.images().repository.missing_schema() == ()


def test_a_call_inside_atomic_on_sqlite_says_what_to_do_and_works_after_the_commit(project):
    from django.db import transaction

    ids = []
    with transaction.atomic():
        assert len(project.images().list("ana")) == 0
        with pytest.raises(RepositoryError, match="on_commit"):
            project.images().upload("ana", JPEG, image_type="gallery")
        transaction.on_commit(lambda: ids.append(project.images().upload("ana", JPEG, image_type="gallery").id))

    assert [image.id for image in project.images().list("ana")] == ids


def test_the_api_works_under_atomic_requests(project, monkeypatch):
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
seen = Image.objects.select_related("primary").get(id=image.id)
assert seen.user == "ana"
assert seen.primary.user == "ana" and seen.uploaded_at == image.uploaded_at
try:
    images().delete(image.id)
except ConflictError:
    print("refused")
post.delete()
images().delete(image.id)
print(Image.objects.filter(id=image.id).count())
"""


def test_c15_on_postgresql_calls_inside_atomic_work_and_a_foreign_key_refuses_a_deletion(project, postgresql, tmp_path):
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


def test_c15_mended_a_picture_that_a_foreign_key_holds_is_409_and_keeps_its_bytes(project):
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
    from userimages_django.models import Image

    made = project.images().upload("ana", JPEG, image_type="cover", is_primary=True, caption="Sea")
    image = Image.objects.get(user="ana", image_type="cover")

    assert (image.id, image.width, image.uploaded_at, str(image)) == (made.id, 400, made.uploaded_at, "Sea")
    assert image.primary.image_id == made.id
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


def test_c32_the_admin_lists_the_images_with_thumbnails_and_finds_them(project, staff):
    image = project.images().upload("ana", JPEG, image_type="profile", caption="Sea")
    project.images().upload("ben", JPEG, image_type="gallery", caption="Hill")
    page = staff.get(LIST, {"q": "sea"}).content.decode()

    assert f'<img src="/api/user_image/{image.id}/serve/?variant=64"' in page
    assert "ana" in page
    assert "Hill" not in page
    assert staff.get(f"/api/user_image/{image.id}/serve/?variant=64").headers["Content-Type"] == "image/webp"


def test_c32_the_admin_makes_primary_captions_and_deletes_through_the_service(project, staff):
    first, second = (project.images().upload("ana", JPEG, image_type="gallery") for _ in range(2))
    staff.post(LIST, {"action": "make_primary", "_selected_action": [str(second.id)]})
    assert project.images().primary("ana").id == second.id

    staff.post(f"{LIST}{second.id}/change/", {"caption": "A & B"})
    assert project.images().get(second.id).caption == "A & B"

    staff.post(LIST, {"action": "delete_selected", "_selected_action": [str(first.id)], "post": "yes"})
    staff.post(f"{LIST}{second.id}/delete/", {"post": "yes"})
    assert len(project.images().list("ana")) == 0
    assert list(project.images().storage.list("users/ana/")) == []


def test_c32_mended_the_admin_adds_no_image_past_the_checks(project, staff):
    assert staff.get(f"{LIST}add/").status_code == 403


# System checks


def test_the_system_checks_find_every_wrong_setting(project, settings_changed):
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


@pytest.fixture
def settings_changed():
    from django.test import override_settings

    return override_settings


def test_a_database_that_cannot_hold_the_records_is_found_by_the_checks(project, monkeypatch):
    from django.db import connection
    from userimages_django import checks

    assert checks.check_database() == []
    monkeypatch.setitem(connection.settings_dict, "ENGINE", "django.db.backends.mysql")
    assert [each.id for each in checks.check_database()] == ["userimages.E003"]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": Path("/srv/a b.sqlite3")}, "sqlite:////srv/a b.sqlite3"),
        ({"ENGINE": "django.db.backends.postgresql", "NAME": "pins"}, "postgresql:///pins"),
        (
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "p/n",
                "USER": "u@x",
                "PASSWORD": "p:/?#",
                "HOST": "db",
                "PORT": 5433,
                "OPTIONS": {"sslmode": "require", "pool": {"min_size": 2}},
            },
            "postgresql://u%40x:p%3A%2F%3F%23@db:5433/p%2Fn?sslmode=require",
        ),
        (
            {
                "ENGINE": "django.contrib.gis.db.backends.postgis",
                "NAME": "pins",
                "USER": "u",
                "HOST": "/run/postgresql",
            },
            "postgresql://u@/pins?host=%2Frun%2Fpostgresql",
        ),
    ],
)
def test_the_database_url_is_that_of_databases(project, settings, url):
    assert project.database_url(settings) == url


# C23

R2 = {
    "R2_ACCOUNT_ID": "0123456789abcdef0123456789abcdef",
    "R2_ACCESS_KEY_ID": "id",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_BUCKET_NAME": "bucket",
}


def test_c23_the_storages_entries_carry_the_options_that_r2_needs(project, storages):
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


def test_c23_mended_the_setting_that_django_dropped_is_not_used_and_no_class_is_missing(project, storages):
    from django.conf import settings
    from django.utils.module_loading import import_string
    from project.r2 import r2_storages

    assert not hasattr(settings, "DEFAULT_FILE_STORAGE")
    for entry in r2_storages(R2).values():
        assert import_string(entry["BACKEND"])


def test_c23_files_of_django_in_the_same_bucket_are_nothing_to_the_audit(project, storages, seaweedfs):
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
