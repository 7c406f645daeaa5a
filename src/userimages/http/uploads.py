"""What the fields of an upload mean, and which files are refused by their name or type alone."""

import re
from collections.abc import Sequence

from userimages.errors import InvalidFieldError, UnsupportedFormatError
from userimages.http.values import FilePart

_OTHER_EXTENSIONS = re.compile(
    "[sx]?html?|mht|svgz?|xml|xsl|m?js|css|json|txt|md|csv|rtf|pdf|e?ps|ai|psd|docx?|xlsx?|pptx?|od[tsp]|zip|t?gz|tar|bz2|"
    "xz|7z|rar|jar|apk|exe|dll|msi|bat|cmd|p?sh|ps1|py|rb|pl|php[0-9]?|phtml|aspx?|jsp|cgi|swf|wasm|mp[34]|wav|ogg|flac|"
    "m4[av]|mov|avi|mkv|webm|bmp|dib|tiff?|ico|cur|jp2|tga|pcx|[ot]tf|woff2?"
)
_OTHER_TYPES = re.compile(
    "(?:text|audio|video|font|message|multipart|model)/.*|application/(?!octet-stream$).*|"
    "image/(?:svg|bmp|x-ms-bmp|tiff|x-icon|vnd[.]|jp2).*"
)


def only_image(images: Sequence[FilePart]) -> FilePart:
    """Return the one file, unless its name or type is known to be no image's.

    That is all a client's word is good for: the bytes decide, and neither goes anywhere else.
    """
    if len(images) != 1:
        raise InvalidFieldError(
            f"{len(images)} files came as image, and exactly one is allowed.", field="image", hint="Send one at a time."
        )
    (image,) = images
    extension = image.filename.rstrip(". ").rpartition(".")[2].lower() if "." in image.filename else ""
    media_type = image.content_type.partition(";")[0].strip().lower()
    if _OTHER_EXTENSIONS.fullmatch(extension) or _OTHER_TYPES.fullmatch(media_type):
        raise UnsupportedFormatError("The file's name or type is not that of an image.", hint="Send a picture.")
    return image


def flag(text: str) -> bool:
    """Return the truth that *text* names, in any case; nothing at all is false."""
    if text.lower() in ("", "false", "true"):
        return text.lower() == "true"
    raise InvalidFieldError("is_primary is neither true nor false.", field="is_primary", hint="Send one of the two.")


def whole_number(text: str) -> int:
    """Return the number that *text* is."""
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    raise InvalidFieldError("The limit is not a whole number.", field="limit", hint="Send 1 to 200.")
