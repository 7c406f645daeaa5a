"""``AsyncImageService``: the request path of an ``ImageService`` for asyncio, on threads of its own."""

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, Protocol, Self, TypeVar
from uuid import UUID

from userimages.errors import ConfigurationError, InvalidFieldError
from userimages.fork_safety import reset_after_fork
from userimages.model import Page, Ticket, Usage, UserDeletion, UserImage
from userimages.protocols import Readable
from userimages.service import ImageService

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
T = TypeVar("T")

_CHUNK = 64 * 1024
_READ = 1024 * 1024


class AsyncImageService:
    """Await the verbs of an ``ImageService``, so that no coroutine waits for a database, a store or a picture.

    The verbs have the names, arguments and errors of ``ImageService``. Each runs in a thread of this service.
    Those of ``asyncio.to_thread`` are too few: there are six of them on a machine with two cores. If a call is
    cancelled, the work that has begun goes on to its end, so that nothing is left half done. An idempotency key makes
    a retry of a cancelled upload safe.

    Args:
        images: the service that does the work.
        threads: how many calls may run at once; the others wait for their turn.

    Raises:
        ConfigurationError: an argument cannot work.

    >>> import asyncio
    >>> from userimages import ImageService
    >>> from userimages.testing.images import make_image
    >>> async def main():
    ...     images = AsyncImageService(ImageService.in_memory())
    ...     cat = await images.upload("ana", make_image("PNG", (200, 100)), image_type="profile")
    ...     async with await images.open(cat) as stream:
    ...         return len(await stream.read()) == cat.size_bytes
    >>> asyncio.run(main())
    True
    """

    def __init__(self, images: ImageService, threads: int = 40) -> None:
        if isinstance(images, type) or not hasattr(images, "upload"):
            raise ConfigurationError("images is not an ImageService.", hint="Write AsyncImageService(images).")
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ConfigurationError(f"threads is {threads!r}.", hint="Pass a whole number from 1 up.")
        self.images = images
        self._threads = threads
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Begin with new threads, because those of a parent process do not live on in its child."""
        self._pool: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"AsyncImageService({self.images!r}, threads={self._threads})"

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that may block, such as ``images.sweep``, in a thread of this service."""
        import asyncio

        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="userimages")
        call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def upload(
        self,
        user: str,
        file: "bytes | Readable | AsyncReadable",
        *,
        image_type: str,
        is_primary: bool = False,
        caption: str = "",
        meta: Mapping[str, Any] | None = None,
        replace: bool = False,
        idempotency_key: str | None = None,
        uploaded_at: datetime | None = None,
    ) -> UserImage:
        """See ``ImageService.upload``. *file* may also be one whose ``read(n)`` is awaited, as Starlette's are."""
        return await self.run(
            self.images.upload,
            user,
            await _read(file, self.images.max_bytes + 1),
            image_type=image_type,
            is_primary=is_primary,
            caption=caption,
            meta=meta,
            replace=replace,
            idempotency_key=idempotency_key,
            uploaded_at=uploaded_at,
        )

    async def begin_upload(self, user: str, *, size_bytes: int, mime_type: str, sha256: str | None = None) -> Ticket:
        """See ``ImageService.begin_upload``."""
        return await self.run(self.images.begin_upload, user, size_bytes=size_bytes, mime_type=mime_type, sha256=sha256)

    async def finish_upload(
        self,
        user: str,
        ticket_id: UUID | str,
        *,
        image_type: str,
        is_primary: bool = False,
        caption: str = "",
        meta: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> UserImage:
        """See ``ImageService.finish_upload``."""
        return await self.run(
            self.images.finish_upload,
            user,
            ticket_id,
            image_type=image_type,
            is_primary=is_primary,
            caption=caption,
            meta=meta,
            replace=replace,
        )

    async def get(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """See ``ImageService.get``."""
        return await self.run(self.images.get, id, user=user)

    async def get_many(self, ids: Iterable[UUID | str]) -> dict[UUID, UserImage]:
        """See ``ImageService.get_many``."""
        return await self.run(self.images.get_many, ids)

    async def list(
        self, user: str, *, limit: int = 50, cursor: str | None = None, image_type: str | None = None
    ) -> Page:
        """See ``ImageService.list``."""
        return await self.run(self.images.list, user, limit=limit, cursor=cursor, image_type=image_type)

    async def recent(self, *, limit: int = 50, cursor: str | None = None, image_type: str | None = None) -> Page:
        """See ``ImageService.recent``."""
        return await self.run(self.images.recent, limit=limit, cursor=cursor, image_type=image_type)

    async def primary(self, user: str, *, image_type: str | None = None) -> UserImage | None:
        """See ``ImageService.primary``."""
        return await self.run(self.images.primary, user, image_type=image_type)

    async def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> dict[str, UserImage]:
        """See ``ImageService.primaries``."""
        return await self.run(self.images.primaries, users, image_type=image_type)

    async def set_primary(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """See ``ImageService.set_primary``."""
        return await self.run(self.images.set_primary, id, user=user)

    async def update(
        self,
        id: UUID | str,
        *,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
        user: str | None = None,
    ) -> UserImage:
        """See ``ImageService.update``."""
        return await self.run(self.images.update, id, caption=caption, meta=meta, user=user)

    async def usage(self, user: str) -> Usage:
        """See ``ImageService.usage``."""
        return await self.run(self.images.usage, user)

    async def open(
        self,
        image: UserImage | UUID | str,
        variant: str | None = None,
        *,
        user: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> "AsyncStream":
        """See ``ImageService.open``. Write ``async with await images.open(...) as stream``."""
        opened: list[BinaryIO] = []

        def work() -> BinaryIO:
            opened.append(self.images.open(image, variant, user=user, start=start, length=length))
            if cancelled:
                opened[0].close()
            return opened[0]

        cancelled = False
        try:
            return AsyncStream(self, await self.run(work))
        except BaseException:  # cancelled while the thread was at it: nobody else knows of the stream
            cancelled = True
            for stream in opened:
                stream.close()
            raise

    async def delete(self, id: UUID | str, *, user: str | None = None) -> None:
        """See ``ImageService.delete``."""
        await self.run(self.images.delete, id, user=user)

    async def delete_user(self, user: str) -> UserDeletion:
        """See ``ImageService.delete_user``."""
        return await self.run(self.images.delete_user, user)


class AsyncReadable(Protocol):
    """A file whose ``read`` is awaited, such as the ``UploadFile`` of Starlette."""

    async def read(self, n: int, /) -> bytes:
        """Return up to *n* bytes."""


class AsyncStream:
    r"""The bytes of an open object: read by awaiting, or ``async for`` chunk by chunk.

    >>> import asyncio
    >>> from userimages import ImageService
    >>> from userimages.testing.images import make_image
    >>> images = ImageService.in_memory()
    >>> cat = images.upload("ana", make_image(), image_type="cover")
    >>> async def main():
    ...     async with await AsyncImageService(images).open(cat) as stream:
    ...         return b"".join([chunk async for chunk in stream])
    >>> asyncio.run(main())[:2]
    b'\xff\xd8'
    """

    def __init__(self, service: AsyncImageService, stream: BinaryIO) -> None:
        self._service = service
        self._stream = stream

    async def read(self, n: int = -1, /) -> bytes:
        """Return up to *n* bytes; all that are left if *n* is negative."""
        return await self._service.run(self._stream.read, n)

    def close(self) -> None:
        """Close the object. This waits for nothing, so it is not awaited."""
        self._stream.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read(_CHUNK):
            yield chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _read(file: bytes | Readable | AsyncReadable, wanted: int) -> bytes | Readable:
    """Return what the service can read: *file* itself or, if its bytes are awaited, the first *wanted* of them."""
    read = getattr(file, "read", None)
    if not inspect.iscoroutinefunction(read):
        return file  # type: ignore[return-value]  # the service refuses what it cannot read
    chunks: list[bytes] = []
    while wanted > 0 and (chunk := await read(min(_READ, wanted))):
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise InvalidFieldError("The file does not give bytes.", field="file", hint="Open it with 'rb'.")
        chunks.append(bytes(chunk))
        wanted -= len(chunk)
    return b"".join(chunks)
