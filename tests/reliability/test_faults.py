"""A fault in every call of every operation: a typed error or success, nothing lost, nothing left after the sweeps."""

import itertools
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest
import rig

from userimages import (
    ConflictError,
    ImageService,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UserImagesError,
)
from userimages.testing import faults
from userimages.testing.faults import Call, Fault, after, before, faulty

METHODS = {
    "storage": ["put", "open", "delete"],
    "repository": rig.REPOSITORY_METHODS,
}


def read(stream: BinaryIO) -> bytes:
    with stream:
        return stream.read()


OPERATIONS: dict[str, Callable[[ImageService, str, list[Any]], object]] = {
    "upload": lambda images, user, there: images.upload(user, b"new", image_type="cover", idempotency_key="k"),
    "replace": lambda images, user, there: images.upload(
        user, b"new", image_type="gallery", replace=True, is_primary=True
    ),
    "set_primary": lambda images, user, there: images.set_primary(there[1].id),
    "update": lambda images, user, there: images.update(there[1].id, caption="after"),
    "delete": lambda images, user, there: images.delete(there[1].id),
    "delete_user": lambda images, user, there: images.delete_user(user),
    "open": lambda images, user, there: read(images.open(there[0].id, "10")),
    "sweep": lambda images, user, there: images.sweep(),
}
KINDS: dict[str, dict[str, Fault]] = {
    "fails before": {"storage": before(faults.TIMED_OUT), "repository": before(faults.CONNECTION_LOST)},
    "fails after doing it": {"storage": after(faults.TIMED_OUT)},
    "commit outcome unknown": {"repository": after(faults.CONNECTION_LOST)},
    "partial write": {"put": faults.partial(faults.TIMED_OUT)},
    "503": {"storage": before(faults.UNAVAILABLE)},
    "reset at byte 5": {"open": faults.reset_at(5), "put": faults.partial(faults.UNAVAILABLE)},
    "ENOSPC": {"storage": before(faults.DISK_FULL)},
    "EIO": {"storage": before(faults.DISK_FAILED)},
    "412": {"put": before(faults.TAKEN)},
    "429": {"storage": before(faults.TOO_MANY_REQUESTS)},
    "501": {"storage": before(faults.NOT_IMPLEMENTED)},
    "wrong bytes": {"open": faults.wrong_bytes},
    "a foreign error": {"storage": before(OSError("boom")), "repository": before(OSError("boom"))},
}


@pytest.fixture(params=["memory", "sqlite+disk"] if rig.TORTURE else ["memory"])
def there(request: pytest.FixtureRequest, tmp_path: Any) -> rig.Place:
    from userimages.repositories.memory import MemoryRepository
    from userimages.storages.memory import MemoryStorage

    if request.param == "memory":
        return rig.Place("memory", MemoryStorage(), MemoryRepository(), "")
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    from userimages.storages.disk import DiskStorage

    repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/db.sqlite3")
    repository.create_schema()
    return rig.Place("sqlite+disk", DiskStorage(tmp_path / "objects"), repository, "", tmp_path / "objects")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", [*KINDS, "slow", "lands late"])
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "lasting"])
def test_no_fault_loses_or_leaves_anything(there: rig.Place, operation: str, kind: str, lasts: bool) -> None:
    """No fault loses or leaves anything."""
    call, reached = 0, True
    while reached:
        call += 1
        reached = _fail_once(there, operation, kind, call, lasts=lasts)
        rig.count("faults", reached)


def _fail_once(place: rig.Place, operation: str, kind: str, at: int, *, lasts: bool) -> bool:
    """Let the call number *at*, and with *lasts* all after it, fail; tell whether there was one."""
    clock = rig.Clock()
    images = place.service(clock)
    user = rig.new_user()
    before = [images.upload(user, bytes([n]) * 9, image_type="gallery", is_primary=n == 0) for n in range(2)]
    late = faults.LateWrite()
    calls = itertools.count(1)  # its next() is one step for threads, which put side by side

    def chosen(fault: Fault) -> Fault:
        def planned(call: Call) -> Any:
            number = next(calls)
            return fault(call) if number == at or (lasts and number > at) else call.do()

        return planned

    def linger() -> None:
        clock.move(minutes=16)
        images.sweep()

    own = {"slow": {"storage": faults.slow(linger), "repository": faults.slow(linger)}, "lands late": {"put": late}}
    by_name = (KINDS | own)[kind]
    ports = {
        port: faulty(
            getattr(place, port),
            **{name: chosen(fault) for name in names if (fault := by_name.get(name) or by_name.get(port))},
        )
        for port, names in METHODS.items()
    }
    broken = ImageService(ports["storage"], ports["repository"], processor=rig.instant_processor, clock=clock)
    done = None
    try:
        done = OPERATIONS[operation](broken, user, before)
    except (UserImagesError, OSError) as error:
        if kind != "a foreign error" and not isinstance(error, UserImagesError):
            raise
    listed = rig.check_whole(images, user)
    if operation in {"upload", "replace"} and done is not None:
        assert str(done.id) in listed
    if operation not in {"delete_user", "replace", "delete"}:
        assert {str(each.id) for each in before} <= set(listed)
    if operation != "delete_user":
        assert len(images.primaries([user])) == 1
    clock.move(minutes=16)
    images.sweep()
    late.land()
    rig.sweep_twice(images, clock)
    assert rig.check_whole(images, user).keys() == listed.keys()
    rig.check_nothing_left(images, [user], root=place.root)
    return next(calls) > at


