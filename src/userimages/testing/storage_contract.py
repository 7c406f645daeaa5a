"""What every storage must do, as tests. Subclass ``StorageContract`` and write one fixture.

::

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def storage(self):
            return MyStorage(...)

Each test uses keys of random users only, so the storage may be a bucket that others use, too.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from userimages.errors import KeyTakenError, ObjectNotFoundError
from userimages.model import StoredObject
from userimages.protocols import Storage

_CAT = bytes(range(256)) * 8
_CLOCK_SKEW = timedelta(minutes=5)  # between this machine and the store's


class StorageContract:
    """The sentences of ``userimages.protocols.Storage``, each as a test."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Return the storage to test, ready for use. A subclass must override it."""
        raise NotImplementedError("Override the fixture `storage` and return your storage.")

    def test_put_stores_every_byte(self, storage: Storage) -> None:
        """A put stores every byte."""
        for size in (1, 2, 255, 65_537, 3_000_001):
            key, data = new_key(), (_CAT * (size // len(_CAT) + 1))[:size]
            storage.put(key, data, mime_type="image/jpeg")
            expect(read(storage, key), data)

    def test_put_takes_every_key_of_the_grammar(self, storage: Storage) -> None:
        """Put takes every key of the grammar."""
        for user in ("0", "A.b_c-d", "%C3%A9%20%2E", "~" + "0" * 40, "z" * 84 + uuid4().hex):
            key = f"{new_user()}{user}/images/gallery_1795000000000000_aaaaaaaaaaaaaaaa.1280.webp"[:240]
            storage.put(key, key.encode(), mime_type="image/webp")
            expect(read(storage, key), key.encode())
            assert keys_of(storage, key) == [key]

    def test_put_of_the_same_bytes_again_is_a_success(self, storage: Storage) -> None:
        """Put of the same bytes again is a success."""
        key = new_key()
        for _ in range(3):
            storage.put(key, _CAT, mime_type="image/jpeg")
        expect(read(storage, key), _CAT)

    def test_put_of_other_bytes_is_refused(self, storage: Storage) -> None:
        """Put of other bytes is refused."""
        key = new_key()
        storage.put(key, _CAT, mime_type="image/jpeg")
        for other in (_CAT[:-1] + b"!", b"!" + _CAT[1:], _CAT[:-1], _CAT + b"!", b"!"):
            with pytest.raises(KeyTakenError):
                storage.put(key, other, mime_type="image/jpeg")
            expect(read(storage, key), _CAT)

    def test_put_writes_again_what_was_deleted(self, storage: Storage) -> None:
        """Put writes again what was deleted."""
        key = new_key()
        storage.put(key, _CAT, mime_type="image/jpeg")
        storage.delete([key])
        storage.put(key, b"another cat", mime_type="image/jpeg")
        expect(read(storage, key), b"another cat")

    def test_put_of_one_key_from_many_threads_lets_one_win(self, storage: Storage) -> None:
        """Put of one key from many threads lets one win."""
        for _ in range(2):
            key, rivals = new_key(), [bytes([number]) * 10_000 for number in range(8)]
            outcomes = at_once([partial(put, storage, key, data) for data in rivals])
            assert sorted(outcomes, key=str) == [KeyTakenError] * 7 + [None]
            expect(read(storage, key), rivals[outcomes.index(None)])

    def test_put_of_the_same_bytes_from_many_threads(self, storage: Storage) -> None:
        """Put of the same bytes from many threads."""
        key = new_key()
        assert at_once([partial(put, storage, key, _CAT)] * 8) == [None] * 8
        expect(read(storage, key), _CAT)

    def test_put_of_many_keys_from_many_threads(self, storage: Storage) -> None:
        """Put of many keys from many threads."""
        user = new_user()
        written = {f"{user}/images/{number}.jpg": b"%d" % number * 1000 for number in range(40)}
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: storage.put(*item, mime_type="image/jpeg"), written.items()))
        assert keys_of(storage, f"{user}/") == sorted(written)
        for key, data in written.items():
            expect(read(storage, key), data)

    def test_put_never_shows_a_part(self, storage: Storage) -> None:
        """Put never shows a part."""
        key, data = new_key(), _CAT * 2000
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(storage.put, key, data, mime_type="image/jpeg")
            while not writing.done():
                with suppress(ObjectNotFoundError):
                    expect(read(storage, key), data)
            writing.result()
        expect(read(storage, key), data)

    def test_open_of_a_missing_key_is_an_error_at_once(self, storage: Storage) -> None:
        """Open of a missing key is an error at once."""
        key = new_key()
        storage.put(key, _CAT, mime_type="image/jpeg")
        for missing in (new_key(), key + ".webp", key[:-1]):
            for start, length in ((0, None), (0, 1), (5, None), (0, 0)):
                with pytest.raises(ObjectNotFoundError):
                    storage.open(missing, start=start, length=length)

    def test_open_gives_the_range_that_is_asked_for(self, storage: Storage) -> None:
        """Open gives the range that is asked for."""
        key, size = new_key(), len(_CAT)
        storage.put(key, _CAT, mime_type="image/jpeg")
        for start in (0, 1, 1000, size - 1, size, size + 1, 10 * size):
            for length in (None, 0, 1, 2, 100, size - 1, size, size + 1):
                wanted = _CAT[start : None if length is None else start + length]
                expect(read(storage, key, start=start, length=length), wanted, f" with start={start}, length={length}")

    def test_open_gives_a_stream_that_is_read_in_pieces(self, storage: Storage) -> None:
        """Open gives a stream that is read in pieces."""
        key, data = new_key(), _CAT * 100
        storage.put(key, data, mime_type="image/jpeg")
        with storage.open(key) as one, storage.open(key, start=7) as other:
            pieces = [one.read(1000), other.read(10), one.read(50_000), other.read(), one.read(), one.read(1)]
        expect(b"".join(pieces[:5:2]), data)
        expect(pieces[1] + pieces[3], data[7:])
        expect(pieces[5], b"", " at the end of the stream")
        assert one.closed

    def test_open_gives_a_stream_that_may_be_closed_early(self, storage: Storage) -> None:
        """Open gives a stream that may be closed early."""
        key, data = new_key(), _CAT * 1000
        storage.put(key, data, mime_type="image/jpeg")
        for _ in range(60):  # more than a pool of connections holds
            stream = storage.open(key)
            expect(stream.read(10), data[:10])
            stream.close()
        expect(read(storage, key), data)

    def test_delete_removes_all_the_keys_and_no_other(self, storage: Storage) -> None:
        """Delete removes all the keys and no other."""
        user = new_user()
        kept = [f"{user}/images/cat{end}" for end in (".jpg.webp", ".jp", ".jpgs", "", "2.jpg")]
        gone = [f"{user}/images/cat.jpg", f"{user}/images/dog.jpg", f"{user}2/images/cat.jpg"]
        for key in kept + gone:
            storage.put(key, _CAT, mime_type="image/jpeg")
        storage.delete(gone)
        assert keys_of(storage, user) == sorted(kept)
        for key in gone:
            with pytest.raises(ObjectNotFoundError):
                storage.open(key)

    def test_delete_of_missing_keys_is_fine(self, storage: Storage) -> None:
        """Delete of missing keys is fine."""
        key = new_key()
        storage.put(key, _CAT, mime_type="image/jpeg")
        storage.delete([])
        storage.delete([new_key()])
        assert keys_of(storage, key) == [key]
        storage.delete((new_key(), key, new_key()))
        storage.delete([key])
        assert keys_of(storage, key) == []

    def test_delete_takes_more_keys_than_one_request(self, storage: Storage) -> None:
        """Delete takes more keys than one request."""
        user = new_user()
        keys = [f"{user}/images/{number:04}.jpg" for number in range(2100)]
        there = [keys[0], keys[999], keys[1000], keys[1999], keys[2000], keys[2099]]
        for key in there:
            storage.put(key, _CAT, mime_type="image/jpeg")
        storage.delete(keys)
        assert keys_of(storage, f"{user}/") == []

    def test_list_tells_key_size_and_time(self, storage: Storage) -> None:
        """A list tells key, size and time."""
        key, before = new_key(), datetime.now(UTC)
        storage.put(key, _CAT, mime_type="image/jpeg")
        (found,) = storage.list(key)
        assert found == StoredObject(key, len(_CAT), found.modified)
        assert found.modified.utcoffset() == timedelta(0)
        assert before - _CLOCK_SKEW < found.modified < datetime.now(UTC) + _CLOCK_SKEW

    def test_list_takes_a_prefix_that_ends_anywhere(self, storage: Storage) -> None:
        """List takes a prefix that ends anywhere."""
        user = new_user()
        keys = sorted(
            f"{user}{end}" for end in ("/images/ab.jpg", "/images/abc.jpg", "/images/b.jpg", "x/images/a.jpg")
        )
        for key in keys:
            storage.put(key, _CAT, mime_type="image/jpeg")
        for prefix in (
            user,
            f"{user}/",
            f"{user}/im",
            f"{user}/images/ab",
            f"{user}/images/ab.",
            keys[0],
            f"{user}/no",
        ):
            assert keys_of(storage, prefix) == [key for key in keys if key.startswith(prefix)]

    def test_list_takes_no_character_for_a_pattern(self, storage: Storage) -> None:
        """``_``, ``%`` and the case of a letter stand for themselves, as they do not in an SQL ``LIKE``."""
        user = new_user()
        keys = sorted(f"{user}{name}/images/cat.jpg" for name in ("a_b", "axb", "A_B", "a%20b", "a-20b"))
        for key in keys:
            storage.put(key, _CAT, mime_type="image/jpeg")
        for key in keys:
            prefix = key.removesuffix("images/cat.jpg")
            assert keys_of(storage, prefix) == [key], prefix

    def test_list_goes_on_after_a_key(self, storage: Storage) -> None:
        """List goes on after a key."""
        user = new_user()
        keys = sorted(f"{user}{part}/images/{name}" for part in ("", "x") for name in ("a", "a.256.webp", "b", "b_1"))
        for key in keys:
            storage.put(key, _CAT, mime_type="image/jpeg")
        for after in ("", *keys, keys[0] + "!", f"{user}/images/aa", user + "~", "~"):
            assert keys_of(storage, user, after=after) == [key for key in keys if key > after], after

    def test_list_is_in_byte_order_of_the_whole_key(self, storage: Storage) -> None:
        """List is in byte order of the whole key."""
        user = new_user()
        names = ("a", "a-b", "a.b", "a%20b", "A", "ab", "a~", "0", "_", "~0")
        keys = [f"{user}{name}/images/{file}" for name in names for file in ("z.jpg", "z-1.jpg", "z")]
        for key in reversed(keys):
            storage.put(key, _CAT, mime_type="image/jpeg")
        assert keys_of(storage, user) == sorted(keys)
        for after in (user, f"{user}a", f"{user}a.b", f"{user}a-b/images/z", f"{user}a/images/z.jpg"):
            assert keys_of(storage, user, after=after) == sorted(key for key in keys if key > after)

    def test_list_yields_more_than_one_page_lazily(self, storage: Storage) -> None:
        """List yields more than one page lazily."""
        user = new_user()
        keys = [f"{user}/images/{number:04}.jpg" for number in range(1005)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: storage.put(key, b"cat", mime_type="image/jpeg"), keys))
        listing = storage.list(f"{user}/")
        assert iter(listing) is listing, "all objects together do not fit into memory"
        assert [found.key for found in islice(listing, 3)] == keys[:3]
        assert keys_of(storage, f"{user}/") == keys
        assert keys_of(storage, f"{user}/", after=keys[1001]) == keys[1002:]
        storage.delete(keys)

    def test_list_goes_on_while_what_it_gave_is_deleted(self, storage: Storage) -> None:
        """List goes on while what it gave is deleted."""
        user = new_user()
        keys = [f"{user}{number:02}/images/cat.jpg" for number in range(20)]
        for key in keys:
            storage.put(key, _CAT, mime_type="image/jpeg")
        seen = []
        for found in storage.list(user):
            seen.append(found.key)
            storage.delete([found.key])
        assert seen == keys

    def test_url_is_none_or_percent_encoded(self, storage: Storage) -> None:
        """A URL is None or percent-encoded."""
        for key in (new_key(), "users/%C3%A9%20b/images/cat~1_2-3.jpg"):
            url = storage.url(key)
            path = "" if url is None else url.partition("?")[0]  # what signs a URL stands in its query
            assert url is None or (path.endswith("/" + quote(key)) and url.startswith(("https://", "http://")))


