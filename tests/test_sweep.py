"""The sweep: what was cut off is finished, and what fails keeps nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from userimages import ImageService, StorageError, StorageUnavailableError, UserImage
from userimages.model import SweepReport
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import Call, before, faulty

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class Killed(BaseException):
    """What stands for a kill: nothing of ours catches it."""


class DyingStorage(MemoryStorage):
    """A storage whose put of a variant ends the process, as it were."""

    dying = True

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        super().put(key, data, mime_type=mime_type)
        if self.dying and ".64." in key:
            raise Killed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cut_off(tiny_processor, clock: Clock) -> ImageService:
    """Give a service after an upload that was cut off while its objects were put."""
    images = ImageService(DyingStorage(), MemoryRepository(), processor=tiny_processor, clock=clock)
    with pytest.raises(Killed):
        images.upload("ana", b"x", image_type="cover")
    return images


def test_a_sweep_finishes_a_cut_off_upload(cut_off: ImageService, clock: Clock) -> None:
    """A sweep finishes a cut-off upload after its lease."""
    assert len(list(cut_off.storage.list())) == 3

    clock.now += timedelta(minutes=14)
    assert cut_off.sweep() == SweepReport(0, 0, 0)
    clock.now += timedelta(minutes=2)
    assert cut_off.sweep() == SweepReport(finished=0, claimed=1, failed=0)
    assert not list(cut_off.storage.list())


def test_a_swept_intent_is_deleted_a_second_time(cut_off: ImageService, clock: Clock) -> None:
    """A PUT may land late, so a swept intent's objects are deleted a second time."""
    (late, *_) = cut_off.storage.list()
    clock.now += timedelta(minutes=16)
    cut_off.sweep()
    cut_off.storage.dying = False  # type: ignore[attr-defined]
    cut_off.storage.put(late.key, b"late", mime_type="image/webp")

    clock.now += timedelta(minutes=50)
    assert cut_off.sweep() == SweepReport(0, 0, 0)
    clock.now += timedelta(minutes=10)
    assert cut_off.sweep() == SweepReport(finished=1, claimed=0, failed=0)
    assert not list(cut_off.storage.list())


def test_a_cut_off_deletion_is_finished_at_once(tiny_processor, clock: Clock) -> None:
    """A cut-off deletion is finished at once."""

    class DyingDelete(MemoryStorage):
        dying = True

        def delete(self, keys) -> None:
            if self.dying:
                raise Killed
            super().delete(keys)

    storage = DyingDelete()
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, clock=clock)
    image = images.upload("ana", b"x", image_type="cover")
    with pytest.raises(Killed):
        images.delete(image.id)

    storage.dying = False
    assert images.sweep().finished == 1
    assert not list(storage.list())


def test_a_sweep_of_a_broken_store_ends_and_says_so(tiny_processor, clock: Clock) -> None:
    """A sweep of a broken store ends and says so."""

    class Broken(MemoryStorage):
        def delete(self, keys) -> None:
            raise StorageUnavailableError("No answer.")

    images = ImageService(Broken(), MemoryRepository(), processor=tiny_processor, clock=clock)
    for _ in range(3):
        with pytest.raises(StorageUnavailableError):
            images.delete(images.upload("ana", b"x", image_type="cover").id)

    assert images.sweep() == SweepReport(finished=0, claimed=0, failed=3)


def test_a_sweep_leaves_live_uploads_and_images_alone(images: ImageService, user: str) -> None:
    """A sweep leaves live uploads and images alone."""
    image = images.upload(user, b"x", image_type="cover")

    images.sweep()

    with images.open(image.id) as stream:
        assert stream.read() == b"x"


def test_swept_urls_are_told_to_who_purges_a_cdn(tiny_processor, clock: Clock) -> None:
    """URLs that were swept are told to who purges a CDN."""
    purged: list[str] = []
    storage = DyingStorage(public_url="https://img.example")
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, clock=clock, on_deleted=purged.extend)
    with pytest.raises(Killed):
        images.upload("ana", b"x", image_type="cover")

    clock.now += timedelta(hours=1)
    images.sweep()

    assert len(purged) == 3


def test_an_upload_cut_off_long_ago_is_counted_once(cut_off: ImageService, clock: Clock) -> None:
    """An upload cut off long ago is counted once."""
    clock.now += timedelta(days=7)
    assert cut_off.sweep() == SweepReport(finished=1, claimed=0, failed=0)
    assert not list(cut_off.storage.list())


@pytest.fixture
def deletions(tiny_processor, clock: Clock) -> tuple[ImageService, list[UserImage]]:
    """Give a service with three deletions whose objects are still there, and what was deleted."""
    storage, repository = MemoryStorage(public_url="https://cdn.example"), MemoryRepository()
    images = ImageService(storage, repository, processor=tiny_processor, clock=clock)
    images.upload("ben", b"x", image_type="cover")
    gone = [images.upload("ana", b"%d" % n, image_type="cover") for n in range(3)]
    down = ImageService(faulty(storage, delete=before(StorageUnavailableError("Away."))), repository, clock=clock)
    for image in gone:
        with pytest.raises(StorageUnavailableError):
            down.delete(image.id)
    return images, gone


def left_over(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.event == "left_to_sweep"]


@pytest.mark.parametrize(("visit", "purges"), [(1, 12), (2, 15)])
def test_a_refused_object_keeps_no_other_deletion(deletions, clock: Clock, caplog, visit: int, purges: int) -> None:
    """The others are finished, and their URLs are purged at each visit; it is logged by its intent."""
    images, gone = deletions
    locked, purged, asked = gone[1], [], []

    def refuse(call: Call) -> None:
        asked.append(call)
        if len(asked) >= visit and locked.key in call.args[0]:
            raise StorageError("Locked.")
        call.do()

    caplog.clear()
    storage = faulty(images.storage, delete=refuse)
    sweeping = ImageService(storage, images.repository, clock=clock, on_deleted=purged.extend)
    assert sweeping.sweep() == SweepReport(finished=2, failed=1)
    (left,) = images.repository.list_intents()
    assert set(left.object_keys) == set(locked.object_keys)
    assert {each.key for each in images.storage.list("users/ana/")} == set(locked.object_keys if visit == 1 else ())
    assert {images.storage.url(key) for one in (gone[0], gone[2]) for key in one.object_keys} <= set(purged)
    assert len(purged) == purges
    assert left_over(caplog) == ["left to the sweep: Locked."]
    assert [each.intent_id for each in caplog.records if each.event == "left_to_sweep"] == [str(left.id)]


def test_an_outage_midway_leaves_the_rest(deletions, clock: Clock, caplog) -> None:
    """After a refusal each is tried by itself; a store that does not answer then is not asked again."""
    images, gone = deletions
    asked: list[int] = []

    def fault(call: Call) -> None:
        asked.append(len(call.args[0]))
        if len(asked) == 1:
            raise StorageError("Locked.")
        if len(asked) == 3:
            raise StorageUnavailableError("Away.")
        call.do()

    caplog.clear()
    report = ImageService(faulty(images.storage, delete=fault), images.repository, clock=clock).sweep()
    assert report == SweepReport(claimed=1, failed=2)
    assert asked == [9, 3, 3]
    assert left_over(caplog) == ["left to the sweep: Away."] * 2
    left = {each.key for each in images.storage.list("users/ana/")}
    assert left == {key for intent in images.repository.list_intents()[1:] for key in intent.object_keys}
    assert left == {key for image in gone[1:] for key in image.object_keys}
