"""The grammar of the keys under which objects are stored.

A key is ``users/{segment}/images/{image_type}_{microseconds}_{owner}{random}{ext}``, and the key of a variant is
``{same stem}.{name}{ext}``. A variant that was made again has a version of six base32 characters:
``{same stem}.{name}-{version}{ext}``.

``segment`` stands for the user: percent-encoded, or ``~`` and 40 hex digits of its SHA-256 if that would be longer than
120 bytes. It is pure ASCII and one path segment, and no two users share one.

``owner`` is six base32 characters that stand for the database whose row names the object, so that an audit can tell
its own objects from those of another application in the same bucket. ``random`` is 16 base32 characters: 80 random bits
make a key impossible to guess and to repeat.

The longest key has 6 + 120 + 8 + 16 + 1 + 17 + 1 + 22 + 1 + 39 + 5 = 236 bytes.
"""

import base64
import hashlib
import os
import re
from datetime import datetime
from uuid import UUID

import attrs

from userimages.ids import microseconds

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
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
VARIANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
NO_OWNER = "aaaaaa"  # of a database without an id

_KEY = re.compile(
    rf"(?P<stem>users/[A-Za-z0-9._~%-]{{1,{MAX_SEGMENT_BYTES}}}/images/"
    rf"(?P<image_type>{TYPE_NAME.pattern})_[0-9]{{1,17}}_(?P<owner>[a-z2-7]{{6}})[a-z2-7]{{16}})"
    rf"(?:\.{VARIANT_NAME.pattern}(?:-[a-z2-7]{{6}})?)?"  # a variant that was made again has a version
    rf"(?:{'|'.join(map(re.escape, EXTENSIONS.values()))})"
)
_VERSION = re.compile(r"\.[^./]+-[a-z2-7]{6}\.[a-z]+$")


@attrs.frozen
class ParsedKey:
    """The parts of a key: the stem that all objects of one image share, its type, and the owner's six characters."""

    stem: str
    image_type: str
    owner: str


def user_segment(user: str) -> str:
    """Return the one path segment that stands for *user* in keys."""
    from urllib.parse import quote  # on first use, because it is slow to import

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


def owner_of(database_id: str | None) -> str:
    """Return the six characters that stand for a database in keys."""
    return NO_OWNER if database_id is None else _base32(hashlib.sha256(database_id.encode()).digest())[:6]


def new_stem(user: str, image_type: str, at: datetime, owner: str = NO_OWNER) -> str:
    """Return a new key without its extension."""
    return f"{user_prefix(user)}{image_type}_{microseconds(at)}_{owner}{_base32(os.urandom(10))}"


def object_key(stem: str, mime_type: str, variant: str | None = None, *, version: str = "") -> str:
    """Return the key of the image itself or, with *variant*, of that variant."""
    named = "" if variant is None else f".{variant}-{version}" if version else f".{variant}"
    return stem + named + EXTENSIONS[mime_type]


def new_version() -> str:
    """Return what tells the key of a variant that is made again from all that were made before."""
    return _base32(os.urandom(5))[:6]


def has_version(key: str) -> bool:
    """Tell whether *key* is of a variant that was made again. A variant may also be named as if it were."""
    return _VERSION.search(key) is not None


def parse_key(key: str) -> ParsedKey | None:
    """Return the parts of *key*, or None if it is not of this grammar."""
    match = _KEY.fullmatch(key)
    return ParsedKey(match["stem"], match["image_type"], match["owner"]) if match else None


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()
