"""How an image is named: its id, the instant it was uploaded, and the keys of its objects.

A key is ``users/{segment}/images/{image_type}_{microseconds}_{16 base32 characters}{ext}``; a variant's is
``{same stem}.{name}{ext}``. ``segment`` is the user percent-encoded, or ``~`` and 40 hex digits of its SHA-256 where
that would be longer than 120 bytes: pure ASCII, one path segment, no two users share one, at most 240 bytes in all.
"""

import base64
import hashlib
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from userimages.forks import renew_after_fork
from userimages.model import ImageType

EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
}
PREFIX = "users/"
MAX_SEGMENT_BYTES = 120
VARIANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEY = re.compile(
    r"(?P<stem>users/[A-Za-z0-9._~%-]{1,120}/images/(?:profile|gallery|cover)_[0-9]{1,20}_[a-z2-7]{16})"
    rf"(?:\.{VARIANT_NAME.pattern})?\.(?:jpg|png|webp|gif|avif)"
)


def utcnow() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


def microseconds(instant: datetime) -> int:
    """Return the whole microseconds since 1970 of an aware *instant*."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """Return the aware UTC instant that lies *microseconds* after 1970; OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=microseconds)


class UploadClock:
    """Gives instants that never repeat and never go back, whatever the clock beneath does."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last = 0
        self.renew()
        renew_after_fork(self)

    def __call__(self) -> datetime:
        """Return the present, or one microsecond past the last answer where that is later."""
        with self._lock:
            self._last = max(microseconds(self._clock()), self._last + 1)
            return instant(self._last)

    def renew(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()


def new_id(at: datetime) -> UUID:
    """Return a UUIDv7 (RFC 9562) of the instant *at*: milliseconds, then their fraction, then 62 random bits."""
    milliseconds, fraction = divmod(microseconds(at), 1000)
    head = (milliseconds & (1 << 48) - 1) << 16 | 7 << 12 | fraction * 4096 // 1000
    tail = 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=head << 64 | tail)


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
