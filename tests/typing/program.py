"""A program of a user, which type checkers read and nobody runs: what it says about types must hold."""

from datetime import datetime
from typing import BinaryIO, assert_type
from uuid import UUID

from userimages import (
    AsyncImageService,
    ImageRepository,
    ImageService,
    Page,
    Processor,
    Storage,
    Ticket,
    UserImage,
    Variant,
)
from userimages.processing import Fill, Fit, PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage

storages: list[Storage] = [MemoryStorage(), DiskStorage("objects"), R2Storage.from_env()]
repositories: list[ImageRepository] = [MemoryRepository(), SQLAlchemyRepository("sqlite://")]
processor: Processor = PillowProcessor(recipes={"banner": Recipe(Fit(2400, 800), variants={"800": Fill(800, 300)})})
images = ImageService(storages[0], repositories[0], processor=processor)


def use(file: BinaryIO, id: UUID) -> None:
    """Use each verb."""
    image = images.upload("ana", file, image_type="banner", is_primary=True, caption="Me", meta={"alt": "A cat"})
    assert_type(image, UserImage)
    assert_type(image.uploaded_at, datetime)
    assert_type(image.variants["800"], Variant)
    assert_type(images.get(id), UserImage)
    assert_type(images.get_many([id]), dict[UUID, UserImage])
    assert_type(images.list("ana"), Page)
    assert_type(images.list("ana").next_cursor, str | None)
    assert_type(images.primary("ana"), UserImage | None)
    assert_type(images.primaries(["ana"]), dict[str, UserImage])
    assert_type(images.open(image, start=0, length=10), BinaryIO)
    assert_type(images.usage("ana").stored_bytes, int)
    assert_type(images.begin_upload("ana", size_bytes=10, mime_type="image/png"), Ticket)
    assert_type(images.delete_user("ana").left, tuple[str, ...])
    images.upload(7, file, image_type="banner")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.upload("ana", "cat.jpg", image_type="banner")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ImageService(MemoryRepository(), MemoryStorage())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def use_async(file: BinaryIO) -> None:
    """Use the same from asyncio."""
    awaited = AsyncImageService(images)
    assert_type(await awaited.upload("ana", file, image_type="banner"), UserImage)
    async with await awaited.open(await awaited.get("0")) as stream:
        assert_type(await stream.read(2), bytes)
