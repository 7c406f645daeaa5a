"""What a service refuses to be made of, and how it shows itself."""

import itertools
from pathlib import Path

import pytest

from userimages import ConfigurationError, ImageNotFoundError, ImageService
from userimages.processing import PillowProcessor
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor


def _with_types(types: object) -> object:
    def processor(data: bytes, image_type: str) -> object:
        return instant_processor(data, image_type)

    processor.image_types = types  # type: ignore[attr-defined]
    return processor


@pytest.mark.parametrize(
    ("parts", "role"),
    [
        ({"storage": "nonsense"}, "storage"),
        ({"storage": MemoryStorage}, "storage"),
        ({"storage": MemoryRepository()}, "storage"),
        ({"repository": None}, "repository"),
        ({"repository": MemoryStorage()}, "repository"),
        ({"processor": "nonsense"}, "processor"),
        ({"processor": PillowProcessor}, "processor"),
        ({"serve_url": "/images/"}, "serve_url"),
        ({"on_deleted": "purge"}, "on_deleted"),
        ({"processor": _with_types("banner")}, "image_types"),
        ({"processor": _with_types(["my-type"])}, "image_types"),
        ({"processor": _with_types([7])}, "image_types"),
    ],
    ids=itertools.count(),
)
def test_a_part_that_cannot_work_is_refused(parts: dict[str, object], role: str) -> None:
    """Where it is given, not at the first upload."""
    given = {"storage": MemoryStorage(), "repository": MemoryRepository(), "processor": instant_processor} | parts
    with pytest.raises(ConfigurationError, match=role):
        ImageService(given.pop("storage"), given.pop("repository"), **given)  # type: ignore[arg-type]


def test_a_service_shows_its_parts_and_no_secret(tmp_path: Path) -> None:
    """A service shows its parts and no secret."""
    repository = SQLAlchemyRepository("postgresql://ana:secret@db.example.com/app")
    images = ImageService(DiskStorage(tmp_path), repository, processor=instant_processor)
    shown = repr(images)
    assert shown.startswith(f"ImageService(DiskStorage('{tmp_path}'), SQLAlchemyRepository('postgresql+psycopg://")
    assert "db.example.com" in shown
    assert "secret" not in shown
    assert len(repr(ImageService.in_memory())) < 100


def test_a_record_opens_without_a_query() -> None:
    """As HTTP serving does; another user's record is not found, and a deleted one has no object."""

    class Blind(MemoryRepository):
        get = None  # type: ignore[assignment]

    images = ImageService(MemoryStorage(), Blind(), processor=instant_processor)
    image = images.upload("ana", b"photo", image_type="cover")
    assert images.open(image).read() == images.open(image, user="ana").read() == b"photo"
    assert images.open(image, "64", start=5).read() == b"64"
    for arguments in ({"user": "eve"}, {"variant": "65"}):
        with pytest.raises(ImageNotFoundError):
            images.open(image, **arguments)
