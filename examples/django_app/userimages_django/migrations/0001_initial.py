# ruff: noqa: RUF012 - Django reads these lists and changes none
"""The library makes its own tables, on the project's database; Django only learns what they look like."""

import django.db.models.deletion
from django.db import migrations, models

from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages_django.service import database_url


def create_schema(apps, schema_editor):
    repository = SQLAlchemyRepository(database_url(schema_editor.connection.settings_dict))
    repository.create_schema()
    repository.close()


class Migration(migrations.Migration):
    initial = True
    atomic = False  # the schema is made on a connection of its own
    dependencies = []
    operations = [
        migrations.RunPython(create_schema, migrations.RunPython.noop),
        migrations.CreateModel(
            "Image",
            [
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("user", models.CharField(max_length=150)),
                ("image_type", models.CharField(max_length=32)),
                ("caption", models.TextField(blank=True)),
                ("uploaded_at", models.DateTimeField()),
                ("key", models.CharField(max_length=255, unique=True)),
                ("width", models.IntegerField()),
                ("height", models.IntegerField()),
                ("size_bytes", models.IntegerField(verbose_name="bytes")),
                ("mime_type", models.CharField(max_length=100, verbose_name="format")),
            ],
            {"db_table": "userimages_images", "ordering": ("-uploaded_at", "-id"), "managed": False},
        ),
        migrations.CreateModel(
            "Primary",
            [
                ("user", models.CharField(max_length=150, primary_key=True, serialize=False)),
                (
                    "image",
                    models.OneToOneField(on_delete=django.db.models.deletion.DO_NOTHING, to="userimages_django.image"),
                ),
            ],
            {"db_table": "userimages_primaries", "managed": False},
        ),
    ]
