"""Two storages that hold the same objects, while an application moves from one to the other."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import BinaryIO

from userimages.errors import (
    KeyTakenError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    may_have_happened,
)
from userimages.keys import STAGING_PREFIX
from userimages.model import StoredObject
from userimages.protocols import Storage


class MirrorStorage:
    """Keep every object in two storages. The first is read and gives the URLs; the second is kept equal to it.

    ``put`` writes to the second and then to the first, and succeeds only if both have taken the object. ``open`` asks
    the second only for what the first lacks. ``delete`` is tried in both, also if one of them fails: then the error is
    raised, and the sweep tries again. ``list`` gives what either of them holds, because ``open`` finds it. ``url`` is
    that of the first.

    What browsers upload directly is kept in the first alone, because it is needed for half an hour, and because the
    second may be a public bucket.

    Args:
        first: what is read.
        second: the copy. To change the direction, write ``MirrorStorage(second, first)``.

    >>> from userimages.storages.memory import MemoryStorage
    >>> old, new = MemoryStorage(), MemoryStorage()
    >>> storage = MirrorStorage(old, new)
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    >>> [each.open("users/ana/images/cat.jpg").read() for each in (old, new)]
    [b'meow', b'meow']
    """

    def __init__(self, first: Storage, second: Storage) -> None:
        self.storages = (first, second)
        if hasattr(first, "sign_put"):
            self.sign_put = first.sign_put

    def __repr__(self) -> str:
        return f"MirrorStorage{self.storages!r}"

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key* in both storages.

        Raises:
            KeyTakenError: one of them holds other bytes under *key*. They are unchanged.
            StorageError: the second refused. Nothing was stored.
            StorageUnavailableError: one of them did not answer; or the first refused what the second had already
                taken. So an object may be left in the second, and the sweep deletes it.
        """
        first, second = self.storages
        if not key.startswith(STAGING_PREFIX):
            second.put(key, data, mime_type=mime_type)
        try:
            first.put(key, data, mime_type=mime_type)
        except (KeyTakenError, StorageUnavailableError):
            raise
        except StorageError as exc:
            if key.startswith(STAGING_PREFIX):
                raise
            raise StorageUnavailableError(exc.message, hint=exc.hint) from exc

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*, at most *length* of them: from the second only if the first has no object."""
        first, second = self.storages
        try:
            return first.open(key, start=start, length=length)
        except ObjectNotFoundError:
            return second.open(key, start=start, length=length)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete every key of *keys* in both storages.

        Raises:
            StorageError: at least one could not be deleted in one of them. Both were tried.
        """
        failures: list[Exception] = []
        for storage in self.storages:
            try:
                storage.delete(keys)
            except Exception as exc:
                failures.append(exc)
        if failures:
            raise max(failures, key=may_have_happened)  # one that did not answer is not asked again at once

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects of both storages in byte order, each key once."""
        by_key = attrgetter("key")
        merged = heapq.merge(*(each.list(prefix, after=after) for each in self.storages), key=by_key)
        return (next(same) for _, same in groupby(merged, key=by_key))

    def url(self, key: str) -> str | None:
        """Return the URL of *key* that the first storage gives."""
        return self.storages[0].url(key)
