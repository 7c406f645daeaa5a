"""A check of what a boto3 client sends: it refuses requests that Cloudflare R2 does not implement or misreads.

moto answers requests that R2 refuses, so tests that pass on moto prove little about R2. Register the check at the
client that a test uses, and such a request fails before it is sent::

    check = check_wire(storage.client)
    ...
    assert not check.refused

R2's documentation lists what it implements (developers.cloudflare.com/r2/api/s3/api) and its limits
(developers.cloudflare.com/r2/platform/limits).
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import attrs

MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 8192
MAX_DELETED_KEYS = 1000

_HEADERS = re.compile(
    r"expect|transfer-encoding|x-amz-(acl|grant-.+|tagging.*|object-lock-.+|bypass-governance-retention"
    r"|server-side-encryption(?!-customer).*|website-redirect-location|request-payer|(source-)?expected-bucket-owner"
    r"|mfa|trailer|decoded-content-length)"
)
_SUBRESOURCES = {
    *("acl", "policy", "tagging", "object-lock", "retention", "legal-hold", "website", "requestPayment"),
    *("versioning", "notification", "replication", "logging", "inventory", "analytics", "metrics", "accelerate"),
}
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}
_NOT_A_DIGEST = {"x-amz-checksum-mode", "x-amz-checksum-algorithm", "x-amz-checksum-type"}


class WireError(AssertionError):
    """Raised instead of sending a request that R2 would refuse. Neither boto3 nor R2Storage handles it."""


@attrs.define
class WireCheck:
    """The check of one client. ``refused`` lists the reasons for refusals, ``sent`` counts the requests that passed."""

    host: str
    refused: list[str] = attrs.field(factory=list)
    sent: int = 0
    _written: dict[str, bytes] = attrs.field(factory=dict)

    def __call__(self, request: Any, **_: object) -> None:
        """Refuse *request*, or return None, because botocore takes anything else for its answer.

        Raises:
            WireError: names everything that is wrong with the request.
        """
        url = urlsplit(request.url)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        body = _bytes(request.body)
        problems = [
            *_not_implemented(request.method, url, headers),
            *_length(request.method, headers, body),
            *_digests(headers, body),
            *self._limits(url, headers, body),
            *self._second_write(request.method, url, headers, body),
        ]
        if problems:
            self.refused += problems
            raise WireError(f"R2 would refuse this {request.method}: {'; '.join(problems)}")
        self.sent += 1

    def _limits(self, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        path = url.path.removeprefix("/")
        key = unquote(path.partition("/")[2] if url.netloc == self.host else path)
        if len(key.encode()) > MAX_KEY_BYTES:
            yield f"the key has {len(key.encode())} bytes, at most {MAX_KEY_BYTES} are allowed"
        metadata = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        size = sum(len(name) - len("x-amz-meta-") + len(value.encode()) for name, value in metadata.items())
        if size > MAX_METADATA_BYTES:
            yield f"the metadata has {size} bytes, at most {MAX_METADATA_BYTES} are allowed"
        if "delete" in _query(url) and body.count(b"<Key>") > MAX_DELETED_KEYS:
            yield f"it deletes {body.count(b'<Key>')} keys, at most {MAX_DELETED_KEYS} are allowed"

    def _second_write(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        """Refuse other bytes for a key that was written, unless the request is create-only."""
        if method != "PUT" or not url.path.strip("/"):
            return
        digest = hashlib.sha256(body).digest()
        if self._written.setdefault(url.path, digest) != digest and headers.get("if-none-match") != "*":
            yield "it writes other bytes to a key that was written before"


def check_wire(client: Any) -> WireCheck:
    """Let *client*, a boto3 client of S3, refuse requests that R2 would not take. Return the check.

    The documentation of storages has an example.
    """
    check = WireCheck(urlsplit(client.meta.endpoint_url).netloc)
    client.meta.events.register_first("before-send.s3", check)
    return check


def _not_implemented(method: str, url: SplitResult, headers: Mapping[str, str]) -> Iterator[str]:
    query = _query(url)
    for name in headers:
        if _HEADERS.fullmatch(name):
            yield f"the header {name}"
    for name in _SUBRESOURCES & set(query):
        yield f"the operation ?{name}"
    if method == "POST" and "delete" not in query:
        yield "a POST other than DeleteObjects"
    if "aws-chunked" in headers.get("content-encoding", ""):
        yield "a body in aws-chunked encoding"
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        yield f"the streaming signature {headers['x-amz-content-sha256']}"


def _length(method: str, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    if method not in {"PUT", "POST"}:
        return
    length = headers.get("content-length")
    if length is None:
        yield "no Content-Length"
    elif length != str(len(body)):
        yield f"Content-Length {length} for a body of {len(body)} bytes"


def _digests(headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    given = {
        name: value
        for name, value in headers.items()
        if name == "content-md5" or (name.startswith("x-amz-checksum-") and name not in _NOT_A_DIGEST)
    }
    if len(given) > 1:
        yield f"more than one checksum: {', '.join(sorted(given))}"
    for name, value in given.items():
        if name in _DIGESTS and base64.b64encode(_DIGESTS[name](body)).decode() != value:
            yield f"the {name} is not that of the body"
    signed = headers.get("x-amz-content-sha256", "")
    if len(signed) == 64 and signed != hashlib.sha256(body).hexdigest():
        yield "the signed x-amz-content-sha256 is not that of the body"


def _query(url: SplitResult) -> Mapping[str, list[str]]:
    return parse_qs(url.query, keep_blank_values=True)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    """Return the bytes of a body. A stream is left at its position."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if not hasattr(body, "tell"):
        return b""  # a stream of chunks, which the check of the headers refuses
    position = body.tell()
    data = body.read()
    body.seek(position)
    return bytes(data)
