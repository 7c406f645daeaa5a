"""Objects in a dictionary: for tests, for a first look, and as an example of a short storage."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import quote

from userimages.errors import KeyTakenError, ObjectNotFoundError
from userimages.keys import STAGING_PREFIX
from userimages.model import StoredObject


class MemoryStorage:
    """Keep objects in the memory of this process.

    It needs no lock between threads, because each change is one operation on the dictionary.

    Args:
        public_url: where the URLs of the objects begin, such as ``"https://img.example.com"``. None: they have none.

    >>> storage = MemoryStorage(public_url="https://img.example.com")
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    >>> storage.open("users/ana/images/cat.jpg").read()
    b'meow'
    >>> storage.url("users/ana/images/cat.jpg")
    'https://img.example.com/users/ana/images/cat.jpg'
    """

    def __init__(self, *, public_url: str | None = None) -> None:
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._public_url = public_url.rstrip("/") if public_url else None

    def __repr__(self) -> str:
        return f"MemoryStorage(<{len(self._objects)} objects>)"

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, unless other bytes are already stored there."""
        stored, _ = self._objects.setdefault(key, (bytes(data), datetime.now(UTC)))
        if stored != data:
            raise KeyTakenError(
                "Other bytes are already stored under this key.", hint="Use a new key: keys never repeat."
            )

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*, at most *length* of them."""
        try:
            data, _ = self._objects[key]
        except KeyError:
            raise ObjectNotFoundError("Object not found.") from None
        return io.BytesIO(data[start : None if length is None else start + length])

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects of *keys* that exist."""
        for key in keys:
            self._objects.pop(key, None)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with *prefix* and come after *after*, in byte order."""
        for key in sorted(self._objects):
            if key.startswith(prefix) and key > after and (found := self._objects.get(key)):
                data, modified = found
                yield StoredObject(key, len(data), modified)

    def url(self, key: str) -> str | None:
        """Return the public URL of *key*, or None, as for what is staged."""
        return f"{self._public_url}/{quote(key)}" if self._public_url and not key.startswith(STAGING_PREFIX) else None
