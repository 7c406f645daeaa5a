"""The library's tables as models: for foreign keys, templates, queries and the admin. The service writes them.

Django empties them between tests, because they are managed, but their tables are made by the library: see
``signals.make_schema``. A foreign key to ``Image`` with ``on_delete=models.PROTECT`` makes the database refuse a
deletion: the service raises ``ConflictError`` and the API answers 409, before a byte is gone.
"""

import json
from datetime import UTC

from django.db import models
from django.utils.functional import cached_property

from userimages import UserImage, Variant
from userimages.model import FACTS

from .service import images


class JSON(models.JSONField):
    """JSON in a column of type ``json``, which psycopg decodes by itself, unlike ``jsonb`` under Django."""

    def db_type(self, connection):
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def from_db_value(self, value, expression, connection):
        return json.loads(value) if isinstance(value, str | bytes) else value


class ReadOnly(models.QuerySet):
    def _refuse(self, *args, **kwargs):
        raise TypeError("Images are written by the service: userimages_django.service.images().")

    create = bulk_create = update = bulk_update = delete = _refuse


class Written(models.Model):
    """A row that the service writes."""

    objects = ReadOnly.as_manager()

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        raise TypeError("Images are written by the service: userimages_django.service.images().")

    delete = save


class Image(Written):
    """An image as ``select_related`` and ``prefetch_related`` bring it: its URLs cost no query."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.CharField(max_length=150)
    image_type = models.CharField(max_length=32)
    caption = models.TextField(blank=True)
    meta = JSON(default=dict)
    uploaded_at = models.DateTimeField()
    key = models.CharField(max_length=255, unique=True)
    width = models.IntegerField()
    height = models.IntegerField()
    size_bytes = models.IntegerField("bytes")
    stored_bytes = models.BigIntegerField(default=0)
    mime_type = models.CharField("format", max_length=100)
    sha256 = models.CharField(max_length=64)
    placeholder = models.CharField(max_length=64)
    frames = models.IntegerField(default=1)
    stored_variants = JSON(db_column="variants")
    recipe = models.CharField(max_length=32, default="")
    idempotency_key = models.CharField(max_length=255, null=True)
    input_sha256 = models.CharField(max_length=64)

    class Meta:
        db_table = "userimages_images"
        ordering = ("-uploaded_at", "-id")

    def __str__(self):
        return self.caption or f"{self.image_type} of {self.user}"

    @cached_property
    def _record(self) -> UserImage:
        """The image as the service returns it, except that it does not know whether it is primary."""
        facts = {name: getattr(self, name) for name in FACTS if name != "variants"}
        if self.uploaded_at.tzinfo is None:  # USE_TZ = False
            facts["uploaded_at"] = self.uploaded_at.replace(tzinfo=UTC)
        variants = {name: Variant(*stored) for name, stored in self.stored_variants.items()}
        return images().with_urls(UserImage(**facts, variants=variants))

    @property
    def url(self):
        return self._record.url

    @property
    def variants(self):
        return self._record.variants

    @property
    def animated(self):
        return self._record.animated

    @property
    def srcset(self):
        return self._record.srcset()

    def variant(self, width):
        """Return the narrowest variant of at least this width, or the image itself."""
        found = self._record.variant(width)
        return self if found is self._record else found

    def img_attributes(self, **options):
        """Return what an ``<img>`` needs. In templates: ``{% load userimages %}{% userimage image %}``."""
        return self._record.img_attributes(**options)


class Primary(Written):
    pk = models.CompositePrimaryKey("user", "scope")
    user = models.CharField(max_length=150)
    scope = models.CharField(max_length=32, default="")
    image = models.ForeignKey(Image, models.DO_NOTHING, related_name="primaries")

    class Meta:
        db_table = "userimages_primaries"


class Intent(Written):
    """Work in hand, nearly always none."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.CharField(max_length=150)
    idempotency_key = models.CharField(max_length=255, null=True)
    input_sha256 = models.CharField(max_length=64)
    object_keys = JSON()
    lease_until = models.DateTimeField(db_index=True)
    claimed = models.BooleanField(default=False)

    class Meta:
        db_table = "userimages_intents"
