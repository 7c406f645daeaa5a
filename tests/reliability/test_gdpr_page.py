"""The page ``docs/how-to/gdpr.md``: an export in bounded memory, and a deletion that survives a restore."""

import io
import json
import re
import sqlite3
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rig

from userimages import ImageService, ObjectNotFoundError
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import Call, faulty

PAGE = Path(__file__).parents[2] / "docs/how-to/gdpr.md"
Export = Callable[[ImageService, str, Any], None]


@pytest.fixture
def export_user() -> Export:
    """Give the function of the page."""
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0], names)
    export: Export = names["export_user"]
    return export


class Sink(io.RawIOBase):
    """A response: what is written to it is gone, and there is no way back."""

    def __init__(self) -> None:
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.written += len(data)
        return len(data)


def on_disk(folder: Path) -> ImageService:
    repository = SQLAlchemyRepository(f"sqlite:///{folder}/images.sqlite3")
    repository.create_schema()
    return ImageService(DiskStorage(folder / "objects"), repository, processor=rig.instant_processor)


def test_an_export_needs_little_memory(export_user: Export, tmp_path: Path) -> None:
    """Twelve pictures of two megabytes go to a response that cannot seek, with less memory than one of them."""
    images, size = on_disk(tmp_path), 2 * 2**20
    for n in range(12):
        images.upload("ana", n.to_bytes() * size, image_type="gallery")
    sink = Sink()
    tracemalloc.start()
    try:
        export_user(images, "ana", sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.written > 12 * size
    assert peak < size


def test_an_export_has_every_page_of_one_user(export_user: Export) -> None:
    """All pictures of the user are in it, byte for byte, each with its record, and none of anybody else."""
    images, user = ImageService(MemoryStorage(), MemoryRepository(), processor=rig.instant_processor), "ana"
    stored = {f"{n}".encode() for n in range(205)}
    for data in stored:
        images.upload(user, data, image_type="gallery", meta={"alt": data.decode()})
    images.upload(f"{user}2", b"of another", image_type="gallery")
    file = io.BytesIO()
    export_user(images, user, file)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        pictures = [name for name in names if not name.endswith(".json")]
        assert {archive.read(name) for name in pictures} == stored
        for name in pictures:
            record = json.loads(archive.read(f"{name}.json"))
            assert (record["user"], record["meta"]["alt"]) == (user, archive.read(name).decode())
    assert len(names) == 2 * len(stored)


def test_an_export_beside_a_deletion(export_user: Export, tmp_path: Path) -> None:
    """A picture that is deleted meanwhile is left out; one that is lost is an error."""
    images = on_disk(tmp_path)
    gone, _ = (images.upload("ana", data, image_type="gallery") for data in (b"gone", b"there"))

    def delete_first(call: Call) -> Any:
        if call.args == (gone.key,) and images.get_many([gone.id]):
            images.delete(gone.id)
        return call.do()

    file = io.BytesIO()
    export_user(ImageService(faulty(images.storage, open=delete_first), images.repository), "ana", file)
    with zipfile.ZipFile(file) as archive:
        assert [archive.read(name) for name in archive.namelist()[:1]] == [b"there"]

    images.storage.delete([images.list("ana")[0].key])
    with pytest.raises(ObjectNotFoundError):
        export_user(images, "ana", io.BytesIO())


def test_a_restore_and_the_deletion_again(tmp_path: Path) -> None:
    """After a restore of the database the audit names the records without objects; deleted again, all is well."""
    images = on_disk(tmp_path)
    kept = images.upload("ben", b"kept", image_type="gallery")
    image = images.upload("ana", b"picture", image_type="gallery")
    file, backup = tmp_path / "images.sqlite3", tmp_path / "backup.sqlite3"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    assert images.delete_user("ana").left == ()
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(file)) as target:
        source.backup(target)

    restored = on_disk(tmp_path)
    assert {each.image_id for each in restored.audit().missing} == {image.id}
    assert restored.delete_user("ana").left == ()
    report = restored.audit(verify=1.0)
    assert (report.missing, report.damaged, report.orphans, report.images) == ((), (), (), 1)
    assert [each.id for each in restored.list("ben")] == [kept.id]
