"""The HTTP contract on FastAPI (or Starlette): build a ``Request``, await the ``Api``, hand on its ``Response``."""

import asyncio
import contextlib
import functools
import io
from collections.abc import AsyncIterator, Collection

import fastapi
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from userimages import AsyncImageService, FileTooLargeError, ImageService
from userimages.http import (
    DRAIN_SECONDS,
    MAX_DRAIN,
    METHODS,
    ROOTS,
    Api,
    Authorize,
    ByteStream,
    FilePart,
    Form,
    MissingFieldsError,
    Request,
    RequestCutOffError,
)


def create_router(
    service: ImageService | AsyncImageService,
    *,
    authorize: Authorize,
    trusted_origins: Collection[str] = (),
    resource_policy: str | None = None,
    canvas_origins: Collection[str] = (),
) -> fastapi.APIRouter:
    """Return the routes of the contract; ``authorize(request, action, user)`` is asked on every one of them.

    The guard may be ``async``, and may raise ``HTTPException``; a plain one runs in a thread. *trusted_origins* are
    the other sites whose pages may change things with this site's cookies, *canvas_origins* those whose scripts may
    read pixels. *resource_policy* says which sites may show the images.
    """
    images = service if isinstance(service, AsyncImageService) else AsyncImageService(service)
    api = Api(
        images,
        authorize=authorize,
        trusted_origins=trusted_origins,
        resource_policy=resource_policy,
        canvas_origins=canvas_origins,
        framework_errors=(HTTPException,),
    )

    async def answer(root: str, request: fastapi.Request) -> Response:
        body = Body(request, api.max_body)
        facts = Request(
            method=request.method,
            path=f"{root}/{request.path_params['rest']}",
            query=request.url.query,
            headers=request.headers,
            form=body.form,
            source=request,
            body=body.raw,
        )
        try:
            response = await api.answer(facts)
        finally:
            await body.close()
        if response.status >= 400 and request.method == "POST":
            await body.drain()
        headers = dict(response.headers)
        if isinstance(response.body, bytes):
            return Response(response.body, response.status, headers)
        return StreamingResponse(sent(images, response.body), response.status, headers)

    router = fastapi.APIRouter()
    for root in ROOTS:
        router.add_route(f"/{root}/{{rest:path}}", functools.partial(answer, root), methods=list(METHODS), name=root)
    return router


async def sent(images: AsyncImageService, stream: ByteStream) -> AsyncIterator[bytes]:
    """Yield the bytes of *stream* and close it, whatever happens."""
    try:
        while chunk := await images.run(next, stream, b""):
            yield chunk
    finally:
        stream.close()


class Body:
    """The body of a request, read as a form up to *limit* bytes. A slow one costs a coroutine and no thread."""

    def __init__(self, request: fastapi.Request, limit: int) -> None:
        self._request, self._limit, self._read = request, limit, 0
        self._more = True
        self._form: FormData | None = None

    async def form(self) -> Form:
        """Return the form; files beyond a megabyte wait on disk."""
        counted = fastapi.Request(self._request.scope, self._receive_within_limit)
        try:
            form = self._form = await counted.form(max_part_size=self._limit)
        except (HTTPException, MultiPartException) as exc:
            if self._read > self._limit:
                raise FileTooLargeError from exc
            raise MissingFieldsError("the form cannot be read") from exc
        except ClientDisconnect as exc:
            raise RequestCutOffError from exc
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        images = [each for each in form.getlist("image") if not isinstance(each, str)]
        return Form(fields, [FilePart(each.file, each.filename or "", each.content_type or "") for each in images])

    async def raw(self) -> io.BytesIO:
        """Return the body as it is."""
        raw = io.BytesIO()
        try:
            async for chunk in fastapi.Request(self._request.scope, self._receive_within_limit).stream():
                raw.write(chunk)
        except (HTTPException, MultiPartException) as exc:
            raise FileTooLargeError from exc
        except ClientDisconnect as exc:
            raise RequestCutOffError from exc
        raw.seek(0)
        return raw

    async def close(self) -> None:
        if self._form is not None:
            await self._form.close()

    async def drain(self) -> None:
        """Read what is left of a refused body, because a client that can send no more never reads the answer."""
        announced = int(self._request.headers.get("Content-Length", 0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._more and max(self._read, announced) <= MAX_DRAIN:
                    await self._receive()

    async def _receive_within_limit(self) -> Message:
        if self._read > self._limit:
            raise MultiPartException("too large")  # which makes the parser close the files that it has begun
        return await self._receive()

    async def _receive(self) -> Message:
        message = await self._request.receive()
        self._read += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message
