"""The contract notices faults: if a method of a good storage is broken, a test of that method fails."""

import contextlib
import io
import re
import threading
from urllib.parse import quote

import attrs
import pytest

from userimages.errors import KeyTakenError, ObjectNotFoundError
from userimages.storages.memory import MemoryStorage
from userimages.testing.storage_contract import StorageContract


class PutOverwrites(MemoryStorage):
    def put(self, key, data, *, mime_type):
        self.delete([key])
        super().put(key, data, mime_type=mime_type)


class PutOverwritesAndComplains(MemoryStorage):
    def put(self, key, data, *, mime_type):
        try:
            super().put(key, data, mime_type=mime_type)
        except KeyTakenError:
            self.delete([key])
            super().put(key, data, mime_type=mime_type)
            raise


class PutKeepsSilent(MemoryStorage):
    def put(self, key, data, *, mime_type):
        with contextlib.suppress(KeyTakenError):
            super().put(key, data, mime_type=mime_type)


class PutRefusesItsOwnRetry(MemoryStorage):
    def put(self, key, data, *, mime_type):
        if key in self._objects:
            raise KeyTakenError("taken")
        super().put(key, data, mime_type=mime_type)


class PutComparesSizesOnly(MemoryStorage):
    def put(self, key, data, *, mime_type):
        try:
            super().put(key, data, mime_type=mime_type)
        except KeyTakenError:
            if len(self._objects[key][0]) != len(data):
                raise


class PutDoesNothing(MemoryStorage):
    def put(self, key, data, *, mime_type):
        pass


class PutLosesTheEndOfLargeFiles(MemoryStorage):
    def put(self, key, data, *, mime_type):
        super().put(key, data[:1_000_000], mime_type=mime_type)


class PutLooksThenLeaps(MemoryStorage):
    """Two steps, and all rivals are between them at once."""

    def __init__(self):
        super().__init__()
        self._rivals = threading.Barrier(8)

    def put(self, key, data, *, mime_type):
        taken = key in self._objects
        with contextlib.suppress(threading.BrokenBarrierError):
            self._rivals.wait(0.2)
        if not taken:
            self.delete([key])
        super().put(key, data, mime_type=mime_type)


