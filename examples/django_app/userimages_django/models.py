"""Views of the library's tables, for the admin and for foreign keys. They are read here and written by the service.

A foreign key to ``Image`` with ``on_delete=models.PROTECT`` makes the database refuse a deletion: the service raises
``ConflictError`` and the API answers 409, before a byte is gone.
"""

from django.db import models


class ReadOnly(models.QuerySet):
    def _refuse(self, *args, **kwargs):
        raise TypeError("Images are written by the service: userimages_django.service.images().")

    create = bulk_create = update = bulk_update = delete = _refuse


class Image(models.Model):
    id = models.UUIDField(primary_key=True, editable=False)
    user = models.CharField(max_length=150)
    image_type = models.CharField(max_length=32)
    caption = models.TextField(blank=True)
    uploaded_at = models.DateTimeField()
    key = models.CharField(max_length=255, unique=True)
    width = models.IntegerField()
    height = models.IntegerField()
    size_bytes = models.IntegerField("bytes")
    mime_type = models.CharField("format", max_length=100)

    objects = ReadOnly.as_manager()

    class Meta:
        managed = False
        db_table = "userimages_images"
        ordering = ("-uploaded_at", "-id")

    def __str__(self):
        return self.caption or f"{self.image_type} of {self.user}"

    def save(self, *args, **kwargs):
        raise TypeError("Images are written by the service: userimages_django.service.images().")

    delete = save


class Primary(models.Model):
    user = models.CharField(max_length=150, primary_key=True)
    image = models.OneToOneField(Image, models.DO_NOTHING)

    objects = ReadOnly.as_manager()

    class Meta:
        managed = False
        db_table = "userimages_primaries"