def test_a_short_outage_needs_only_patience(there: rig.Place) -> None:
    """Three answers of 503 and then good ones need only patience."""
    user = rig.new_user()
    storage = faulty(there.storage, put=[before(faults.UNAVAILABLE)] * 3)
    images = ImageService(storage, there.repository, processor=rig.instant_processor)
    with pytest.raises(StorageUnavailableError) as caught:  # each of the three puts meets one of the faults
        images.upload(user, b"new", image_type="cover", idempotency_key="k")
    assert caught.value.retry_after
    for _ in range(2):
        images.upload(user, b"new", image_type="cover", idempotency_key="k")
    assert len(images.list(user)) == 1


def test_a_key_works_at_once_after_an_outage(there: rig.Place) -> None:
    """After an outage of the store the same idempotency key works at once."""
    user = rig.new_user()
    down = before(faults.UNAVAILABLE)
    broken = ImageService(
        faulty(there.storage, put=down, delete=down), there.repository, processor=rig.instant_processor
    )
    with pytest.raises(StorageUnavailableError):
        broken.upload(user, b"new", image_type="cover", idempotency_key="k")
    clock = rig.Clock()
    images = there.service(clock)
    image = images.upload(user, b"new", image_type="cover", idempotency_key="k")
    rig.sweep_twice(images, clock)
    assert list(rig.check_whole(images, user)) == [str(image.id)]
    rig.check_nothing_left(images, [user], root=there.root)


def test_a_key_works_at_once_after_a_lost_answer(there: rig.Place) -> None:
    """After an answer lost at the beginning the same idempotency key works at once."""
    user = rig.new_user()
    repository = faulty(there.repository, begin_upload=[after(faults.CONNECTION_LOST)])
    images = ImageService(there.storage, repository, processor=rig.instant_processor)
    with pytest.raises(RepositoryError):
        images.upload(user, b"new", image_type="cover", idempotency_key="k")
    assert images.upload(user, b"new", image_type="cover", idempotency_key="k")


def test_a_live_first_try_still_refuses_its_key(there: rig.Place) -> None:
    """A live first try still refuses its idempotency key."""
    user = rig.new_user()
    again: list[Exception] = []

    def meanwhile() -> None:
        with pytest.raises(ConflictError) as caught:
            there.service(rig.Clock()).upload(user, b"new", image_type="cover", idempotency_key="k")
        again.append(caught.value)

    storage = faulty(there.storage, put=[faults.slow(meanwhile)])
    images = ImageService(storage, there.repository, processor=rig.instant_processor)
    images.upload(user, b"new", image_type="cover", idempotency_key="k")
    assert len(again) == 1


@pytest.mark.contract("C9")
def test_a_deletion_whose_bytes_stay_is_told_and_swept(there: rig.Place) -> None:
    """A deletion whose bytes stay is told and swept."""
    user = rig.new_user()
    storage = faulty(there.storage, delete=[before(faults.UNAVAILABLE)])
    images = ImageService(storage, there.repository, processor=rig.instant_processor)
    image = images.upload(user, b"new", image_type="cover")
    with pytest.raises(StorageUnavailableError):
        images.delete(image.id)
    assert not images.list(user), "gone from every listing at once"
    images.sweep()
    rig.check_nothing_left(images, [user], root=there.root)


def test_wrong_bytes_differ_from_the_recorded_digest(there: rig.Place) -> None:
    """Wrong bytes differ from the digest of the record."""
    images = ImageService(
        faulty(there.storage, open=faults.wrong_bytes), there.repository, processor=rig.instant_processor
    )
    user = rig.new_user()
    images.upload(user, b"new", image_type="cover")
    with pytest.raises(AssertionError, match="other bytes"):
        rig.check_whole(images, user)


@pytest.mark.parametrize("number", [3, 150])
def test_a_refused_deletion_does_not_stop_the_sweep(there: rig.Place, number: int) -> None:
    """A lock rule of a bucket, say: more of them than one batch holds, and all older than the one that can go."""
    locked, user = rig.new_user(), rig.new_user()

    def refuse(call: Call) -> Any:
        if any(locked in key for key in call.args[0]):
            raise StorageError("A lock rule of the bucket protects it.")
        return call.do()

    down = ImageService(
        faulty(there.storage, delete=before(faults.UNAVAILABLE)), there.repository, processor=rig.instant_processor
    )
    for owner in [locked] * number + [user]:
        image = down.upload(owner, b"x", image_type="cover")
        with pytest.raises(StorageUnavailableError):
            down.delete(image.id)
    calls = []
    refusing = faulty(there.storage, delete=lambda call: calls.append(call) or refuse(call))
    report = ImageService(refusing, there.repository, processor=rig.instant_processor).sweep()
    assert (report.finished, report.failed) == (1, number)
    batches = 1 if number == 3 else 2
    assert len(calls) == batches + number + 2, "a batch was tried once, then each, and the one that could go twice"
    rig.check_nothing_left(there.service(rig.Clock()), [user], root=there.root)


def test_a_silent_store_ends_the_sweep_after_one_batch(there: rig.Place) -> None:
    """A store that is away ends the sweep after one batch."""
    calls: list[Call] = []

    def away(call: Call) -> Any:
        calls.append(call)
        raise faults.UNAVAILABLE

    images = ImageService(faulty(there.storage, delete=away), there.repository, processor=rig.instant_processor)
    user = rig.new_user()
    for _ in range(150):
        image = images.upload(user, b"x", image_type="cover")
        with pytest.raises(StorageUnavailableError):
            images.delete(image.id)
    calls.clear()
    assert images.sweep().failed == 100
    assert len(calls) == 1
