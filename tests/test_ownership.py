"""Two applications in one store, a wrong store, a copied database, and purges that fail."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from userimages import (
    ConfigurationError,
    ImageRepository,
    ImageService,
    RepositoryError,
    Storage,
    StorageUnavailableError,
)
from userimages.lifecycle.audit import ORPHAN_AGE
from userimages.lifecycle.ownership import require_own_store
from userimages.lifecycle.upload import LEASE
from userimages.model import SECOND_LOOK, StoredObject, SweepReport
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor
from userimages.testing.faults import Call, before, faulty

DOWN = StorageUnavailableError("The store did not answer.")


class OldStorage(MemoryStorage):
    """A storage whose objects are all older than an audit asks, except its probe."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        for found in super().list(prefix, after=after):
            age = timedelta(0) if "probe" in found.key else 2 * ORPHAN_AGE
            yield StoredObject(found.key, found.size, found.modified - age)


def leave_deletions(images: ImageService, *, number: int = 1) -> None:
    """Delete images while the store is down, so that their intents are left to the sweep."""
    down = ImageService(faulty(images.storage, delete=before(DOWN)), images.repository, processor=images.processor)
    for _ in range(number):
        image = images.upload("ana", b"gone", image_type="cover")
        with pytest.raises(StorageUnavailableError):
            down.delete(image.id)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Callable[[str], SQLAlchemyRepository]]:
    """Give what opens the database of a name. It is closed at the end."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(SQLAlchemyRepository(f"sqlite:///{tmp_path}/{name}.db")))


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_an_audit_leaves_another_applications_objects(tiny_processor, share: float) -> None:
    """Two databases share a store: neither deletes an object of the other, at any share and any age."""
    storage = OldStorage()
    large, small = (ImageService(storage, MemoryRepository(), processor=tiny_processor) for _ in range(2))
    for n in range(100):
        large.upload(f"user {n}", b"x", image_type="gallery")
    theirs = [small.upload("user 1", b"x", image_type="gallery") for _ in range(3)]
    for one, foreign in ((large, 9), (small, 300)):
        report = one.audit(delete=True, max_share=share)
        assert (report.orphans, report.deleted, report.foreign) == ((), 0, foreign)
    assert small.audit().missing == ()
    assert {each.id for each in small.list("user 1")} == {each.id for each in theirs}
    assert large.delete_user("user 1").left == theirs[0].object_keys[:0] + tuple(
        sorted(key for each in theirs for key in each.object_keys)
    )


def test_objects_stay_foreign_after_a_lost_database(tiny_processor) -> None:
    """The rows of a database are lost: a new database does not take its objects for orphans."""
    storage = OldStorage()
    ImageService(storage, MemoryRepository(), processor=tiny_processor).upload("ana", b"x", image_type="cover")
    new = ImageService(storage, MemoryRepository(), processor=tiny_processor)
    new.upload("ben", b"x", image_type="cover")
    assert new.audit(delete=True, max_share=1.0).foreign == 3
    assert len(list(storage.list())) == 6


def test_a_sweep_in_the_wrong_store_is_refused(tiny_processor) -> None:
    """The work stays, and the sweep of the right store does it."""
    right = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)
    kept = right.upload("ana", b"kept", image_type="cover")
    leave_deletions(right)
    other = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)
    other.upload("ana", b"theirs", image_type="cover")
    for storage in (MemoryStorage(), other.storage):
        wrong = ImageService(storage, right.repository, processor=tiny_processor)
        with pytest.raises(ConfigurationError, match="None of 1 images"):
            wrong.sweep()
        with pytest.raises(ConfigurationError, match="belong together"):
            wrong.audit(delete=True)
        assert [each.image_id for each in wrong.audit().missing] == [kept.id] * 3
    assert len(right.repository.list_intents()) == 1
    assert right.sweep().finished == 1
    assert {each.key for each in right.storage.list()} == set(kept.object_keys)
    assert len(list(other.storage.list())) == 3


@pytest.mark.parametrize(("first", "last"), [(0, 25), (25, 0), (15, 15)])
def test_twenty_images_tell_whose_store_it_is(first: int, last: int) -> None:
    """They are those past a place left to chance and, if these are too few, the first ones."""
    storage, repository = MemoryStorage(), MemoryRepository()
    images = ImageService(storage, repository, processor=instant_processor)
    for user, number in (("!", first), ("x" * 150, last)):  # their folders come before and after every letter and digit
        for _ in range(number):
            images.upload(user, b"x", image_type="cover")
    keys = [each.key for each in repository.list_by_key()]
    for found in list(storage.list()):
        storage.delete([found.key])
    with pytest.raises(ConfigurationError, match="None of 20 images"):
        require_own_store(storage, repository)
    for n, key in enumerate(keys):
        seen = n < 20 - min(last, 20) or first <= n < first + 20
        storage.put(key, b"x", mime_type="image/jpeg")
        with nullcontext() if seen else pytest.raises(ConfigurationError):
            require_own_store(storage, repository)
        storage.delete([key])


def test_an_audit_that_deletes_checks_the_store_first(tiny_processor) -> None:
    """An orphan of this database in a store that lacks all of its images: the store of a restored copy, say."""
    storage = OldStorage()
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)
    orphans = images.upload("ana", b"x", image_type="cover")
    rows = attrs.evolve(orphans, id=orphans.id)
    images.repository.finish(images.repository.begin_delete([rows.id]))
    lost = images.upload("ana", b"y", image_type="cover")
    storage.delete(lost.object_keys)
    with pytest.raises(ConfigurationError, match="None of 1 images"):
        images.audit(delete=True, max_share=1.0)
    assert {each.key for each in storage.list()} == set(orphans.object_keys)


def test_an_empty_database_sweeps_without_a_sample(tiny_processor) -> None:
    """An empty database sweeps without a sample."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)
    assert images.sweep() == SweepReport()
    leave_deletions(images)
    assert images.sweep().finished == 1
    assert not list(images.storage.list())


