"""A Django project in one file, which keeps a reference to an image in a table of its own.

Run with the URL of the service's database, the settings of Django's as JSON, and a folder.
"""

import contextlib
import json
import sys
from pathlib import Path

import django
from django.conf import settings
from django.db import DatabaseError, connection, models, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

sys.path.insert(0, str(Path(__file__).parents[1]))

import rig

from userimages import ConflictError, ImageService, RepositoryError
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage

url, database, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
settings.configure(
    DATABASES={"default": database | {"ATOMIC_REQUESTS": True}},
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="test",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()
engine = None
if database["ENGINE"].endswith("sqlite3"):
    from sqlalchemy import create_engine, event

    engine = create_engine(url, connect_args={"timeout": 0.1})  # the real 30 s would be long for a test
    event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA foreign_keys = ON"))
repository = SQLAlchemyRepository(engine or url)
repository.create_schema()
images = ImageService(DiskStorage(folder), repository, processor=rig.instant_processor)


class Profile(models.Model):
    name = models.CharField(max_length=50)
    image_id = models.UUIDField(null=True)

    class Meta:
        app_label = "adopter"


def uploads_then_fails(request: HttpRequest) -> HttpResponse:
    image = images.upload("ana", b"first", image_type="cover")
    Profile.objects.create(name="ana", image_id=image.id)
    raise ValueError("the view fails after the upload")


@transaction.non_atomic_requests
def cleans_up(request: HttpRequest) -> HttpResponse:
    """What the docs say: the service first, then the own transaction, and a delete once that has failed and ended."""
    image = images.upload("ben", b"first", image_type="cover")
    try:
        with transaction.atomic():
            Profile.objects.create(name="ben", image_id=image.id)
            raise DatabaseError("refused")
    except DatabaseError:
        images.delete(image.id)
    return HttpResponse(status=204)


def works(request: HttpRequest) -> HttpResponse:
    image = images.upload("cem", b"first", image_type="cover")
    Profile.objects.create(name="cem", image_id=image.id)
    return HttpResponse(str(image.id))


def writes_first(request: HttpRequest) -> HttpResponse:
    """The other way round: on SQLite the own transaction holds the one write lock that the service waits for."""
    Profile.objects.create(name="dan")
    try:
        images.upload("dan", b"first", image_type="cover")
    except RepositoryError as error:
        return HttpResponse(str(error), status=503)
    return HttpResponse("done")


urlpatterns = [path(f"{view.__name__}/", view) for view in (uploads_then_fails, cleans_up, works, writes_first)]


def main() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Profile)
    client = Client(raise_request_exception=False)

    assert client.get("/uploads_then_fails/").status_code == 500
    assert not Profile.objects.filter(name="ana").exists(), "Django rolled back"
    assert len(images.list("ana")) == 1, "and the image stays: its transaction was ours"

    assert client.get("/cleans_up/").status_code == 204
    assert not images.list("ben")

    answer = client.get("/works/")
    assert answer.status_code == 200, answer.content
    assert Profile.objects.get(name="cem").image_id == images.list("cem")[0].id

    answer = client.get("/writes_first/")
    if connection.vendor == "sqlite":
        assert answer.status_code == 503
        assert "transaction" in answer.content.decode(), answer.content
        assert not images.list("dan"), "nothing was begun"
    else:
        assert answer.content == b"done", answer.content

    check_foreign_key()
    images.sweep()
    rig.check_nothing_left(images, ["ana", "ben", "cem", "dan"], root=Path(folder))


def check_foreign_key() -> None:
    """A table of the application refers to an image: it refuses to let it go, before a byte is gone."""
    image = images.upload("eva", b"first", image_type="cover")
    cascading = images.upload("eva", b"second", image_type="gallery")
    kind = "uuid" if connection.vendor == "postgresql" else "CHAR(32)"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE post (image {kind} REFERENCES userimages_images (id))")
        cursor.execute(f"CREATE TABLE pin (image {kind} REFERENCES userimages_images (id) ON DELETE CASCADE)")
        cursor.execute("INSERT INTO post VALUES (%s)", [image.id.hex])
        cursor.execute("INSERT INTO pin VALUES (%s)", [cascading.id.hex])
    for refused in (
        lambda: images.delete(image.id),
        lambda: images.upload("eva", b"third", image_type="cover", replace=True),
    ):
        with contextlib.suppress(ConflictError):
            refused()
            raise AssertionError("the foreign key did not refuse")
    assert set(rig.check_whole(images, "eva")) == {str(image.id), str(cascading.id)}
    images.delete(cascading.id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pin")
        assert cursor.fetchone() == (0,)
        cursor.execute("DELETE FROM post")
    images.delete(image.id)
    rig.check_nothing_left(images, ["eva"])


main()
