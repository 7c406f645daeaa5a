"""The HTTP contract on FastAPI (or Starlette): build a ``Request``, call the ``Api``, hand on its ``Response``."""

import functools
from collections.abc import AsyncIterator, Collection

import fastapi
from anyio import from_thread
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from userimages import FileTooLargeError, ImageService
from userimages.http import METHODS, ROOTS, Api, Authorize, ByteStream, FilePart, Form, Request

DRAIN = 64 * 1024 * 1024  # a refused body up to this size is read, so that its client comes to read the answer


def create_router(
    service: ImageService, *, authorize: Authorize, trusted_origins: Collection[str] = ()
) -> fastapi.APIRouter:
    """Return the routes of the contract; ``authorize(request, action, user)`` is asked on every one of them."""
    api = Api(service, authorize=authorize, trusted_origins=trusted_origins)

    async def answer(root: str, request: fastapi.Request) -> Response:
        body = Body(request, api.max_body)
        facts = Request(
            method=request.method,
            path=f"{root}/{request.path_params['rest']}",
            query=request.url.query,
            headers=request.headers,
            form=lambda: from_thread.run(body.form),
            source=request,
        )
        response = await run_in_threadpool(api, facts)
        await body.close()
        headers = dict(response.headers)
        if isinstance(response.body, bytes):
            return Response(response.body, response.status, headers)
        return StreamingResponse(sent(response.body), response.status, headers)

    router = fastapi.APIRouter()
    for root in ROOTS:
        router.add_route(f"/{root}/{{rest:path}}", functools.partial(answer, root), methods=list(METHODS), name=root)
    return router


async def sent(stream: ByteStream) -> AsyncIterator[bytes]:
    """Yield the bytes of *stream* and close it, whatever happens."""
    try:
        async for chunk in iterate_in_threadpool(stream):
            yield chunk
    finally:
        stream.close()


class Body:
    """The body of a request: read as a form up to *limit* bytes, and emptied when it is closed."""

    def __init__(self, request: fastapi.Request, limit: int) -> None:
        self._request, self._limit = request, limit
        self._announced = int(request.headers.get("Content-Length") or 0)
        self._read, self._more = 0, True
        self._form = None

    async def form(self) -> Form:
        """Return the form; files beyond a megabyte wait on disk."""
        try:
            self._form = await fastapi.Request(self._request.scope, self._receive_within_limit).form()
        except (HTTPException, MultiPartException):
            if max(self._announced, self._read) > self._limit:
                raise FileTooLargeError(limit=0) from None  # the contract's own words name the limit
            return Form()  # it cannot be read: every required field is missing
        fields = {name: value for name, value in self._form.items() if isinstance(value, str)}
        images = [each for each in self._form.getlist("image") if not isinstance(each, str)]
        return Form(fields, [FilePart(each.file, each.filename or "", each.content_type or "") for each in images])

    async def close(self) -> None:
        while self._more and max(self._read, self._announced) < DRAIN:
            await self._receive()
        if self._form is not None:
            await self._form.close()

    async def _receive(self) -> Message:
        message = await self._request.receive()
        self._read += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message

    async def _receive_within_limit(self) -> Message:
        if max(self._announced, self._read) > self._limit:
            raise MultiPartException("too large")  # which makes the parser close the files that it has begun
        return await self._receive()