def test_a_copy_with_a_new_id_deletes_nothing_old(tmp_path: Path, database, tiny_processor) -> None:
    """A copy of the database for staging, with the store of production: what it did not make is foreign to it."""
    storage = OldStorage()
    repository = database("production")
    repository.create_schema()
    production = ImageService(storage, repository, processor=tiny_processor)
    kept = production.upload("ana", b"x", image_type="cover")
    repository.close()
    (tmp_path / "copy.db").write_bytes((tmp_path / "production.db").read_bytes())
    copied = database("copy")
    later = production.upload("ana", b"later, so the copy does not know it", image_type="cover")
    assert len(ImageService(storage, copied, processor=tiny_processor).audit().orphans) == 3, "the danger"
    before_it = copied.database_id()
    copied.new_database_id()
    assert copied.database_id() != before_it
    staging = ImageService(storage, copied, processor=tiny_processor)
    report = staging.audit(delete=True, max_share=1.0)
    assert (report.orphans, report.foreign, report.missing) == ((), 3, ())
    assert {each.key for each in storage.list()} == {*kept.object_keys, *later.object_keys}


def test_a_copy_with_a_new_id_drops_the_copied_work(tmp_path: Path, database, tiny_processor) -> None:
    """An upload is copied while it is under way: the copy's sweep must not delete what the first one publishes."""
    storage = MemoryStorage()
    first, copied = database("first"), database("copied")
    first.create_schema()

    def copy_first(call: Call) -> object:
        one, other = (closing(sqlite3.connect(tmp_path / f"{name}.db")) for name in ("first", "copied"))
        with one as source, other as target:
            source.backup(target)
        return call.do()

    production = ImageService(storage, faulty(first, publish=copy_first), processor=tiny_processor)
    image = production.upload("ana", b"x", image_type="cover")
    assert len(copied.list_intents()) == 1, "the danger"
    copied.new_database_id()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ImageService(storage, copied, processor=tiny_processor, clock=lambda: tomorrow).sweep()
    assert production.open(image.id).read() == b"x"


def test_others_objects_do_not_make_a_share_small(tiny_processor) -> None:
    """Most of what one database has are orphans, so something is wrong; a large neighbour must not hide that."""
    storage = OldStorage()
    large, small = (ImageService(storage, MemoryRepository(), processor=tiny_processor) for _ in range(2))
    for n in range(200):
        large.upload(f"user {n}", b"x", image_type="gallery")
    _kept, *lost = (small.upload("ana", b"x", image_type="cover") for _ in range(3))
    small.repository.finish(small.repository.begin_delete([each.id for each in lost]))
    report = small.audit(delete=True, max_share=0.5)
    assert (len(report.orphans), report.deleted) == (6, 0)
    assert "66.7%" in report.note
    assert small.audit(delete=True, max_share=0.7).deleted == 6


def test_a_purge_that_fails_is_repeated_by_the_sweep(tiny_processor) -> None:
    """Purges happen at least once: an ``on_deleted`` that raises keeps the intent."""
    purged: list[str] = []
    broken = True

    def purge(urls: list[str]) -> None:
        if broken:
            raise TimeoutError
        purged.extend(urls)

    storage = MemoryStorage(public_url="https://img.example")
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, on_deleted=purge)  # type: ignore[arg-type]
    first = images.upload("ana", b"x", image_type="cover")
    images.delete(first.id)  # the image is gone as promised, so that is not an error
    assert not list(storage.list())
    assert images.sweep() == SweepReport(failed=1)
    broken = False
    assert images.sweep().finished == 1
    assert {url.removeprefix("https://img.example/") for url in purged} == set(first.object_keys)
    assert images.sweep() == SweepReport()


