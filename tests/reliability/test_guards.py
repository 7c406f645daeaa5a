"""What each guard is for: with it a scene ends well, and without it the same scene shows the harm."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest
import rig

from userimages import ConflictError, ImageService, KeyTakenError, StorageUnavailableError
from userimages.model import Intent, StoredObject
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import faults
from userimages.testing.faults import faulty


class WithoutTaken(MemoryRepository):
    """A sweep that does not take an intent before it deletes its objects."""

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        found = super().claim_expired(now, limit=limit)
        for each in found:
            self._intents[each.id] = attrs.evolve(each, lease_until=each.lease_until + timedelta(hours=1))
        return found


class WithoutLease(MemoryRepository):
    """A sweep that finishes work in hand whatever its lease."""

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        return super().claim_expired(now + timedelta(minutes=20), limit=limit)


class WithoutSecondLook(MemoryRepository):
    """A sweep that forgets an intent once it has deleted its objects."""

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        return [attrs.evolve(each, claimed=True) for each in super().claim_expired(now, limit=limit)]


class Overwriting(MemoryStorage):
    """A put that is not create-only."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        self.delete([key])
        super().put(key, data, mime_type=mime_type)


class FolderOrder(MemoryStorage):
    """A listing in the order of a walk through folders: ``a/`` before ``a-b/``."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        for found in sorted(super().list(prefix, after=after), key=lambda each: each.key.split("/")):
            yield attrs.evolve(found, modified=found.modified - timedelta(days=2 * prefix.startswith("users/")))


class ByteOrder(MemoryStorage):
    """The same, in byte order."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        for found in super().list(prefix, after=after):
            yield attrs.evolve(found, modified=found.modified - timedelta(days=2 * prefix.startswith("users/")))


class ClearThenSet(SQLAlchemyRepository):
    """A primary that is cleared and then set, as two statements of their own."""

    def set_primary(self, id: UUID, *, user: str | None = None, per_type: bool = False) -> Any:
        from sqlalchemy import delete

        from userimages.repositories.tables import primaries

        self._database.write(lambda connection: connection.execute(delete(primaries)) and None)
        return super().set_primary(id, user=user)


def a_publish_after_the_sweep_is_not_listed(storage: Any, repository: Any) -> None:
    clock = rig.Clock()
    swept = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)

    def linger() -> None:
        clock.move(minutes=16)
        swept.sweep()

    slow = ImageService(
        storage, faulty(repository, publish=[faults.slow(linger)]), processor=rig.instant_processor, clock=clock
    )
    with pytest.raises(ConflictError):
        slow.upload("ana", b"x", image_type="cover")
    rig.check_whole(swept, "ana")


def an_upload_within_its_lease_is_left_alone(storage: Any, repository: Any) -> None:
    clock = rig.Clock()
    swept = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)
    busy = ImageService(
        faulty(storage, put=faults.slow(swept.sweep)), repository, processor=rig.instant_processor, clock=clock
    )
    busy.upload("ana", b"x", image_type="cover")
    assert len(rig.check_whole(swept, "ana")) == 1


def a_put_that_lands_late_is_deleted(storage: Any, repository: Any) -> None:
    clock = rig.Clock()
    images = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)
    late = faults.LateWrite()
    with pytest.raises(StorageUnavailableError):
        ImageService(faulty(storage, put=[late]), repository, processor=rig.instant_processor, clock=clock).upload(
            "ana", b"x", image_type="cover"
        )
    clock.move(minutes=16)
    images.sweep()
    late.land()
    rig.sweep_twice(images, clock)
    rig.check_nothing_left(images, ["ana"])


def a_key_that_comes_twice_harms_nobody(storage: Any, repository: Any) -> None:
    clock = rig.Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("userimages.keys.new_stem", lambda *_: "users/ana/images/cover_1_" + "a" * 22)
        images = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)
        images.upload("ana", b"first", image_type="cover")
        with pytest.raises((KeyTakenError, ConflictError)):
            images.upload("ana", b"second", image_type="cover")
    assert len(rig.check_whole(images, "ana")) == 1


def an_audit_takes_no_image_for_an_orphan(storage: Any, repository: Any) -> None:
    images = ImageService(storage, repository, processor=rig.instant_processor)
    for user in ("a", "a.b", "a-b", "a b"):
        images.upload(user, b"x", image_type="cover")
    report = images.audit()
    assert (report.orphans, report.missing) == ((), ())


def a_primary_is_there_after_every_commit(storage: Any, repository: Any) -> None:
    images = ImageService(storage, repository, processor=rig.instant_processor)
    first, second = (images.upload("ana", data, image_type="cover") for data in (b"1", b"2"))
    images.set_primary(first.id)
    seen = []
    write = repository._database.write

    def watched(work: Callable[[Any], Any]) -> Any:
        outcome = write(work)
        seen.append(images.primary("ana"))
        return outcome

    repository._database.write = watched
    images.set_primary(second.id)
    assert seen
    assert all(seen), "a commit left no primary"


SCENES = {
    "taken": (a_publish_after_the_sweep_is_not_listed, {}, {"repository": WithoutTaken}),
    "the lease": (an_upload_within_its_lease_is_left_alone, {}, {"repository": WithoutLease}),
    "the second look": (a_put_that_lands_late_is_deleted, {}, {"repository": WithoutSecondLook}),
    "create-only": (a_key_that_comes_twice_harms_nobody, {}, {"storage": Overwriting}),
    "byte order": (an_audit_takes_no_image_for_an_orphan, {"storage": ByteOrder}, {"storage": FolderOrder}),
    "the upsert": (
        a_primary_is_there_after_every_commit,
        {"repository": SQLAlchemyRepository},
        {"repository": ClearThenSet},
    ),
}


def _play(scene: Callable[[Any, Any], None], parts: dict[str, Any], tmp_path: Path) -> None:
    repository = parts.get("repository", MemoryRepository)
    if issubclass(repository, SQLAlchemyRepository):
        made = repository(f"sqlite:///{tmp_path}/db.sqlite3")
        made.create_schema()
        try:
            scene(MemoryStorage(), made)
        finally:
            made.close()
    else:
        scene(parts.get("storage", MemoryStorage)(), repository())


@pytest.mark.parametrize("guard", SCENES)
def test_with_its_guard_the_scene_ends_well(guard: str, tmp_path: Path) -> None:
    """With its guard the scene ends well."""
    scene, with_it, _ = SCENES[guard]
    _play(scene, with_it, tmp_path)


@pytest.mark.parametrize("guard", SCENES)
def test_without_its_guard_the_scene_shows_the_harm(guard: str, tmp_path: Path) -> None:
    """Without its guard the scene shows the harm."""
    scene, _, without_it = SCENES[guard]
    with pytest.raises((AssertionError, pytest.fail.Exception, ConflictError, LookupError)):
        _play(scene, without_it, tmp_path)
    rig.count("guards whose absence is seen", 1)
