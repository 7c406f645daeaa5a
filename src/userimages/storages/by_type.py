"""A storage for each image type: public profile images beside private galleries."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from userimages.errors import ConfigurationError
from userimages.keys import parse_key
from userimages.model import StoredObject
from userimages.protocols import Storage


class ByType:
    """Keep the objects of each image type in a storage of their own; the type is read from the key.

    A key without a type, such as that of a probe, goes to the first storage. A type that is not named cannot be
    uploaded, because an image must not become public by an omission.

    Raises:
        ConfigurationError: no storage is given; or, by ``put``, the type of a key has none.

    >>> from userimages.storages.memory import MemoryStorage
    >>> public, private = MemoryStorage(public_url="https://img.example.com"), MemoryStorage()
    >>> storage = ByType({"profile": public, "gallery": private})
    >>> storage.url("users/ana/images/profile_1795000000000000_aaaaaaaaaaaaaaaaaaaaaa.jpg") is None
    False
    >>> storage.url("users/ana/images/gallery_1795000000000000_aaaaaaaaaaaaaaaaaaaaaa.jpg") is None
    True
    """

    def __init__(self, storages: Mapping[str, Storage]) -> None:
        if not storages:
            raise ConfigurationError("ByType has no storage.", hint='Write ByType({"profile": storage, ...}).')
        self._by_type = {str(name): storage for name, storage in storages.items()}
        self.storages = tuple({id(each): each for each in storages.values()}.values())
        if hasattr(self.storages[0], "sign_put"):  # a staged key has no type
            self.sign_put = self.storages[0].sign_put

    def __repr__(self) -> str:
        return f"ByType({self._by_type!r})"

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key* in the storage of its type."""
        if (parsed := parse_key(key)) and parsed.image_type not in self._by_type:
            raise ConfigurationError(
                f"ByType has no storage for the type {parsed.image_type}.",
                hint=f"It has: {', '.join(self._by_type)}. Add it.",
            )
        self._of(key).put(key, data, mime_type=mime_type)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*, at most *length* of them."""
        return self._of(key).open(key, start=start, length=length)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete every key of *keys*, in each storage those that belong there."""
        for storage in self.storages:
            if here := [key for key in keys if self._of(key) is storage]:
                storage.delete(here)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects of all storages in byte order; an object in a storage that is not its own is left out."""
        return heapq.merge(*(self._own(each, prefix, after) for each in self.storages), key=lambda found: found.key)

    def url(self, key: str) -> str | None:
        """Return the URL of *key* that the storage of its type gives."""
        return self._of(key).url(key)

    def _of(self, key: str) -> Storage:
        parsed = parse_key(key)
        return self._by_type.get(parsed.image_type if parsed else "", self.storages[0])

    def _own(self, storage: Storage, prefix: str, after: str) -> Iterator[StoredObject]:
        return (found for found in storage.list(prefix, after=after) if self._of(found.key) is storage)
