"""What a process of the project does outside of tests: ``python -m posts.production NAME`` runs one of these."""

import sys
import time
from uuid import uuid4

import django

PATIENCE = 20  # seconds: less than the library would wait for a lock, and far more than anything here takes


def first_call_inside_atomic():
    """On SQLite a read works and a write is refused, both at once, also where nobody has turned on its log."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA journal_mode = DELETE")
    started = time.monotonic()
    with transaction.atomic():
        ana = User.objects.create_user("ana")
        assert not images().list(name_of(ana))
        assert images().usage("ana").images == 0
        assert not images().repository.missing_schema()
        if connection.vendor == "sqlite":
            for write in (lambda: upload(ana), lambda: images().delete(uuid4())):
                with pytest.raises(DatabaseBusyError, match="on_commit"):
                    write()
            transaction.on_commit(lambda: upload(ana))
        else:
            upload(ana)
    assert time.monotonic() - started < PATIENCE
    assert len(images().list(name_of(ana))) == 1
    assert Image.objects.get().url == images().list(name_of(ana))[0].url


def the_admin_deletes_in_requests_of_one_transaction():
    root = User.objects.create_superuser("root")
    client = Client(headers={"host": "localhost"})
    client.force_login(root)
    image = upload(root)
    for path, fields in (
        (f"{image.id}/change/", {"caption": "Sea"}),
        ("", {"action": "make_primary", "_selected_action": [str(image.id)]}),
        (f"{image.id}/delete/", {"post": "yes"}),
    ):
        assert client.post(f"/admin/userimages_django/image/{path}", fields).status_code == 302
    assert not images().list(name_of(root))


def deleted_users_leave_nothing_but_what_others_show():
    ana, ben = User.objects.create_user("eva"), User.objects.create_user("ben")
    gone, kept = upload(ana), upload(ben)
    names = name_of(ana), name_of(ben)
    Post.objects.create(title="Hello", cover_id=kept.id)
    User.objects.filter(pk__in=[ana.pk, ben.pk]).delete()
    assert images().get_many([gone.id, kept.id]).keys() == {kept.id}
    assert not list(images().storage.list(f"users/{names[0]}/"))
    known = User.objects.annotate(name=Cast("pk", CharField())).values("name")
    assert list(Image.objects.exclude(user__in=known).values_list("user", flat=True)) == [names[1]]


def another_database_holds_the_records():
    """And Django's own has no table of them."""
    assert "userimages_images" not in connection.introspection.table_names()
    image = images().upload("ana", make_image(), image_type="gallery")
    assert Image.objects.get().id == image.id
    assert Image.objects.db == "media"


def upload(user):
    return images().upload(name_of(user), make_image(), image_type="gallery")


if __name__ == "__main__":
    django.setup()
    import pytest
    from django.contrib.auth.models import User
    from django.db import connection, transaction
    from django.db.models import CharField
    from django.db.models.functions import Cast
    from django.test import Client
    from userimages_django.models import Image
    from userimages_django.service import images, name_of

    from userimages import DatabaseBusyError
    from userimages.testing import make_image

    if sys.argv[1] != another_database_holds_the_records.__name__:
        from posts.models import Post
    globals()[sys.argv[1]]()
