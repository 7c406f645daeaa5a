"""Failing on purpose: what the wrappers that users get do, and what they refuse."""

import pytest

from userimages import ConfigurationError, ImageService, StorageUnavailableError
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import DISK_FULL, UNAVAILABLE, before, faulty, reset_at, wrong_bytes

KEY = "users/ana/images/cat.jpg"


@pytest.fixture
def stored() -> MemoryStorage:
    storage = MemoryStorage()
    storage.put(KEY, b"meow\npurr", mime_type="image/jpeg")
    return storage


@pytest.mark.parametrize(
    "plans",
    [
        {"putt": before(UNAVAILABLE)},
        {"put": UNAVAILABLE},
        {"put": [UNAVAILABLE]},
        {"put": "before"},
        {"put": ""},
        {"put": before},
        {"open": reset_at},
        {"put": type(UNAVAILABLE)},
    ],
)
def test_a_fault_that_could_never_fire_is_refused(plans) -> None:
    """A fault that could never fire is refused."""
    with pytest.raises(ConfigurationError) as refusal:
        faulty(MemoryStorage(), **plans)
    assert next(iter(plans)) in str(refusal.value)
    assert refusal.value.hint


def test_a_stream_breaks_off_for_who_reads_to_its_end(stored: MemoryStorage) -> None:
    """A stream that breaks off does so for whoever reads to its end."""
    broken = faulty(stored, open=reset_at(6))
    with broken.open(KEY) as stream, pytest.raises(StorageUnavailableError):
        stream.read()
    with broken.open(KEY) as stream:
        assert stream.read(4) + stream.read(4) == b"meow\np"
        with pytest.raises(StorageUnavailableError):
            stream.read(4)
    with broken.open(KEY) as stream, pytest.raises(StorageUnavailableError):
        list(stream)


def test_a_stream_cannot_break_after_its_end(stored: MemoryStorage) -> None:
    """A stream that would break after its end does not."""
    with faulty(stored, open=reset_at(100)).open(KEY) as stream:
        assert stream.read() == b"meow\npurr"
    with faulty(stored, open=reset_at(100)).open(KEY) as stream:
        assert b"".join(iter(lambda: stream.read(4), b"")) == b"meow\npurr"
    with faulty(stored, open=reset_at(100)).open(KEY) as stream:
        assert stream.read1(4) == b"meow"  # type: ignore[attr-defined]


def test_a_broken_stream_is_a_file_like_any_other(stored: MemoryStorage) -> None:
    """The stream of a fault is a file like any other."""
    with faulty(stored, open=wrong_bytes).open(KEY) as stream:
        first, second = stream
    assert (first[1:], second) == (b"eow\n", b"purr")
    assert first[:1] != b"m"
    assert stream.closed


def test_a_plan_is_one_entry_for_each_call(tiny_processor) -> None:
    """A plan is one entry for each call."""
    storage = faulty(MemoryStorage(), put=[None, before(DISK_FULL)])
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)
    with pytest.raises(type(DISK_FULL)):
        images.upload("ana", b"x", image_type="cover")
    assert images.upload("ana", b"x", image_type="cover").size_bytes == 1
