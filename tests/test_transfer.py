"""Copying objects: what is copied, what never is, and what happens beside deletions and failures."""

import io
import threading
from collections import Counter
from typing import Any

import attrs
import pytest

from userimages import ImageService, InvalidFieldError, StorageUnavailableError, UserImage
from userimages.lifecycle import transfer
from userimages.model import MissingObject, TransferReport
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor
from userimages.testing.faults import TIMED_OUT, Call, after, before, faulty


class Typed(MemoryStorage):
    """A storage that knows the media types of its objects."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, str] = {}

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        super().put(key, data, mime_type=mime_type)
        self.types[key] = mime_type


@pytest.fixture
def images() -> ImageService:
    return ImageService(Typed(), MemoryRepository(), processor=instant_processor)


@pytest.fixture
def target() -> Typed:
    return Typed()


def uploaded(images: ImageService, number: int) -> list[UserImage]:
    return [images.upload(f"user{n % 3}", f"{n}".encode(), image_type="gallery") for n in range(number)]


def copy(images: ImageService, target: Any, **options: Any) -> TransferReport:
    return transfer.copy_objects(images.repository, images.storage, target, **options)


def contents(storage: Any) -> dict[str, bytes]:
    return {found.key: storage.open(found.key).read() for found in storage.list()}


def test_a_copy_has_the_same_bytes_and_types(images, target) -> None:
    """A copy has the same bytes and types."""
    uploaded(images, 5)
    count = len(contents(images.storage))
    assert copy(images, target) == TransferReport(copied=count)
    assert contents(target) == contents(images.storage)
    assert target.types == images.storage.types
    assert len(set(target.types.values())) > 1
    assert copy(images, target) == TransferReport(present=count)


def test_what_is_there_is_not_read_again(images, target) -> None:
    """What is there is not read again."""
    uploaded(images, 3)
    copy(images, target)
    source = faulty(images.storage, open=before(TIMED_OUT))
    assert transfer.copy_objects(images.repository, source, target).copied == 0


@pytest.mark.parametrize("change", ["flipped", "shorter", "longer", "empty"])
def test_bytes_that_differ_from_the_record_stay(images, target, change: str) -> None:
    """They are told by the id of their image, and nothing of them is written."""
    one, other = uploaded(images, 2)
    data = images.storage.open(one.key).read()
    images.storage.delete([one.key])
    changed = {"flipped": bytes([data[0] ^ 1]) + data[1:], "shorter": data[:-1], "longer": data + b"!", "empty": b""}
    images.storage.put(one.key, changed[change], mime_type="image/jpeg")
    report = copy(images, target)
    assert report.wrong == (MissingObject(one.key, one.id),)
    assert set(contents(target)) == {*one.object_keys, *other.object_keys} - {one.key}


def test_what_the_source_lacks_is_told(images, target) -> None:
    """What the source lacks is told."""
    one, _ = uploaded(images, 2)
    lost = one.variants["256"].key
    images.storage.delete([lost])
    for _ in range(2):
        assert copy(images, target).missing == (MissingObject(lost, one.id),)


@pytest.mark.parametrize("size", [-1, 1])
def test_other_bytes_in_the_target_are_told(images, target, size: int) -> None:
    """An object of another size is no copy. It is not overwritten either."""
    (image,) = uploaded(images, 1)
    data = images.storage.open(image.key).read()
    target.put(image.key, (data + b"!")[: len(data) + size], mime_type="image/jpeg")
    assert copy(images, target).wrong == (MissingObject(image.key, image.id),)
    assert target.open(image.key).read() != data


def test_a_long_object_is_not_read_to_its_end(images, target) -> None:
    """At most one byte more than the record says is asked for, in pieces."""
    image = images.upload("ana", bytes(1_500_000), image_type="gallery")
    images.storage.delete(image.object_keys)
    images.storage.put(image.key, bytes(5_000_000), mime_type="image/jpeg")
    read: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int = -1, /) -> bytes:
            read.append(size)
            return super().read(size)

    source = faulty(images.storage, open=lambda call: Counting(call.do().getvalue()))
    transfer.copy_objects(images.repository, source, target)
    assert sum(read) == image.size_bytes + 1
    assert max(read) <= 2**20


def test_a_large_object_is_copied_whole(images, target) -> None:
    """It is read in pieces of a mebibyte."""
    images.upload("ana", bytes(range(250)) * 12_000, image_type="gallery")
    copy(images, target)
    assert contents(target) == contents(images.storage)


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_a_copy_in_parts_is_a_whole_one(images, target, step: int) -> None:
    """``stopped_at`` leads from part to part, and is None at the end."""
    uploaded(images, 7)
    reports = [copy(images, target, limit=step)]
    while reports[-1].stopped_at is not None:
        reports.append(copy(images, target, limit=step, after=reports[-1].stopped_at))
    assert len(reports) == -(-7 // step)
    assert contents(target) == contents(images.storage)
    assert sum(each.copied for each in reports) == len(contents(target))
    assert sum(each.present for each in reports) == 0


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "3"])
def test_a_wrong_limit_is_refused(images, target, limit: Any) -> None:
    """A limit that is not a whole number from 1 up is refused."""
    with pytest.raises(InvalidFieldError) as caught:
        copy(images, target, limit=limit)
    hint = "Pass a whole number from 1 up, or None."
    assert (caught.value.message, caught.value.field, caught.value.hint) == (f"limit is {limit!r}.", "limit", hint)


def test_progress_is_told_page_by_page(images, target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each report goes on from the one before; from its position a copy that was cut off goes on."""
    monkeypatch.setattr(transfer, "_PAGE", 2)
    uploaded(images, 5)
    seen: list[TransferReport] = []
    whole = copy(images, target, progress=seen.append)
    assert [each.copied for each in seen] == [6, 12, 15]
    assert whole == attrs.evolve(seen[-1], stopped_at=None)
    rest = copy(images, Typed(), after=seen[0].stopped_at)
    assert rest.copied == 9


