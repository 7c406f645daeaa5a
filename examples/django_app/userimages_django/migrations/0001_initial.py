# ruff: noqa: RUF012 - Django reads these lists and changes none
"""Django learns the columns here. The library has made its tables before any migration: ``signals.make_schema``."""

import django.db.models.deletion
from django.db import migrations, models

from userimages_django.models import JSON


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Image",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("user", models.CharField(max_length=150)),
                        ("image_type", models.CharField(max_length=32)),
                        ("caption", models.TextField(blank=True)),
                        ("meta", JSON(default=dict)),
                        ("uploaded_at", models.DateTimeField()),
                        ("key", models.CharField(max_length=255, unique=True)),
                        ("width", models.IntegerField()),
                        ("height", models.IntegerField()),
                        ("size_bytes", models.IntegerField(verbose_name="bytes")),
                        ("stored_bytes", models.BigIntegerField(default=0)),
                        ("mime_type", models.CharField(max_length=100, verbose_name="format")),
                        ("sha256", models.CharField(max_length=64)),
                        ("placeholder", models.CharField(max_length=64)),
                        ("frames", models.IntegerField(default=1)),
                        ("stored_variants", JSON(db_column="variants")),
                        ("recipe", models.CharField(default="", max_length=32)),
                        ("idempotency_key", models.CharField(max_length=255, null=True)),
                        ("input_sha256", models.CharField(max_length=64)),
                    ],
                    options={
                        "db_table": "userimages_images",
                        "ordering": ("-uploaded_at", "-id"),
                    },
                ),
                migrations.CreateModel(
                    name="Intent",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("user", models.CharField(max_length=150)),
                        ("idempotency_key", models.CharField(max_length=255, null=True)),
                        ("input_sha256", models.CharField(max_length=64)),
                        ("object_keys", JSON()),
                        ("lease_until", models.DateTimeField(db_index=True)),
                        ("claimed", models.BooleanField(default=False)),
                    ],
                    options={
                        "db_table": "userimages_intents",
                    },
                ),
                migrations.CreateModel(
                    name="Primary",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "user", "scope", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("user", models.CharField(max_length=150)),
                        ("scope", models.CharField(default="", max_length=32)),
                        (
                            "image",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="primaries",
                                to="userimages_django.image",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "userimages_primaries",
                    },
                ),
            ]
        )
    ]
