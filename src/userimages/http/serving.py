"""How stored bytes are served: headers, ETag, one Range; pure functions of the record and the request."""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

import attrs

from userimages.http.errors import RangeNotSatisfiableError
from userimages.http.values import Request
from userimages.keys import EXTENSIONS
from userimages.model import UserImage, Variant
from userimages.signing import PARAMETER

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
_ETAG = re.compile(r'"[^"]*"')


@attrs.frozen
class Part:
    """The bytes to send: *length* from *start*, out of *size*; *partial* where they were asked for as a range."""

    start: int
    length: int
    size: int
    partial: bool

    @property
    def status(self) -> int:
        """206 for a range, else 200."""
        return 206 if self.partial else 200

    def headers(self) -> dict[str, str]:
        """Return what tells the client which bytes these are."""
        headers = {"Content-Length": str(self.length)}
        if self.partial:
            headers["Content-Range"] = f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"
        return headers


def serve_headers(
    image: UserImage, stored: UserImage | Variant, *, variant: str, resource_policy: str
) -> dict[str, str]:
    """Return the headers of *stored*, the image itself or its *variant*; its name is made here, of safe characters."""
    name = f"{image.image_type}-{image.id}{f'-{variant}' if variant else ''}"
    return {
        "Content-Type": stored.mime_type if stored.mime_type in EXTENSIONS else "application/octet-stream",
        "Content-Disposition": f'inline; filename="{name}{EXTENSIONS.get(stored.mime_type, "")}"',
        "ETag": f'"{stored.sha256}"',
        "Cache-Control": "private, max-age=3600",
        "Accept-Ranges": "bytes",
        # In a tab of its own, a browser shows a picture on a page that has inline styles.
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        "Cross-Origin-Resource-Policy": resource_policy,
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


def token_of(query: str) -> str:
    """Return the token of a signed URL, which is the last parameter of *query*, or ``""``.

    Of two parameters of one name a proxy may read one and we the other, so two tokens or two variants are none.
    """
    names_and_values = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in names_and_values]
    if names.count(PARAMETER) != 1 or names[-1] != PARAMETER or names.count("variant") > 1:
        return ""
    return names_and_values[-1][1]


def canvas_headers(request: Request, origins: Collection[str]) -> dict[str, str]:
    """Return what lets the scripts of *origins* read the pixels, with the cookies that the guard asks for."""
    origin = request.headers.get("Origin", "")
    allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
    return ({"Vary": "Origin"} if origins else {}) | (allowed if origin in origins else {})


def etag_matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match *header* names *etag*: by ``*`` or in its list, weak ones too."""
    return header.strip() == "*" or etag in _ETAG.findall(header)


def asked_range(request: Request, etag: str, size: int) -> Part:
    """Return which of *size* bytes *request* asks for.

    Several ranges, another unit, a range that makes no sense and an If-Range of other bytes all mean the whole.

    Raises:
        RangeNotSatisfiableError: the range begins past the last byte, or is of the last 0 bytes.
    """
    whole = Part(0, size, size, partial=False)
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or not match or not any(match.groups()):
        return whole
    if request.headers.get("If-Range", etag).strip() != etag:
        return whole
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return whole
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RangeNotSatisfiableError(size=size)
    return Part(start, end - start, size, partial=True)
