"""The images in the admin: seen with a thumbnail, searched, made primary, captioned and deleted, by the service."""

from django.contrib import admin, messages
from django.db import transaction
from django.utils.html import format_html

from userimages import UserImagesError

from .models import Image
from .service import images


@admin.register(Image)
class ImageAdmin(admin.ModelAdmin):
    list_display = ("thumbnail", "user", "image_type", "primary_picture", "caption", "size_bytes", "uploaded_at")
    list_display_links = ("user",)
    list_filter = ("image_type", "mime_type", "uploaded_at")
    list_per_page = 50
    list_select_related = ("primary",)
    search_fields = ("user", "caption")
    show_full_result_count = False
    actions = ("make_primary",)
    fields = (
        "preview",
        "user",
        "image_type",
        "caption",
        "primary_picture",
        "uploaded_at",
        "width",
        "height",
        "size_bytes",
        "mime_type",
        "key",
    )
    readonly_fields = tuple(each for each in fields if each != "caption")

    @admin.display(description="")
    def thumbnail(self, image):
        return self._picture(image, 56)

    @admin.display(description="")
    def preview(self, image):
        return self._picture(image, 320)

    @admin.display(boolean=True, description="primary")
    def primary_picture(self, image):
        return hasattr(image, "primary")

    def _picture(self, image, height):
        """Return an ``<img>`` of the smallest stored size that is large enough."""
        stored = images().get(image.id)
        enough = next((each for each in stored.variants.values() if each.height >= height), stored)
        width = round(enough.width * height / enough.height)
        return format_html('<img src="{}" alt="" width="{}" height="{}" loading="lazy">', enough.url, width, height)

    @admin.action(description="Make primary", permissions=["change"])
    def make_primary(self, request, queryset):
        if queryset.count() != 1:
            self.message_user(request, "Choose one image: a user has one primary picture.", messages.WARNING)
            return
        self._afterwards(request, images().set_primary, queryset.get().id)

    def has_add_permission(self, request):
        return False

    def save_model(self, request, obj, form, change):
        self._afterwards(request, images().update, obj.id, caption=obj.caption)

    def delete_model(self, request, obj):
        self._afterwards(request, images().delete, obj.id)

    def delete_queryset(self, request, queryset):
        for image in queryset:
            self._afterwards(request, images().delete, image.id)

    def _afterwards(self, request, verb, *args, **kwargs):
        """Call the service once the admin's own transaction is over, and show why it refuses."""

        def call():
            try:
                verb(*args, **kwargs)
            except UserImagesError as error:
                self.message_user(request, str(error), messages.ERROR)

        transaction.on_commit(call)
