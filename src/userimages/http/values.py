"""The values of the contract: what an adapter hands in, and what it hands on."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import attrs

from userimages.protocols import Readable

ROOTS = ("upload_user_image", "user_images", "user_image", "begin_upload", "staged_upload")
"""The first path segments of the contract: what an adapter routes to the ``Api``, with all that follows them."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""The methods that an adapter lets through: the ``Api`` answers those that a route lacks with 405."""

MAX_DRAIN = 64 * 1024 * 1024
"""How many bytes of a refused body an adapter reads, because a client that can send no more never reads the answer."""

DRAIN_SECONDS = 5
"""How long it reads them."""

_CHUNK = 64 * 1024


@attrs.frozen
class FilePart:
    """One file of a form: its bytes, and what the client calls it and takes it for."""

    stream: Readable
    filename: str = ""
    content_type: str = ""


@attrs.frozen
class Form:
    """What was posted: the text fields by name, and every file that came as ``image``."""

    fields: Mapping[str, str] = attrs.field(factory=dict)
    images: Sequence[FilePart] = ()


class Headers(Protocol):
    """The headers of a request, as every framework has them: ``get`` does not care about case."""

    def get(self, name: str, default: str, /) -> str:
        """Return the value of the header, or *default*."""


@attrs.frozen(kw_only=True)
class Request:
    """The facts of a request.

    *path* is below the mount point and percent-decoded, *query* is the raw query string. *form* is called at most
    once, for an upload or an update only, after the method, the length and the origin were found to be good. It may
    be ``async`` where the adapter is. It raises ``FileTooLargeError`` if the body has more than ``Api.max_body`` bytes,
    ``LengthRequiredError`` if it can only be read with a length, ``RequestCutOffError`` if the client goes away.
    *source* is the framework's request, for the guard. *body* gives the raw body of a direct upload to our own route;
    without it, only storages that sign such uploads can have them.
    """

    method: str
    path: str
    query: str
    headers: Headers
    form: Callable[[], Form | Awaitable[Form]]
    source: Any
    body: Callable[[], Readable | Awaitable[Readable]] | None = None


@attrs.frozen
class Response:
    """An answer: *body* is bytes, or a ``ByteStream`` that the adapter sends and closes."""

    status: int
    headers: Mapping[str, str]
    body: "bytes | ByteStream"


def drain(stream: Readable, length: int | None) -> None:
    """Read what is left of a refused body and drop it: *length* bytes (None: to its end), within both limits.

    A body that is announced as longer than ``MAX_DRAIN`` is not read at all.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    left = MAX_DRAIN if length is None else length
    while 0 < left <= MAX_DRAIN and time.monotonic() < deadline and (chunk := stream.read(min(_CHUNK, left))):
        left -= len(chunk)


class ByteStream:
    """The bytes of an open object in chunks; ``close`` is safe at any time, also before the first chunk."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if chunk := self._stream.read(_CHUNK):
            return chunk
        raise StopIteration

    def close(self) -> None:
        """Close the object."""
        self._stream.close()
