"""What must not type-check: each line below is an error, and both checkers say so if one of them no longer is.

A comment for mypy names its code, and one for pyright names its rule. `warn_unused_ignores` and
`reportUnnecessaryTypeIgnoreComment` make an ignore that hides nothing an error.
"""

from uuid import UUID

from userimages import ImageService, UserImage
from userimages.http import Api
from userimages.model import ProcessedImage
from userimages.processing import PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage

images = ImageService.in_memory()


class NoList:
    """A storage that lacks a verb."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None: ...


def no_type(data: bytes) -> ProcessedImage:
    """A processor that is not told the type."""
    raise NotImplementedError


def parts() -> None:
    """A part that lacks something is not a part."""
    ImageService(NoList(), MemoryRepository())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ImageService(MemoryStorage(), MemoryStorage())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ImageService(MemoryStorage())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ImageService(MemoryStorage(), MemoryRepository(), processor=no_type)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PillowProcessor(recipes={"avatar": "400x400"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    Recipe("400x400")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    UrlSigner(["key"], 3600)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]


def verbs(image: UserImage, id: UUID) -> None:
    """A verb that is called wrongly is an error before it runs."""
    images.upload("ana", "cat.jpg", image_type="profile")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.upload("ana", b"...")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    images.upload("ana", b"...", "profile")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    images.upload(7, b"...", image_type="profile")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.upload("ana", b"...", image_type="profile", is_primary="true")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.get(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.update(id, key="users/ana")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    images.primary("ana").id  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    images.list("ana")[0].nothing  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def records(image: UserImage) -> None:
    """A record is read only."""
    image.caption = "Sea"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    image.variants["320"] = image  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def guards() -> None:
    """A guard is required, and takes the request, the action and the user."""
    Api(images)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Api(images, authorize=lambda user: True)  # type: ignore[misc,arg-type]  # pyright: ignore[reportArgumentType]
