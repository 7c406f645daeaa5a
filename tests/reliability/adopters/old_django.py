"""A Django project whose pictures are in an ImageField, on django-storages, that adopts them as the page says.

Run with the settings of the old bucket as JSON, a folder for the new place, and the block of the page on stdin.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import connection, models

from userimages.config import service_from_env
from userimages.testing import make_image

bucket, folder = json.loads(sys.argv[1]), sys.argv[2]
storages = {"default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": bucket}}
databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/old.sqlite3"}}
settings.configure(DATABASES=databases, STORAGES=storages, DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True)
django.setup()


class Profile(models.Model):
    user_id = models.IntegerField()
    avatar = models.ImageField(upload_to="avatars", blank=True)
    created = models.DateTimeField()

    class Meta:
        app_label = "shop"


with connection.schema_editor() as editor:
    editor.create_model(Profile)
for number in range(6):
    data = b"no picture" if number == 4 else make_image("PNG", (40 + number, 30))
    profile = Profile(user_id=number, created=datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=number))
    if number != 5:
        profile.avatar.save(f"{number}.png", ContentFile(data), save=False)
    profile.save()
Profile.objects.get(user_id=3).avatar.storage.delete("avatars/3.png")
sys.modules["shop.models"] = ModuleType("shop.models")
sys.modules["shop.models"].Profile = Profile  # type: ignore[attr-defined]

images = service_from_env({"USERIMAGES_DATA_DIR": folder})
refused: list[tuple[str, str]] = []
names = {"images": images, "print": lambda each: refused.append((each.original.name, each.code))}
block = sys.stdin.read()
for _ in range(2):
    exec(block, names)
found = [(each.user, each.uploaded_at.day, each.width, each.is_primary) for each in images.recent()]
sys.stdout.write(json.dumps({"report": str(names["report"]), "refused": refused, "found": found}))
