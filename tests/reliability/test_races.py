"""What many callers at once must not break: threads and processes, on each pair of backends."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import rig

from userimages import ConflictError, ImageNotFoundError, ImageService, ObjectNotFoundError
from userimages.testing import faults
from userimages.testing.faults import faulty

# Python 3.12 and newer warn of a fork beside threads; the child here touches none of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
CALLERS = 50 if rig.TORTURE else 16
ROUNDS = 20 if rig.TORTURE else 2


def _open_and_close(images: ImageService, id: Any) -> None:
    images.open(id).close()


def test_uploads_with_one_key_make_one_image(place: rig.Place, clock: rig.Clock) -> None:
    """The same idempotency key in many uploads at once makes one image."""
    images = place.service(clock)
    for _ in range(ROUNDS):
        user = rig.new_user()
        outcomes = rig.at_once(
            [lambda u=user: images.upload(u, b"same", image_type="cover", idempotency_key="k")] * CALLERS
        )
        made = {each.id for each in outcomes if not isinstance(each, Exception)}
        refused = [each for each in outcomes if isinstance(each, Exception)]
        assert [each.id for each in images.list(user)] == list(made)
        assert all(isinstance(each, ConflictError) for each in refused), refused
        assert images.upload(user, b"same", image_type="cover", idempotency_key="k").id in made
        rig.count("parallel uploads with one key", len(outcomes))
        rig.finish(place, clock, user)


def test_replace_by_many_at_once_leaves_one(place: rig.Place, clock: rig.Clock) -> None:
    """`replace` by many at once leaves one."""
    images = place.service(clock)
    for _ in range(ROUNDS):
        user = rig.new_user()
        images.upload(user, b"old", image_type="profile", is_primary=True)
        outcomes = rig.at_once(
            [
                lambda n=n, u=user: images.upload(u, bytes([n]), image_type="profile", is_primary=True, replace=True)
                for n in range(8)
            ]
        )
        assert not [each for each in outcomes if isinstance(each, Exception)]
        (left,) = images.list(user)
        assert left.is_primary
        rig.finish(place, clock, user)


def test_a_deletion_during_other_calls_harms_none(place: rig.Place, clock: rig.Clock) -> None:
    """A deletion during an upload and a listing harms neither."""
    images = place.service(clock)
    for _ in range(ROUNDS):
        user = rig.new_user()
        there = [images.upload(user, bytes([n]), image_type="gallery") for n in range(4)]
        outcomes = rig.at_once(
            [
                *(partial(images.delete, each.id) for each in there[:3]),
                *(partial(images.delete, each.id) for each in there[:3]),
                *(lambda n=n, u=user: images.upload(u, b"new%d" % n, image_type="cover") for n in range(3)),
                *(lambda u=user: images.list(u) for _ in range(4)),
                *(partial(_open_and_close, images, each.id) for each in there),
                partial(images.set_primary, there[0].id),
            ]
        )
        failed = [each for each in outcomes if isinstance(each, Exception)]
        assert all(isinstance(each, ImageNotFoundError | ObjectNotFoundError) for each in failed), failed
        assert sum(isinstance(each, ImageNotFoundError) for each in outcomes[:6]) == 3, "each was deleted by one"
        assert len(images.list(user)) == 4
        rig.finish(place, clock, user)


def test_delete_user_leaves_only_what_came_later(place: rig.Place, clock: rig.Clock) -> None:
    """What is uploaded meanwhile goes, or came later."""
    images = place.service(clock)
    for _ in range(ROUNDS):
        user = rig.new_user()
        for n in range(3):
            images.upload(user, bytes([n]), image_type="gallery", is_primary=True)
        uploads = [lambda n=n, u=user: images.upload(u, b"new%d" % n, image_type="cover") for n in range(4)]
        outcomes = rig.at_once([*uploads, *[lambda u=user: images.delete_user(u)] * 2])
        assert not [each for each in outcomes if isinstance(each, Exception)]
        deleted = sum(each.images for each in outcomes[4:])
        assert len(images.list(user)) == 7 - deleted
        assert deleted >= 3
        rig.finish(place, clock, user)


def test_sweeps_at_once_share_the_work(place: rig.Place, clock: rig.Clock) -> None:
    """Sweeps at once share the work."""
    user = rig.new_user()
    broken = ImageService(
        faulty(place.storage, delete=faults.before(faults.TIMED_OUT)),
        faulty(place.repository, publish=faults.before(KeyboardInterrupt())),
        processor=rig.instant_processor,
        clock=clock,
    )
    kept = place.service(clock).upload(user, b"kept", image_type="cover")
    for n in range(6):
        with pytest.raises(KeyboardInterrupt):
            broken.upload(user, bytes([n]), image_type="gallery")
    clock.move(minutes=16)
    outcomes = rig.at_once([place.service(clock).sweep] * 4)
    assert sum(each.claimed for each in outcomes) == 6
    assert sum(each.failed for each in outcomes) == 0
    clock.move(hours=2)
    outcomes = rig.at_once([place.service(clock).sweep] * 4)
    assert sum(each.failed for each in outcomes) == 0
    assert [each.id for each in place.service(clock).list(user)] == [kept.id]
    rig.finish(place, clock, user)


@pytest.mark.parametrize("hours", [0, 2], ids=["after the first look", "after both looks"])
def test_an_upload_that_the_sweep_overtakes_fails(place: rig.Place, clock: rig.Clock, hours: int) -> None:
    """An upload that the sweep overtakes fails, and leaves nothing."""
    user = rig.new_user()

    def linger() -> None:
        clock.move(minutes=16)
        place.service(clock).sweep()
        if hours:
            clock.move(hours=hours)
            place.service(clock).sweep()

    slow = ImageService(
        faulty(place.storage, put=[None, faults.slow(linger)]),
        place.repository,
        processor=rig.instant_processor,
        clock=clock,
    )
    with pytest.raises(ConflictError, match="lease"):
        slow.upload(user, b"slow", image_type="cover")
    assert not place.service(clock).list(user)
    rig.finish(place, clock, user)


def test_a_sweep_racing_with_publish_ends_in_two_ways(place: rig.Place, clock: rig.Clock) -> None:
    """A sweep racing with the publish ends in one of two ways."""
    for _ in range(ROUNDS):
        user = rig.new_user()
        gate = threading.Barrier(2)

        def hold(clock: rig.Clock = clock, gate: threading.Barrier = gate) -> None:
            clock.move(minutes=16)
            gate.wait()

        def sweep(gate: threading.Barrier = gate) -> object:
            gate.wait()
            return place.service(clock).sweep()

        slow = ImageService(
            place.storage,
            faulty(place.repository, publish=[faults.slow(hold)]),
            processor=rig.instant_processor,
            clock=clock,
        )
        with ThreadPoolExecutor(1) as pool:
            swept = pool.submit(sweep)
            try:
                image = slow.upload(user, b"slow", image_type="cover")
            except ConflictError:
                image = None
            swept.result()
        assert len(place.service(clock).list(user)) == (image is not None)
        rig.finish(place, clock, user)


def test_processes_keep_one_primary(place: rig.Place, clock: rig.Clock) -> None:
    """Each child was forked with the service, as workers are; it uploads, makes primary and deletes."""
    user = rig.new_user()
    images = place.service(clock)
    first = images.upload(user, b"first", image_type="profile", is_primary=True)
    fork = multiprocessing.get_context("fork")
    stop, seen = fork.Event(), fork.Queue()
    rounds = 60 if rig.TORTURE else 6

    def write(n: int) -> None:
        mine = images.upload(user, b"%d" % n, image_type="gallery")
        for _ in range(rounds):
            images.set_primary(mine.id)
            images.set_primary(first.id)
            other = images.upload(user, b"%d other" % n, image_type="cover", is_primary=True)
            images.set_primary(mine.id)
            images.delete(other.id)

    def read() -> None:
        none = several = reads = 0
        while not stop.is_set():
            primaries = sum(each.is_primary for each in images.list(user))
            none, several, reads = none + (primaries == 0), several + (primaries > 1), reads + 1
        seen.put((none, several, reads))

    reader = fork.Process(target=read)
    writers = [fork.Process(target=write, args=(n,)) for n in range(4)]
    for process in (reader, *writers):
        process.start()
    for process in writers:
        process.join()
    stop.set()
    none, several, reads = seen.get()
    reader.join()
    assert [process.exitcode for process in (reader, *writers)] == [0] * 5
    assert (none, several) == (0, 0)
    assert reads > 0
    rig.count("reads beside writers in other processes", reads)
    rig.finish(place, clock, user)
