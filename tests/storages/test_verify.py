"""An audit that reads: what is damaged in memory, on disk and on an S3 server is told by the id of its image."""

import errno
import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from userimages import ImageService, InvalidFieldError, StorageUnavailableError
from userimages.cli import main
from userimages.ids import utcnow
from userimages.model import AuditReport, MissingObject, UserImage, Variant
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage
from userimages.testing.faults import Call, before, faulty, reset_at, wrong_bytes

Overwrite = Callable[[UserImage | Variant, bytes, str], None]


@attrs.frozen
class Store:
    """A service, and what writes over one of its objects as no put would."""

    images: ImageService
    overwrite: Overwrite


@pytest.fixture(params=["memory", "disk", "moto", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, tiny_processor) -> Store:
    if request.param == "memory":
        memory = MemoryStorage()

        def overwrite(stored: UserImage | Variant, data: bytes, _: str) -> None:
            memory._objects[stored.key] = data, memory._objects[stored.key][1]

        return Store(ImageService(memory, MemoryRepository(), processor=tiny_processor), overwrite)
    if request.param == "disk":
        disk = DiskStorage(tmp_path)

        def overwrite_file(stored: UserImage | Variant, data: bytes, _: str) -> None:
            (tmp_path / stored.key).write_bytes(data)

        return Store(ImageService(disk, MemoryRepository(), processor=tiny_processor), overwrite_file)
    r2: R2Storage = request.getfixturevalue(f"r2_{request.param}")
    for found in list(r2.list("users/")):
        r2.delete([found.key])

    def overwrite_object(stored: UserImage | Variant, data: bytes, mime_type: str) -> None:
        r2.delete([stored.key])
        r2.put(stored.key, data, mime_type=mime_type)

    return Store(ImageService(r2, MemoryRepository(), processor=tiny_processor), overwrite_object)


@pytest.fixture
def uploaded(store: Store) -> list[UserImage]:
    return [store.images.upload(user, b"x", image_type="gallery") for user in ("ana", "ben", "cem")]


def read(images: ImageService, stored: UserImage | Variant) -> bytes:
    with images.storage.open(stored.key) as stream:
        return stream.read()


@pytest.mark.parametrize("variant", [None, "64"])
def test_a_flipped_bit_is_told_by_image(store: Store, uploaded: list[UserImage], variant: str | None) -> None:
    """A flipped bit of an image or of a variant is found by a reading audit, and by no other."""
    image = uploaded[1]
    stored = image.variants[variant] if variant else image
    data = bytearray(read(store.images, stored))
    data[len(data) // 2] ^= 1
    store.overwrite(stored, bytes(data), stored.mime_type)

    report = store.images.audit(verify=1.0)

    assert report.damaged == (MissingObject(stored.key, image.id),)
    assert (report.objects, report.images, report.orphans, report.missing) == (9, 3, (), ())
    assert store.images.audit().damaged == ()


def test_a_truncated_object_needs_no_reading(store: Store, uploaded: list[UserImage]) -> None:
    """A truncated object is found by every audit, because the listing tells its length."""
    image = uploaded[2]
    store.overwrite(image, read(store.images, image)[:-1], image.mime_type)

    for verify in (0.0, 1.0):
        assert store.images.audit(verify=verify).damaged == (MissingObject(image.key, image.id),)


def test_a_wrong_type_is_told(store: Store, uploaded: list[UserImage]) -> None:
    """A store that keeps types is asked for them; for all stores the key must end as the record's type wants it."""
    image = uploaded[0]
    if isinstance(store.images.storage, R2Storage):
        store.overwrite(image, read(store.images, image), "text/html")
    else:
        repository = store.images.repository
        row = repository._rows[image.id]
        repository._rows[image.id] = attrs.evolve(row, image=attrs.evolve(row.image, mime_type="image/png"))

    assert store.images.audit(verify=1.0).damaged == (MissingObject(image.key, image.id),)


def test_a_healthy_store_reads_as_it_was_put(store: Store, uploaded: list[UserImage]) -> None:
    """A healthy store has nothing to tell, however much of it is read."""
    for verify in (0.01, 0.5, 1, 1.0):
        report = store.images.audit(verify=verify)
        assert (report.damaged, report.missing, report.objects) == ((), (), 9)


# From here on the store plays no part.


class Counting(MemoryStorage):
    """A storage that remembers what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def open(self, key: str, *, start: int = 0, length: int | None = None):
        self.read.append(key)
        return super().open(key, start=start, length=length)


@pytest.fixture
def counting(tiny_processor) -> ImageService:
    images = ImageService(Counting(), MemoryRepository(), processor=tiny_processor)
    for number in range(100):
        images.upload(f"user-{number}", b"x", image_type="gallery")
    return images


def test_a_share_is_read_and_never_the_same_one(counting: ImageService) -> None:
    """Of 300 objects a share of a half is read, other ones each time, and none twice."""
    seen = []
    for _ in range(2):
        counting.storage.read.clear()
        counting.audit(verify=0.5)
        seen.append(set(counting.storage.read))
        assert len(seen[-1]) == len(counting.storage.read)
        assert 90 < len(seen[-1]) < 210
    assert seen[0] != seen[1]


def test_nothing_is_read_unless_asked(counting: ImageService) -> None:
    """Without *verify* an audit reads no object."""
    counting.audit()
    assert counting.storage.read == []


@pytest.mark.parametrize("limit", [1, 7, 64, 65, 299])
def test_parts_read_every_object_once(counting: ImageService, limit: int) -> None:
    """An audit in parts reads every object once."""
    report = counting.audit(verify=1.0, limit=limit)
    while report.stopped_at:
        report = counting.audit(verify=1.0, limit=limit, after=report.stopped_at)
    assert sorted(counting.storage.read) == [each.key for each in counting.storage.list()]


def test_what_progress_names_was_read(counting: ImageService, monkeypatch) -> None:
    """Whoever goes on after a key that progress named, leaves no object unread."""
    monkeypatch.setattr("userimages.lifecycle.audit._PROGRESS", 50)
    told: list[AuditReport] = []
    read_by_then = []

    def progress(seen: AuditReport) -> None:
        told.append(seen)
        read_by_then.append((seen.objects, len(counting.storage.read)))

    image = counting.list("user-0")[0]
    counting.storage._objects[image.key] = b"y", utcnow()
    assert counting.audit(verify=1.0, progress=progress).damaged == (MissingObject(image.key, image.id),)
    assert read_by_then == [(objects, objects) for objects in range(50, 301, 50)]
    assert {each.damaged for each in told if each.stopped_at >= image.key} == {told[-1].damaged}
    assert told[-1].damaged == (MissingObject(image.key, image.id),)


@pytest.mark.parametrize("verify", [-0.1, 1.01, float("nan"), float("inf"), "1", None, True])
def test_a_bad_share_is_refused(counting: ImageService, verify) -> None:
    """A bad share is refused, and nothing is read."""
    with pytest.raises(InvalidFieldError) as error:
        counting.audit(verify=verify)
    assert error.value.field == "verify"


def test_an_image_deleted_meanwhile_is_well(tiny_processor) -> None:
    """An image that goes between the listing and the reading is neither missing nor damaged."""
    storage = MemoryStorage()
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)
    image = images.upload("ana", b"x", image_type="gallery")

    class Deleting(MemoryStorage):
        def list(self, prefix: str = "", *, after: str = ""):
            for found in list(storage.list(prefix, after=after)):
                yield attrs.evolve(found, size=found.size + 1) if found.key == image.key else found
            if prefix == "users/" and images.list("ana"):
                images.delete(image.id)

        def __getattribute__(self, name: str):
            return super().__getattribute__(name) if name == "list" else getattr(storage, name)

    report = ImageService(Deleting(), images.repository, processor=tiny_processor).audit(verify=1.0)

    assert (report.objects, report.missing, report.damaged) == (3, (), ())


def test_an_object_lost_while_it_runs_is_missing(counting: ImageService) -> None:
    """An object that was listed and is gone when it is to be read is missing."""
    image = counting.list("user-7")[0]

    def lose(call: Call) -> object:
        if call.args == (image.key,):
            counting.storage.delete([image.key])
        return call.do()

    storage = faulty(counting.storage, open=lose)
    report = ImageService(storage, counting.repository, processor=counting.processor).audit(verify=1.0)
    assert report.missing == (MissingObject(image.key, image.id),)


def test_a_wrong_byte_of_any_object_is_told(counting: ImageService) -> None:
    """Every object of the record is compared: the image itself and all of its variants."""
    storage = faulty(counting.storage, open=wrong_bytes)
    report = ImageService(storage, counting.repository, processor=counting.processor).audit(verify=1.0)
    assert sorted(each.key for each in report.damaged) == [each.key for each in counting.storage.list()]


class Typed(io.BytesIO):
    """A stream that tells its media type, and is read in pieces, because an object may be large."""

    mime_type = "image/webp"

    def read(self, size: int | None = -1) -> bytes:
        assert 0 < (size or 0) <= 2**20
        return super().read(size)


def test_a_store_may_tell_the_media_type(counting: ImageService) -> None:
    """An object that a store would serve as another type than that of its record is damaged."""
    storage = faulty(counting.storage, open=lambda call: Typed(call.do().read()))
    report = ImageService(storage, counting.repository, processor=counting.processor).audit(verify=1.0)
    rows = counting.repository.list_by_key()
    held = [(each.key, each.mime_type) for image in rows for each in (image, *image.variants.values())]
    assert [each.key for each in report.damaged] == sorted(key for key, held_as in held if held_as != "image/webp")
    assert 0 < len(report.damaged) < 300


class Unreadable(io.BytesIO):
    """A stream that fails as a medium does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def read(self, *_: object) -> bytes:
        raise OSError(self._number, "from the medium")


def on_a_medium_that_fails(counting: ImageService, number: int) -> ImageService:
    bad = counting.list("user-7")[0].key

    class Failing(MemoryStorage):
        def open(self, key: str, *, start: int = 0, length: int | None = None):
            return Unreadable(number) if key == bad else super().open(key, start=start, length=length)

    storage = Failing()
    storage._objects = counting.storage._objects
    return ImageService(storage, counting.repository, processor=counting.processor)


def test_bytes_that_the_medium_does_not_give(counting: ImageService) -> None:
    """An object that the medium does not give any more is damaged, and the audit goes on."""
    image = counting.list("user-7")[0]
    report = on_a_medium_that_fails(counting, errno.EIO).audit(verify=1.0)
    assert report.damaged == (MissingObject(image.key, image.id),)


def test_a_store_that_is_away_ends_the_audit(counting: ImageService) -> None:
    """A network file system that is away says nothing about an object."""
    message = "The bytes of an object could not be read. Check the disk."
    with pytest.raises(StorageUnavailableError, match=message):
        on_a_medium_that_fails(counting, errno.ETIMEDOUT).audit(verify=1.0)


def test_a_connection_may_break_once(counting: ImageService) -> None:
    """One broken connection does not end an audit; a store that is away does."""
    storage = faulty(
        counting.storage, open=[None, before(StorageUnavailableError("The connection broke.")), reset_at(9)]
    )
    assert ImageService(storage, counting.repository, processor=counting.processor).audit(verify=1.0).damaged == ()
    storage = faulty(counting.storage, open=before(StorageUnavailableError("Away.")))
    with pytest.raises(StorageUnavailableError):
        ImageService(storage, counting.repository, processor=counting.processor).audit(verify=1.0)


@pytest.fixture
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_processor) -> Iterator[ImageService]:
    """Let the console find a service on disk and SQLite in the environment."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/userimages.sqlite3")
    repository.create_schema()
    yield ImageService(DiskStorage(tmp_path / "objects"), repository, processor=tiny_processor)
    repository.close()


def test_the_console_names_what_is_damaged(on_disk: ImageService, tmp_path: Path, capsys) -> None:
    """`userimages audit --verify` names the image, and its status is 1."""
    image = on_disk.upload("ana", b"x", image_type="gallery")
    assert main(["audit", "--verify", "1"]) == 0
    file = tmp_path / "objects" / image.key
    file.write_bytes(bytes(each ^ 1 for each in file.read_bytes()))
    assert main(["audit", "--verify", "0"]) == 0
    capsys.readouterr()

    assert main(["audit", "--verify", "1"]) == 1
    shown = capsys.readouterr().out
    assert f"damaged  {image.key} of image {image.id}\n" in shown
    assert "0 missing, 1 damaged, 0 deleted." in shown
    assert "restore it from a backup" in shown

    assert main(["audit", "--verify", "1.0", "--json"]) == 1
    assert f'"image_id": "{image.id}"' in capsys.readouterr().out


@pytest.mark.parametrize("share", ["2", "-1", "x", "nan"])
def test_the_console_refuses_a_bad_share(share: str, capsys) -> None:
    """A share that is not a number from 0 to 1 is shown, and the status is 2."""
    with pytest.raises(SystemExit) as end:
        main(["audit", f"--verify={share}"])
    assert end.value.code == 2
    assert f"--verify: '{share}' is not a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("mime_type", ["image/gif", "image/bmp"])
def test_a_record_whose_type_was_changed(on_disk: ImageService, tmp_path: Path, mime_type: str) -> None:
    """A type that was changed in the database does not fit the key any more, nor does one that no key has."""
    image = on_disk.upload("ana", b"x", image_type="gallery")
    with closing(sqlite3.connect(tmp_path / "userimages.sqlite3")) as database, database:
        database.execute("UPDATE userimages_images SET mime_type = ?", (mime_type,))

    assert on_disk.audit().damaged == (MissingObject(image.key, image.id),)
