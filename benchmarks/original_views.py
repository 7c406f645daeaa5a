"""The original Django views, which userimages generalises, for the benchmark to compare with.

The table, its four indexes on one column each, ``save`` and the views are as they were. Their calls of the storage are
left out, so that only the database is measured.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import django
from django.conf import settings
from sqlalchemy import make_url


def connect(url: str) -> None:
    """Point Django at the database, as durable as the others: on SQLite a write-ahead log with every commit synced."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        database: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": address.database}
        database["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}
    else:
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": address.database, "USER": address.username}
        database |= {"HOST": address.host or address.query.get("host", ""), "PORT": address.port or ""}
        database |= {"PASSWORD": address.password or ""}
    settings.configure(DATABASES={"default": database}, USE_TZ=True, INSTALLED_APPS=[], SECRET_KEY="benchmark")
    django.setup()


def define() -> Any:
    """Return the model and its views; to be called once Django knows its database."""
    from django.db import models
    from django.http import JsonResponse

    class UserImage(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
        user = models.CharField(max_length=150, db_index=True)
        image = models.ImageField(upload_to="users")
        image_type = models.CharField(max_length=20, db_index=True)
        is_primary = models.BooleanField(default=False, db_index=True)
        caption = models.TextField(blank=True, null=True)
        uploaded_at = models.DateTimeField(auto_now_add=True, db_index=True)
        width = models.PositiveIntegerField(null=True, blank=True)
        height = models.PositiveIntegerField(null=True, blank=True)
        size_bytes = models.PositiveIntegerField(null=True, blank=True)
        mime_type = models.CharField(max_length=100, blank=True, null=True)
        url = models.URLField(blank=True, null=True)

        class Meta:
            app_label = "myapp"

        def save(self, *args: Any, **kwargs: Any) -> None:
            if self.is_primary:
                others = UserImage.objects.filter(user=self.user, is_primary=True).exclude(id=self.id)
                others.update(is_primary=False)
            super().save(*args, **kwargs)
            if self.image:
                self.url = f"https://images.example.com/{self.image.name}"
                super().save(update_fields=["url"])

    class Views:
        model = UserImage

        @staticmethod
        def list(username: str) -> JsonResponse:
            images = UserImage.objects.filter(user=username).order_by("-uploaded_at")
            data = [
                {
                    "id": str(image.id),
                    "url": image.url or f"/api/user_image/{image.id}/serve/",
                    "image_type": image.image_type,
                    "is_primary": image.is_primary,
                    "caption": image.caption or "",
                    "uploaded_at": image.uploaded_at.isoformat(),
                    "width": image.width,
                    "height": image.height,
                    "size_bytes": image.size_bytes,
                    "mime_type": image.mime_type,
                }
                for image in images
            ]
            return JsonResponse({"success": True, "images": data, "count": len(data)})

        @staticmethod
        def insert(username: str, name: str) -> UserImage:
            image = UserImage(user=username, image=name, image_type="gallery", is_primary=True, caption="")
            image.save()
            return image

        @staticmethod
        def set_primary(id: uuid.UUID) -> JsonResponse:
            image = UserImage.objects.get(id=id)
            UserImage.objects.filter(user=image.user, is_primary=True).update(is_primary=False)
            image.is_primary = True
            image.save()
            return JsonResponse({"success": True, "message": "Primary image updated successfully"})

        @staticmethod
        def delete(id: uuid.UUID) -> JsonResponse:
            UserImage.objects.get(id=id).delete()
            return JsonResponse({"success": True, "message": "Image deleted successfully"})

        @staticmethod
        def primaries(users: Sequence[str]) -> Sequence[UserImage]:
            return [*UserImage.objects.filter(user__in=users, is_primary=True)]

    return Views
