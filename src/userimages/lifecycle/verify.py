"""Tell whether stored objects are still what their records say: length, media type, and every byte.

Each record holds the length, the media type and the SHA-256 of the image and of each of its variants, so nothing is
left out. A listing tells the length, and the key ends as its media type wants it, so these two cost nothing and are
compared for all objects. To compare the bytes, an object has to be read.
"""

import errno
import hashlib
import random

from userimages.errors import ObjectNotFoundError, StorageUnavailableError
from userimages.keys import EXTENSIONS
from userimages.model import MissingObject, StoredObject, UserImage, Variant
from userimages.protocols import Storage

_AT_ONCE = 8
_BATCH = 64  # objects
_CHUNK = 2**18
_TRIES = 2  # a connection may break once in a million objects


class Verifier:
    """Compare objects with their records, and read a share of them again, side by side.

    Which ones is left to chance: every audit picks others, so that a small share each night sees everything in time.
    A choice by the key would pick the same ones each time.

    Args:
        storage: holds the objects.
        share: 0 to 1.
    """

    def __init__(self, storage: Storage, share: float) -> None:
        self.damaged: list[MissingObject] = []
        self.gone: list[MissingObject] = []  # they were listed, and were not there when they were to be read
        self._storage, self._share = storage, share
        self._waiting: list[tuple[UserImage | Variant, MissingObject]] = []

    def compare(self, found: StoredObject, image: UserImage) -> None:
        """Compare an object with what *image*, which names it, says of it."""
        objects: tuple[UserImage | Variant, ...] = (image, *image.variants.values())
        stored = next(each for each in objects if each.key == found.key)
        one = MissingObject(found.key, image.id)
        if found.size != stored.size_bytes or not found.key.endswith(EXTENSIONS.get(stored.mime_type, "?")):
            self.damaged.append(one)
        elif random.random() < self._share:  # noqa: S311 - a sample
            self._waiting.append((stored, one))
            if len(self._waiting) >= _BATCH:
                self.read()

    def read(self) -> None:
        """Read what still waits for it."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_AT_ONCE, len(waiting))) as pool:
            outcomes = list(pool.map(self._is_well, [stored for stored, _ in waiting]))
        for (_, one), outcome in zip(waiting, outcomes, strict=True):
            if outcome is None:
                self.gone.append(one)
            elif not outcome:
                self.damaged.append(one)

    def _is_well(self, stored: UserImage | Variant) -> bool | None:
        """Tell whether the object is as its record says; None if there is none."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return _matches(self._storage, stored)
            except ObjectNotFoundError:
                return None
            except StorageUnavailableError:
                if not tries_left:
                    raise
        raise AssertionError


def _matches(storage: Storage, stored: UserImage | Variant) -> bool:
    """Read an object, and tell whether its bytes and its media type are those of the record."""
    digest = hashlib.sha256()
    try:
        with storage.open(stored.key) as stream:
            held_as = getattr(stream, "mime_type", None)  # only some stores keep a type
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as exc:
        if exc.errno == errno.EIO:  # the medium does not give the bytes any more
            return False
        raise StorageUnavailableError("The bytes of an object could not be read.", hint="Check the disk.") from exc
    return held_as in {None, stored.mime_type} and digest.hexdigest() == stored.sha256
