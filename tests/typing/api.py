"""What must type-check: nothing here runs, mypy and pyright read it in their strict modes (`make check`)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, BinaryIO, assert_type
from uuid import UUID

from userimages import (
    AsyncImageService,
    ConfigurationError,
    ImageNotFoundError,
    ImageRepository,
    ImageService,
    ImageType,
    InvalidFieldError,
    Page,
    Processor,
    Storage,
    StorageError,
    StorageUnavailableError,
    Ticket,
    UserImage,
    UserImagesError,
    Variant,
)
from userimages.http import Api, FilePart, Form, Request, Response
from userimages.model import (
    AuditReport,
    CheckReport,
    ProcessedImage,
    Rendition,
    StoredObject,
    SweepReport,
    Usage,
    UserDeletion,
)
from userimages.processing import Fill, Fit, Limits, PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.signing import UrlSigner
from userimages.storages.by_type import ByType
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage

# Every part that ships is what a service takes.
storages: list[Storage] = [
    MemoryStorage(),
    DiskStorage("/srv/images"),
    ByType({"profile": MemoryStorage()}),
    R2Storage.from_env({}),
]
repositories: list[ImageRepository] = [MemoryRepository(), SQLAlchemyRepository("sqlite:///images.sqlite3")]
processor: Processor = PillowProcessor()


class Folder:
    """A storage of an application needs no base class, only the five verbs."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None: ...

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        return BytesIO()

    def delete(self, keys: Sequence[str]) -> None: ...

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        return iter(())

    def url(self, key: str) -> str | None:
        return None


def as_it_is(data: bytes, image_type: str) -> ProcessedImage:
    """A function is a processor."""
    return ProcessedImage(main=Rendition(data, 1, 1, "image/webp"))


def purge(urls: Sequence[str]) -> None: ...


images = ImageService(
    Folder(),
    MemoryRepository(),
    processor=as_it_is,
    clock=lambda: datetime.now(UTC),
    signer=UrlSigner(["a-key-of-at-least-32-characters-1234"], window=timedelta(hours=1)),
    on_deleted=purge,
    primary_per_type=True,
)


def every_verb(file: BinaryIO, id: UUID) -> None:
    """Each verb takes what the docs pass and returns what they use."""
    assert_type(images.upload("ana", b"...", image_type="profile", meta={"alt": "A cat"}), UserImage)
    assert_type(images.upload("ana", file, image_type=ImageType.COVER, uploaded_at=datetime.now(UTC)), UserImage)
    assert_type(images.get(id), UserImage)
    assert_type(images.get(str(id), user="ana"), UserImage)
    assert_type(images.get_many([id, str(id)]), dict[UUID, UserImage])
    assert_type(images.list("ana", limit=10), Page)
    assert_type(images.recent(image_type="cover"), Page)
    assert_type(images.primary("ana"), UserImage | None)
    assert_type(images.primaries(["ana", "ben"]), dict[str, UserImage])
    assert_type(images.set_primary(id), UserImage)
    assert_type(images.update(id, caption="Sea"), UserImage)
    assert_type(images.usage("ana"), Usage)
    assert_type(images.delete_user("ana"), UserDeletion)
    assert_type(images.check(), CheckReport)
    assert_type(images.sweep(), SweepReport)
    assert_type(images.audit(delete=True), AuditReport)
    assert_type(images.begin_upload("ana", size_bytes=7, mime_type="image/png"), Ticket)
    assert_type(images.finish_upload("ana", id, image_type="cover"), UserImage)
    with images.open(id, variant="320") as stream:
        assert_type(stream.read(), bytes)
    images.delete(id)


def a_record(image: UserImage) -> None:
    """A record is what templates and serializers read."""
    assert_type(image.id, UUID)
    assert_type(image.uploaded_at, datetime)
    assert_type(image.variants["320"], Variant)
    assert_type(image.variant(320), UserImage | Variant)
    assert_type(image.srcset(), str)
    assert_type(image.to_dict(), dict[str, Any])
    for name, variant in image.variants.items():
        assert_type(name, str)
        assert_type(variant.width, int)


def a_page(page: Page) -> None:
    """A page is a sequence, and its slice is one."""
    assert_type(page[0], UserImage)
    assert_type(page[:2], Sequence[UserImage])
    assert_type(page.next_cursor, str | None)
    assert_type([image.width for image in page], list[int])


async def in_asyncio(data: bytes) -> None:
    """The verbs of the asynchronous service return what the others do."""
    service = AsyncImageService(images)
    assert_type(await service.upload("ana", data, image_type="profile"), UserImage)
    assert_type(await service.list("ana"), Page)
    assert_type(await service.primary("ana"), UserImage | None)


def recipes() -> Mapping[str, Recipe]:
    """A recipe has a shape and variants with shapes of their own."""
    avatar = Recipe(Fill(400, 400), variants={"64": Fill(64, 64)})
    PillowProcessor(recipes={"avatar": avatar}, limits=Limits(max_bytes=2**20))
    return {"avatar": avatar, "banner": Recipe(Fit(1600, 400))}


def what_errors_say(error: UserImagesError) -> Iterable[str]:
    """A handler reads these, and a subclass is caught as its builtin parent too."""
    yield error.message
    yield error.hint or ""
    yield error.code
    if isinstance(error, InvalidFieldError):
        assert_type(error.field, str)
    if isinstance(error, StorageUnavailableError):
        assert_type(error.retry_after, int)
    not_found: type[LookupError] = ImageNotFoundError
    errors: list[type[UserImagesError]] = [StorageError, ConfigurationError]
    yield from (each.__name__ for each in (not_found, *errors))


def an_adapter() -> Response:
    """An adapter makes a request of what its framework has, and asks a guard of the application."""

    def authorize(request: object, action: str, user: str) -> bool:
        return True

    api = Api(images, authorize=authorize)
    form = Form({"username": "ana"}, [FilePart(BytesIO(), "cat.jpg", "image/jpeg")])
    return api(Request(method="GET", path="user_images/ana/", query="", headers={}, form=lambda: form, source=None))
