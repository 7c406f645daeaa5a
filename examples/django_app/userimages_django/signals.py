"""What happens with ``migrate``, between tests, and when a user is deleted."""

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.db.models.signals import post_delete, post_migrate, pre_migrate

from . import database, testing
from .service import images, name_of, objects_of_tests


def connect(app) -> None:
    pre_migrate.connect(make_schema, sender=app, dispatch_uid="userimages")
    post_migrate.connect(empty_objects, sender=app, dispatch_uid="userimages")
    if not apps.is_installed("django.contrib.auth"):
        return
    for model in apps.get_models():
        if model._meta.concrete_model is get_user_model():  # a proxy of it has signals of its own
            post_delete.connect(delete_pictures, sender=model, dispatch_uid=f"userimages {model._meta.label}")


def make_schema(using, **_) -> None:
    """Make what is missing of the tables before any migration runs, because those of the project refer to them.

    So ``migrate`` is also what to run after an update of the package, and tests without migrations have the tables.
    """
    connection = connections[using]
    if using != database.alias() or connection.vendor not in ("sqlite", "postgresql"):
        return
    if connection.vendor == "sqlite" and not testing.under_test():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")  # so that readers do not wait for writers
    testing.on_djangos_connection(using).create_schema()


def empty_objects(using, **_) -> None:
    """Empty the objects of tests once Django has emptied the tables, after which it sends this signal."""
    tested = testing.under_test() and using == database.alias()
    if tested and not testing.on_djangos_connection(using).list_by_key(limit=1):
        objects_of_tests.empty()


def delete_pictures(instance, using, **_) -> None:
    """Delete the pictures of a deleted user after the commit.

    What cannot be deleted then, such as a picture that another row shows, is logged by Django and stays.
    """
    if getattr(settings, "USERIMAGES_USER", "") is None:
        return
    name = name_of(instance)

    def delete_user() -> None:
        images().delete_user(name)

    transaction.on_commit(delete_user, using=using, robust=True)
