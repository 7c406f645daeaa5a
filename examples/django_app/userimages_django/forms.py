"""A field for a picture in a plain HTML form, with the library's messages."""

import copy

import attrs
from django import forms
from django.utils.html import format_html

from userimages import BusyError, ImageService, RejectedImageError, UserImage
from userimages.model import ProcessedImage
from userimages.validation import read_file

from .service import images, name_of
from .templatetags.userimages import userimage


@attrs.frozen
class CheckedImage:
    """A picture that was checked and encoded, and is not stored yet."""

    data: bytes = attrs.field(repr=False)
    image_type: str
    processed: ProcessedImage = attrs.field(repr=False)

    def store(self, user, **options) -> UserImage:
        """Store it for a user of Django's, or for the string that names one. Options are those of ``upload``."""
        service: ImageService = copy.copy(images())
        service.processor = _Processed(service.processor, self.processed)
        return service.upload(name_of(user), self.data, image_type=self.image_type, **options)


class _Processed:
    """A processor that has done its work already, and is like another in all else."""

    def __init__(self, processor, processed: ProcessedImage) -> None:
        self._processor, self._processed = processor, processed

    def __getattr__(self, name):
        return getattr(self._processor, name)

    def __call__(self, data, image_type):
        return self._processed


class UserImageInput(forms.FileInput):
    """A file input with the present picture before it."""

    def __init__(self, attrs=None):
        # A list of types and not "image/*", because an iPhone then sends JPEG in place of HEIC.
        super().__init__({"accept": "image/jpeg,image/png,image/gif,image/webp", **(attrs or {})})

    def render(self, name, value, attrs=None, renderer=None):
        present = userimage(value, sizes="10rem", width="160", height="") if hasattr(value, "img_attributes") else ""
        return format_html("{}{}", present, super().render(name, None, attrs, renderer))


class UserImageField(forms.FileField):
    """A picture. What the form has cleaned is a ``CheckedImage``: store it by ``store(request.user)``.

    ``initial`` may be an image of the service or of a foreign key, which is shown.
    """

    widget = UserImageInput

    def __init__(self, *, image_type, **options):
        super().__init__(**options)
        self.image_type = image_type

    def clean(self, value, initial=None):
        if not value:
            if self.required and not initial:
                raise forms.ValidationError(self.error_messages["required"], code="required")
            return None
        service = images()
        try:
            data = read_file(value, limit=service.max_bytes)
            processed = service.processor(data, self.image_type)
        except (RejectedImageError, BusyError) as error:
            raise forms.ValidationError(error.message, code=error.code) from error
        checked = CheckedImage(data, self.image_type, processed)
        self.run_validators(checked)
        return checked
