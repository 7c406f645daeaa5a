"""The images in the admin: seen with a thumbnail, searched, made primary, captioned and deleted, by the service.

Its views open no transaction, because those of the service are its own. What the service refuses is the one message.
"""

import functools

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpResponseRedirect
from django.utils.html import format_html

from userimages import UserImagesError

from .models import Image, Primary
from .service import images


def refusals_shown(view):
    """Answer a POST that the service refuses with the page and the reason."""

    @transaction.non_atomic_requests
    @functools.wraps(view)
    def shown(self, request, *args, **kwargs):
        try:
            return view(self, request, *args, **kwargs)
        except UserImagesError as error:
            if request.method != "POST":
                raise
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    return shown


@admin.register(Image)
class ImageAdmin(admin.ModelAdmin):
    list_display = ("thumbnail", "user", "image_type", "primary_picture", "caption", "size_bytes", "uploaded_at")
    list_display_links = ("user",)
    list_filter = ("image_type", "mime_type", "uploaded_at")
    list_per_page = 50
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

    def get_queryset(self, request):
        named = Primary.objects.filter(image=OuterRef("pk"))
        return super().get_queryset(request).annotate(is_named_primary=Exists(named))

    @admin.display(description="")
    def thumbnail(self, image):
        return _picture(image, 56)

    @admin.display(description="")
    def preview(self, image):
        return _picture(image, 320)

    @admin.display(boolean=True, description="primary")
    def primary_picture(self, image):
        return image.is_named_primary

    @admin.action(description="Make primary", permissions=["change"])
    def make_primary(self, request, queryset):
        if queryset.count() != 1:
            self.message_user(request, "Choose one image: a user has one primary picture.", messages.WARNING)
            return
        images().set_primary(queryset.get().id)

    def has_add_permission(self, request):
        return False

    @refusals_shown
    def changelist_view(self, request, extra_context=None):
        return super().changelist_view(request, extra_context)

    @refusals_shown
    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        return self._changeform_view(request, object_id, form_url, extra_context)  # without the admin's transaction

    @refusals_shown
    def delete_view(self, request, object_id, extra_context=None):
        return self._delete_view(request, object_id, extra_context)  # without the admin's transaction

    def save_model(self, request, obj, form, change):
        images().update(obj.id, caption=obj.caption)

    def delete_model(self, request, obj):
        images().delete(obj.id)
        super().log_deletions(request, [obj])

    def delete_queryset(self, request, queryset):
        chosen, refusals = list(queryset), []
        for image in chosen:
            try:
                self.delete_model(request, image)
            except UserImagesError as error:
                refusals.append(error)
        if refusals:
            first = refusals[0]
            raise UserImagesError(
                f"{len(refusals)} of {len(chosen)} were not deleted. {first.message}", hint=first.hint
            )

    def log_deletions(self, request, queryset):
        """Log nothing before the deletion, which the admin does, because it may be refused."""


def _picture(image, height):
    """Return an ``<img>`` of the smallest stored size that is large enough."""
    enough = next((each for each in image.variants.values() if each.height >= height), image)
    width = round(enough.width * height / enough.height)
    return format_html('<img src="{}" alt="" width="{}" height="{}" loading="lazy">', enough.url, width, height)