class PutShowsAPart(MemoryStorage):
    """Write half, wait for a reader, write the rest."""

    def __init__(self):
        super().__init__()
        self._read = threading.Event()

    def put(self, key, data, *, mime_type):
        super().put(key, data[: len(data) // 2], mime_type=mime_type)
        self._read.wait(0.1)
        self.delete([key])
        super().put(key, data, mime_type=mime_type)

    def open(self, key, **range):
        stream = super().open(key, **range)
        self._read.set()
        return stream


class OpenIgnoresStart(MemoryStorage):
    def open(self, key, *, start=0, length=None):
        return super().open(key, length=length)


class OpenIgnoresLength(MemoryStorage):
    def open(self, key, *, start=0, length=None):
        return super().open(key, start=start)


class OpenTakesLengthForTheEnd(MemoryStorage):
    def open(self, key, *, start=0, length=None):
        return super().open(key, start=start, length=None if length is None else max(0, length - start))


class OpenFailsPastTheEnd(MemoryStorage):
    def open(self, key, *, start=0, length=None):
        stream = super().open(key, start=start, length=length)
        if start > len(self._objects[key][0]):
            raise ValueError("out of range")
        return stream


class OpenGivesNothingForAMissingKey(MemoryStorage):
    def open(self, key, **range):
        try:
            return super().open(key, **range)
        except ObjectNotFoundError:
            return io.BytesIO()


class OpenRaisesAnErrorOfItsOwn(MemoryStorage):
    def open(self, key, **range):
        try:
            return super().open(key, **range)
        except ObjectNotFoundError:
            raise FileNotFoundError(key) from None


class OpenSharesOneStream(MemoryStorage):
    def open(self, key, *, start=0, length=None):
        self._shared = getattr(self, "_shared", None) or super().open(key)
        self._shared.seek(start)
        return self._shared


class DeleteStopsAtTheFirst(MemoryStorage):
    def delete(self, keys):
        super().delete(keys[:1])


class DeleteStopsAtAThousand(MemoryStorage):
    def delete(self, keys):
        super().delete(keys[:1000])


class DeleteFailsForAMissingKey(MemoryStorage):
    def delete(self, keys):
        for key in keys:
            del self._objects[key]


class DeleteTakesPrefixes(MemoryStorage):
    def delete(self, keys):
        super().delete([each for each in list(self._objects) if each.startswith(tuple(keys))])


class DeleteOfNothingDeletesAll(MemoryStorage):
    def delete(self, keys):
        super().delete(keys or list(self._objects))


class ListIsNotSorted(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return iter(sorted(super().list(prefix, after=after), key=lambda each: each.key[::-1]))


class ListSortsFolderByFolder(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return iter(sorted(super().list(prefix, after=after), key=lambda each: each.key.split("/")))


class ListIgnoresAfter(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return super().list(prefix)


class ListBeginsWithAfter(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return super().list(prefix, after=after[:-1])


class ListTakesFoldersForPrefixes(MemoryStorage):
    def list(self, prefix="", *, after=""):
        whole = prefix.rpartition("/")[0]
        return (each for each in super().list(after=after) if each.key.startswith(f"{whole}/"))


class ListTakesPrefixesForPatterns(MemoryStorage):
    def list(self, prefix="", *, after=""):
        pattern = re.compile(re.escape(prefix).replace("_", ".").replace("%", ".*"))
        return (each for each in super().list(after=after) if pattern.match(each.key))


class ListIgnoresCase(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return (each for each in super().list(after=after) if each.key.lower().startswith(prefix.lower()))


class ListStopsAtAThousand(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return iter(list(super().list(prefix, after=after))[:1000])


class ListIsAList(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return [*super().list(prefix, after=after)]


class ListTellsNoSize(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return (attrs.evolve(each, size=0) for each in super().list(prefix, after=after))


class ListTellsLocalTime(MemoryStorage):
    def list(self, prefix="", *, after=""):
        return (
            attrs.evolve(each, modified=each.modified.replace(tzinfo=None))
            for each in super().list(prefix, after=after)
        )


class ListBreaksWhenAnObjectGoes(MemoryStorage):
    def list(self, prefix="", *, after=""):
        for key in self._objects:
            yield from super().list(key, after=after)


class UrlIsNotEncoded(MemoryStorage):
    def url(self, key):
        return f"https://img.example.com/{key}"


class UrlEncodesSlashes(MemoryStorage):
    def url(self, key):
        return f"https://img.example.com/{quote(key, safe='')}"


class UrlIsAPath(MemoryStorage):
    def url(self, key):
        return f"/{quote(key)}"


BROKEN = [each for each in list(globals().values()) if isinstance(each, type) and MemoryStorage in each.__bases__]


def failures(method: str, storage: type[MemoryStorage]) -> list[str]:
    """Run the contract's tests of one method, each on a new storage, and name those that fail."""
    failed = []
    for name in [name for name in vars(StorageContract) if name.startswith(f"test_{method}")]:
        try:
            getattr(StorageContract(), name)(storage())
        except (Exception, pytest.fail.Exception):
            failed.append(name)
    return failed


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: each.__name__)
def test_the_contract_notices_a_broken_method(broken):
    """The contract notices a broken method."""
    method = next(each for each in ("put", "open", "delete", "list", "url") if each in vars(broken))

    assert failures(method, broken)


def test_a_good_storage_passes_the_contract():
    """A good storage passes the contract."""
    assert failures("", MemoryStorage) == []


def test_every_method_is_broken_in_two_ways_at_least():
    """Every method is broken in two ways at least."""
    ways = [each.__name__.lower() for each in BROKEN]

    assert all(sum(way.startswith(method) for way in ways) >= 2 for method in ("put", "open", "delete", "list", "url"))