def test_a_copy_that_was_cut_off_goes_on(images, target) -> None:
    """A store that fails ends it. Begun again, it passes over what is there, also what a lost answer has put."""
    uploaded(images, 6)
    failing = faulty(target, put=[None, None, after(TIMED_OUT)])
    with pytest.raises(StorageUnavailableError):
        copy(images, failing)
    done = len(contents(target))
    assert done > 0
    report = copy(images, target)
    assert (report.present, report.copied) == (done, 18 - done)
    assert contents(target) == contents(images.storage)


def test_a_failure_is_logged_by_image(images, target, caplog) -> None:
    """A failure is logged by image."""
    (image,) = uploaded(images, 1)
    with pytest.raises(StorageUnavailableError):
        copy(images, faulty(target, put=before(TIMED_OUT)))
    assert f"copying an object of image {image.id} failed: The store did not answer" in caplog.text
    assert {each.event for each in caplog.records if each.levelname == "WARNING"} == {"copy"}
    assert "user0" not in caplog.text


def test_an_image_deleted_meanwhile_leaves_nothing(images, target) -> None:
    """It is deleted after its bytes were read and before they are put; the copy takes back what it has put."""
    one, other = uploaded(images, 2)
    lock = threading.Lock()

    def deleting(call: Call) -> Any:
        with lock:
            if images.repository.get(one.id):
                images.delete(one.id)
        return call.do()

    report = copy(images, faulty(target, put=deleting))
    assert contents(target) == contents(images.storage)
    assert set(contents(target)) == set(other.object_keys)
    assert (report.wrong, report.missing) == ((), ())


def test_also_if_the_copy_fails_after_that(images, target) -> None:
    """Also if the copy fails after that."""
    one, _ = uploaded(images, 2)

    def deleting(call: Call) -> Any:
        images.delete_user(one.user)
        call.do()
        raise TIMED_OUT

    with pytest.raises(StorageUnavailableError):
        copy(images, faulty(target, put=[deleting, before(TIMED_OUT)]))
    assert not set(contents(target)) & set(one.object_keys)


def test_what_is_gone_is_not_missing(images, target) -> None:
    """An image that is deleted before its bytes are read is not reported."""
    (one,) = uploaded(images, 1)

    def deleting(call: Call) -> Any:
        images.delete_user(one.user)
        return call.do()

    source = faulty(images.storage, open=[deleting])
    assert transfer.copy_objects(images.repository, source, target) == TransferReport()


def test_objects_that_no_record_names_stay(images, target) -> None:
    """Those of other programs between ours do not disturb, on either side."""
    (image,) = uploaded(images, 1)
    for storage in (images.storage, target):
        for name in ("a", image.key + ".bak", "zzz"):
            storage.put(name, b"theirs", mime_type="text/plain")
    assert copy(images, target).copied == len(image.object_keys)
    assert contents(target) == contents(images.storage)


def test_eight_objects_are_in_memory_at_most(images, target) -> None:
    """Also at least: each put waits until seven others do."""
    uploaded(images, 16)
    lock, now, eight = threading.Lock(), Counter(), threading.Barrier(8, timeout=60)

    def opening(call: Call) -> Any:
        with lock:
            now["open"] += 1
            now["most"] = max(now["most"], now["open"])
        return call.do()

    def putting(call: Call) -> Any:
        call.do()
        eight.wait()
        with lock:
            now["open"] -= 1

    transfer.copy_objects(images.repository, faulty(images.storage, open=opening), faulty(target, put=putting))
    assert now["most"] == 8


def test_a_page_lists_its_own_part_of_the_target(images, target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time would grow with the square of the objects."""
    uploaded(images, 12)
    copy(images, target)
    monkeypatch.setattr(transfer, "_PAGE", 1)
    seen = Counter()

    def counting(call: Call) -> Any:
        for found in call.do():
            seen[found.key] += 1
            yield found

    transfer.copy_objects(images.repository, images.storage, faulty(target, list=counting))
    assert len(seen) == 36
    assert sum(seen.values()) <= 36 + 12  # each page ends at the first key that is none of its own
