"""The grammar of the keys under which objects are stored.

A key is ``users/{segment}/images/{image_type}_{microseconds}_{16 base32 characters}{ext}``; a variant's is
``{same stem}.{name}{ext}``. ``segment`` is the user percent-encoded, or ``~`` and 40 hex digits of its SHA-256 where
that would be longer than 120 bytes: pure ASCII, one path segment, no two users share one, at most 240 bytes in all.
"""

import base64
import hashlib
import os
import re
from datetime import datetime
from uuid import UUID

from userimages.ids import microseconds
from userimages.model import ImageType

EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
}
PREFIX = "users/"
STAGING_PREFIX = "staging/"  # what browsers upload directly: raw, never public, deleted by the sweep
PROBE_PREFIX = "userimages-probe/"  # outside of what an audit judges
MAX_SEGMENT_BYTES = 120
VARIANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

_KEY = re.compile(
    rf"(?P<stem>users/[A-Za-z0-9._~%-]{{1,120}}/images/(?:{'|'.join(ImageType)})_[0-9]{{1,20}}_[a-z2-7]{{16}})"
    rf"(?:\.{VARIANT_NAME.pattern})?(?:{'|'.join(map(re.escape, EXTENSIONS.values()))})"
)


def user_segment(user: str) -> str:
    """Return the one path segment that stands for *user* in keys."""
    from urllib.parse import quote  # on first use: it is slow to import

    encoded = quote(user, safe="").replace("~", "%7E")
    if encoded.strip(".") == "":
        encoded = encoded.replace(".", "%2E")
    if len(encoded) <= MAX_SEGMENT_BYTES:
        return encoded
    return "~" + hashlib.sha256(user.encode()).hexdigest()[:40]


def user_prefix(user: str) -> str:
    """Return what the keys of all of a user's objects begin with."""
    return f"{PREFIX}{user_segment(user)}/images/"


def staging_prefix(user: str) -> str:
    """Return what the keys of all that a user has staged begin with."""
    return f"{STAGING_PREFIX}{user_segment(user)}/"


def staging_key(user: str, id: UUID) -> str:
    """Return the key under which the upload of the ticket *id* is staged."""
    return f"{staging_prefix(user)}{id}"


def new_stem(user: str, image_type: ImageType, at: datetime) -> str:
    """Return a new key without its extension; 80 random bits make it impossible to guess and to repeat."""
    random = base64.b32encode(os.urandom(10)).decode().lower()
    return f"{user_prefix(user)}{image_type.value}_{microseconds(at)}_{random}"


def object_key(stem: str, mime_type: str, variant: str | None = None) -> str:
    """Return the key of the image itself or, with *variant*, of that variant."""
    return stem + ("" if variant is None else f".{variant}") + EXTENSIONS[mime_type]


def stem_of(key: str) -> str | None:
    """Return the stem that all objects of one image share, or None where *key* is not of our grammar."""
    match = _KEY.fullmatch(key)
    return match["stem"] if match else None
