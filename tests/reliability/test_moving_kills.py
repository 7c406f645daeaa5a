"""SIGKILL at every step of a move: begun again, it ends with two stores and two databases that are equal."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import attrs
import killing
import pytest
import rig
from aged import Aged
from scenes import Ack
from sqlalchemy import create_engine, text

from userimages import ImageService, Storage
from userimages.keys import user_prefix
from userimages.lifecycle import transfer
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.mirror import MirrorStorage
from userimages.storages.r2 import R2Storage
from userimages.testing.faults import faulty, slow

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@attrs.frozen
class Move:
    """From where to where, and the mirror of the two, on which the application works."""

    source: rig.Place
    target: rig.Place
    user: str = attrs.field(factory=rig.new_user)

    @property
    def mirrored(self) -> rig.Place:
        return attrs.evolve(self.source, storage=MirrorStorage(self.source.storage, self.target.storage), root=None)


def upload(move: Move, images: ImageService, ack: Ack) -> None:
    ack(f"+{images.upload(move.user, b'new', image_type='cover').id}")


def delete(move: Move, images: ImageService, ack: Ack) -> None:
    id = images.list(move.user)[0].id
    images.delete(id)
    ack(f"-{id}")


def copy(move: Move, images: ImageService, ack: Ack) -> None:
    step = images.storage._step  # type: ignore[attr-defined]
    source, target = (killing.Stepping(place.storage, step) for place in (move.source, move.target))
    transfer.copy_objects(images.repository, source, target)  # type: ignore[arg-type]
    ack("copied")


def copy_beside_a_deletion(move: Move, images: ImageService, ack: Ack) -> None:
    """Delete an image when its bytes have been read, so that the copy has to take it back."""
    (first, *_) = images.repository.list_by_key(limit=1)
    target = killing.Stepping(move.target.storage, images.storage._step)  # type: ignore[attr-defined]
    late = faulty(target, put=[slow(lambda: images.delete_user(first.user)), None])
    transfer.copy_objects(images.repository, move.source.storage, late)  # type: ignore[arg-type]
    ack("copied")


def copy_records(move: Move, images: ImageService, ack: Ack) -> None:
    transfer.copy_records(images.repository, move.target.repository)
    ack("copied")


OPERATIONS = {each.__name__: each for each in (upload, delete, copy, copy_beside_a_deletion, copy_records)}


@pytest.fixture
def move(place: rig.Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Move]:
    """Move from each place to the one that differs in both parts."""
    to_disk = place.root is None
    url = (
        f"sqlite:///{tmp_path}/moved.db"
        if place.url.startswith("postgresql")
        else request.getfixturevalue("own_database")
    )
    storage = DiskStorage(tmp_path / "moved") if to_disk else request.getfixturevalue("bucket")
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    yield Move(place, rig.Place("target", storage, repository, url, tmp_path / "moved" if to_disk else None))
    repository.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_at_any_step_of_a_move(move: Move, name: str) -> None:
    """A kill at any step of a move."""
    stride = 1 if rig.TORTURE else {"sqlite+disk": 37}.get(move.source.name, 53)
    step, killed, kills = (stride + 1) // 2, True, 0
    while killed:
        killed = _kill_once(attrs.evolve(move, user=rig.new_user()), OPERATIONS[name], step)
        kills += killed
        step += stride
    assert kills, "the child was never killed"
    rig.count("kills during a move", kills)


def _kill_once(move: Move, work: Callable[[Move, ImageService, Ack], None], step: int) -> bool:
    clock = rig.Clock()
    old = move.source.service(clock)
    for number in range(2):  # before the mirror
        old.upload(move.user, f"{number}".encode(), image_type="gallery")
    images = move.mirrored.service(clock)
    images.upload(move.user, b"mirrored", image_type="profile", is_primary=True)

    outcome = killing.run_and_kill(move.mirrored, clock, lambda child, ack: work(move, child, ack), step=step)
    rig.wait_until_alone(move.source)
    rig.wait_until_alone(move.target)
    assert outcome.killed or outcome.acknowledged
    listed = rig.check_whole(old, move.user)  # in the store that is read, at any moment
    for line in outcome.acknowledged:
        assert (line[1:] in listed) == (line[0] == "+") or line == "copied"

    rig.sweep_twice(images, clock)
    _copy_to_the_end(move)
    aged = ImageService(Aged(move.target.storage), move.source.repository)  # type: ignore[arg-type]
    rig.count("objects that a killed copy left and the audit deleted", aged.audit(delete=True, max_share=1.0).deleted)
    assert _contents(move, move.source.storage) == _contents(move, move.target.storage)
    _check_types(move)

    count = len(move.source.repository.list_by_key())
    assert sum(attrs.astuple(transfer.copy_records(move.source.repository, move.target.repository))[:2]) == count
    assert transfer.copy_records(move.source.repository, move.target.repository).present == count
    moved = move.target.service(clock)
    assert rig.check_whole(moved, move.user).keys() == rig.check_whole(images, move.user).keys()
    report = moved.audit(verify=1.0)
    found = (report.images, report.orphans, report.missing, report.damaged, report.foreign, report.unknown)
    assert found == (count, (), (), (), 0, 0)
    rig.check_nothing_left(moved, [move.user])
    assert images.delete_user(move.user).left == ()
    for root in filter(None, (move.source.root, move.target.root)):
        left = list((root / ".tmp").iterdir())
        assert not left or work is copy_beside_a_deletion, "what a killed put left goes with its image"
        for file in left:
            os.utime(file, (0, 0))
        DiskStorage(root)
        assert os.listdir(root / ".tmp") == []
    _empty(move.target.url)
    return outcome.killed


def _copy_to_the_end(move: Move) -> None:
    """Copy until nothing is copied: that is the second time, because nobody else is at work."""
    for _ in range(2):
        report = transfer.copy_objects(move.source.repository, move.source.storage, move.target.storage)
        assert (report.wrong, report.missing) == ((), ())
    assert report.copied == 0


def _contents(move: Move, storage: Storage) -> dict[str, str]:
    found = {}
    for each in storage.list(user_prefix(move.user)):
        with storage.open(each.key) as stream:
            found[each.key] = hashlib.sha256(stream.read()).hexdigest()
    return found


def _check_types(move: Move) -> None:
    """Check that the store, of those that know types, has each object with the type of its record."""
    bucket = next(each.storage for each in (move.source, move.target) if isinstance(each.storage, R2Storage))
    for image in move.source.repository.list_by_key():
        for part in (image, *image.variants.values()):
            head = bucket.client.head_object(Bucket=bucket.bucket_name, Key=part.key)
            assert head["ContentType"] == part.mime_type


def _empty(url: str) -> None:
    """Make the target as it was when its tables had just been created."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for table in ("primaries", "images", "intents"):
            connection.execute(text(f"DELETE FROM userimages_{table}"))
        connection.execute(text("UPDATE userimages_about SET database_id = :id"), {"id": uuid4().hex})
    engine.dispose()