def test_a_failed_purge_ends_the_deletion_of_a_user(tiny_processor) -> None:
    """The next batch would meet the same, so the error is raised; calling it again goes on."""
    calls: list[int] = []

    def purge(urls: list[str]) -> None:
        calls.append(len(urls))
        if len(calls) == 1:
            raise TimeoutError("the CDN is down")

    storage = MemoryStorage(public_url="https://img.example")
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, on_deleted=purge)  # type: ignore[arg-type]
    for _ in range(250):
        images.upload("ana", b"x", image_type="cover")
    with pytest.raises(TimeoutError):
        images.delete_user("ana")
    assert (calls, len(images.list("ana", limit=200))) == ([300], 150)
    assert images.delete_user("ana").images == 150
    images.sweep()
    assert sum(calls[1:]) >= 750
    assert not images.repository.list_intents()


def test_work_that_is_overdue_is_named(tiny_processor) -> None:
    """By the sweep that could not finish it, and by the check."""
    now = datetime.now(UTC)
    clock = lambda: now  # noqa: E731
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, clock=clock)
    leave_deletions(images, number=3)
    locked = faulty(images.storage, delete=before(DOWN))
    later = ImageService(locked, images.repository, clock=lambda: now + timedelta(days=3, hours=1))
    report = later.sweep()
    assert (report.failed, report.overdue) == (3, 3)
    assert report.oldest
    assert abs(report.oldest - now) < timedelta(minutes=1)
    checked = later.check()
    (line,) = [each for each in checked.checks if each.name == "work in hand"]
    assert not line.ok
    assert line.detail == "3 of 3 intents are overdue, the oldest by 3 days."
    assert (checked.overdue, checked.oldest) == (3, report.oldest)
    assert "userimages sweep" in line.hint
    fresh = ImageService(locked, images.repository, clock=clock).sweep()
    assert (fresh.failed, fresh.overdue) == (3, 0)


def test_overdue_counts_from_the_lease_of_an_upload(tiny_processor) -> None:
    """An image of 2001 is adopted, and that is cut off: its work is overdue since this week, not since 2001."""
    now = datetime.now(UTC)
    repository = MemoryRepository()
    cut_off = faulty(repository, publish=before(RepositoryError("The connection was lost.")))
    with pytest.raises(RepositoryError):
        ImageService(MemoryStorage(), cut_off, processor=tiny_processor, clock=lambda: now).upload(
            "ana", b"x", image_type="cover", uploaded_at=datetime(2001, 1, 1, tzinfo=UTC)
        )
    down = faulty(MemoryStorage(), delete=before(DOWN))
    later = ImageService(down, repository, clock=lambda: now + timedelta(days=3))
    (line,) = [each for each in later.check().checks if each.name == "work in hand"]
    assert line.detail == "1 of 1 intents are overdue, the oldest by 2 days."
    assert later.sweep().oldest == now + LEASE
    assert (later.sweep().overdue, later.sweep().oldest) == (1, now + LEASE + SECOND_LOOK)


def test_delete_user_goes_by_the_rows(tiny_processor) -> None:
    """A row whose key is spelled otherwise, as an adopted one may be, goes too; what is left is listed."""
    storage, repository = MemoryStorage(), MemoryRepository()
    images = ImageService(storage, repository, processor=tiny_processor)
    adopted = images.upload("ana", b"x", image_type="cover")
    _rename(storage, repository, adopted.id, "legacy/ana/1.jpg")
    images.upload("ana", b"y", image_type="cover")
    stray = f"users/ana/images/{adopted.key.rpartition('/')[2]}"
    storage.delete([stray])
    storage.put("users/ana/images/stray.jpg", b"stray", mime_type="image/jpeg")
    deletion = images.delete_user("ana")
    assert (deletion.images, deletion.left) == (2, ("users/ana/images/stray.jpg",))
    assert [each.key for each in storage.list()] == ["users/ana/images/stray.jpg"]


def _rename(storage: Storage, repository: ImageRepository, id: object, key: str) -> None:
    row = repository._rows[id]  # type: ignore[attr-defined]
    storage.put(key, b"x", mime_type="image/jpeg")
    storage.delete(row.image.object_keys)
    repository._unique[key] = repository._unique.pop(row.image.key)  # type: ignore[attr-defined]
    repository._rows[id] = attrs.evolve(row, image=attrs.evolve(row.image, key=key, variants={}))  # type: ignore[attr-defined]
