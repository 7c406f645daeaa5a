"""What the fields of an upload mean, and which files are refused by their name or type alone."""

import re
from collections.abc import Sequence

from userimages.errors import InvalidFieldError, UnsupportedFormatError
from userimages.http.values import FilePart

# What a server or a browser might run, if it were ever served by that name or type. Any other word of a client is
# ignored, because the bytes decide.
_DANGEROUS_EXTENSIONS = re.compile(
    "[sx]?html?|xht|mht(?:ml)?|svgz?|xml|xslt?|[cm]?js|css|php[0-9]?|pht(?:ml)?|phar|asp|a[sp][hmc]x|aspx|jspx?|cgi|py|rb|"
    "p[lm]|p?sh|bash|ps1|bat|cmd|com|exe|dll|msi|scr|hta|vbs?|wsf|lnk|jar|apk|swf|wasm"
)
_DANGEROUS_TYPES = re.compile(
    "text/(?:html|css|xml|xsl)|message/rfc822|multipart/related|image/svg.*|.*[/+]xml|"
    "(?:text|application)/(?:x-)?(?:java|ecma|live|j|vb)script|application/(?:x-)?(?:httpd-)?(?:php|sh|csh|perl|python)|"
    "application/(?:x-msdownload|x-msdos-program|x-shockwave-flash|java-archive|hta|wasm)"
)


def only_image(images: Sequence[FilePart]) -> FilePart:
    """Return the one file, unless its name or type is of something that would be dangerous to serve.

    That is all a client's word is good for: the bytes decide, and neither goes anywhere else.
    """
    if len(images) != 1:
        raise InvalidFieldError(
            f"{len(images)} files came as image, and exactly one is allowed.", field="image", hint="Send one at a time."
        )
    (image,) = images
    extension = image.filename.rstrip(". ").rpartition(".")[2].lower() if "." in image.filename else ""
    media_type = image.content_type.partition(";")[0].strip().lower()
    if _DANGEROUS_EXTENSIONS.fullmatch(extension) or _DANGEROUS_TYPES.fullmatch(media_type):
        raise UnsupportedFormatError("The file's name or type is that of a page or a program.", hint="Send a picture.")
    return image


def flag(text: str) -> bool:
    """Return the truth that *text* names, in any case; nothing at all is false, and ``on`` is a ticked checkbox."""
    if text.lower() in ("", "false", "true", "on"):
        return text.lower() in ("true", "on")
    raise InvalidFieldError("is_primary is neither true nor false.", field="is_primary", hint="Send one of the two.")


def whole_number(text: str) -> int:
    """Return the number that *text* is."""
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    raise InvalidFieldError("The limit is not a whole number.", field="limit", hint="Send 1 to 200.")
