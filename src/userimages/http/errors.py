"""Which status and words answer which error: one table."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from userimages.errors import (
    BusyError,
    ConflictError,
    FileTooLargeError,
    ImageNotFoundError,
    InvalidFieldError,
    ObjectNotFoundError,
    RejectedImageError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UnsupportedFormatError,
    UserImagesError,
)
from userimages.http.values import Response
from userimages.logs import logger

_log = logger("userimages.http")


class MissingFieldsError(InvalidFieldError):
    """Raised when a required form field or query parameter is absent or empty."""

    code = "missing_fields"


class ForbiddenError(UserImagesError):
    """Raised when the guard says no, or a page of another site asks for a change."""

    code = "forbidden"


class RequestCutOffError(UserImagesError):
    """Raised when the client went away before it had sent the whole request."""

    code = "request_cut_off"


class LengthRequiredError(UserImagesError):
    """Raised when the server in front of the adapter can read a body of a stated length only."""

    code = "length_required"


class RouteNotFoundError(UserImagesError):
    """Raised when the path is none of the contract's."""

    code = "not_found"


class MethodNotAllowedError(UserImagesError):
    """Raised when a route does not know the method; *allowed* are those that it knows."""

    code = "method_not_allowed"

    def __init__(self, message: str = "", *, allowed: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allowed = tuple(allowed)


class RangeNotSatisfiableError(UserImagesError):
    """Raised when a range begins past the last byte; *size* is the number of bytes there are."""

    code = "range_not_satisfiable"

    def __init__(self, message: str = "", *, size: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.size = size


STATUS: Mapping[type[BaseException], tuple[int, str]] = {
    RejectedImageError: (400, ""),
    InvalidFieldError: (400, ""),
    MissingFieldsError: (400, "Missing required fields"),
    RequestCutOffError: (400, "The request was cut off"),
    ForbiddenError: (403, "Forbidden"),
    RouteNotFoundError: (404, "Not found"),
    ImageNotFoundError: (404, "Image not found"),
    ObjectNotFoundError: (404, "Image file not found"),
    MethodNotAllowedError: (405, "Method not allowed"),
    ConflictError: (409, "Conflict: the image is still in use, or the idempotency key belongs to another upload"),
    LengthRequiredError: (411, "Length required: send the body with a Content-Length"),
    FileTooLargeError: (413, "File size exceeds {limit:g}MB limit"),
    UnsupportedFormatError: (415, "Unsupported file format"),
    RangeNotSatisfiableError: (416, "Range not satisfiable"),
    StorageError: (500, "Storage error"),
    RepositoryError: (500, "Database error"),
    Exception: (500, "Server error"),
    BusyError: (503, "The server is busy, try again in a moment"),
    StorageUnavailableError: (503, "Storage error"),
}
"""Error class -> (status, words). The nearest class counts; without words, the error's own message is the sentence.

The hint is omitted: hints are for developers, messages for end users.
"""


def json_response(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return *content* as an uncacheable JSON response."""
    body = json.dumps(content).encode()
    always = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    return Response(status, always | dict(headers or {}), body)


def error_response(error: Exception, *, max_bytes: int) -> Response:
    """Return the response for *error*: its row of ``STATUS``, with a detail only if the client can mend it.

    The cause of a status of 500 and more goes to the log, and only there.
    """
    nearest = next(each for each in type(error).__mro__ if each in STATUS)
    status, words = STATUS[nearest]
    code = getattr(error if status < 500 else nearest, "code", "server_error")
    if isinstance(error, FileTooLargeError):
        words = words.format(limit=(error.limit or max_bytes) / 2**20)
    elif status in (400, 415):
        words = ": ".join(part for part in (words, error.message if isinstance(error, UserImagesError) else "") if part)
    if isinstance(error, RequestCutOffError):
        _log.info("A client went away before its request was read.", extra={"status": status})
    if status >= 500:
        _log.error("A request failed and was answered with %d.", status, exc_info=error, extra={"status": status})
    return json_response(status, {"error": words, "code": code}, _headers(error))


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, MethodNotAllowedError):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, RangeNotSatisfiableError):
        return {"Content-Range": f"bytes */{error.size}"}
    if isinstance(error, BusyError | StorageUnavailableError):
        return {"Retry-After": str(int(error.retry_after))}
    return {}