def new_user() -> str:
    """Return the beginning of the keys of a new user: ``users/...``."""
    return f"users/contract{uuid4().hex}"


def new_key() -> str:
    """Return a key of a new user."""
    return f"{new_user()}/images/profile_1795000000000000_aaaaaaaaaaaaaaaa.jpg"


def read(storage: Storage, key: str, **range: Any) -> bytes:
    """Return the bytes of a key, or of a range of them."""
    with storage.open(key, **range) as stream:
        return stream.read()


def expect(found: bytes, wanted: bytes, where: str = "") -> None:
    """Fail in one line unless the bytes are equal, because pytest needs an hour for a diff of megabytes in CI."""
    if found != wanted:
        same = next((at for at, (one, other) in enumerate(zip(found, wanted, strict=False)) if one != other), None)
        place = "one is the beginning of the other" if same is None else f"they differ from byte {same}"
        pytest.fail(f"Expected {len(wanted)} bytes{where}, got {len(found)}; {place}.")


def keys_of(storage: Storage, prefix: str, *, after: str = "") -> list[str]:
    """Return the keys that a listing yields, in its order."""
    return [found.key for found in storage.list(prefix, after=after)]


def put(storage: Storage, key: str, data: bytes) -> type[KeyTakenError] | None:
    """Put, and return KeyTakenError if it was raised."""
    try:
        storage.put(key, data, mime_type="image/jpeg")
    except KeyTakenError as exc:
        return type(exc)
    return None


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make all calls at the same moment, each in its own thread, and return their results."""
    barrier = threading.Barrier(len(calls))

    def together(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(together, calls))
