"""What the URL of a direct upload binds: a real S3 server refuses whatever is changed, and moto refuses nothing."""

import base64
import hashlib
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import attrs
import pytest
import requests

from userimages import ObjectNotFoundError
from userimages.ids import new_id
from userimages.keys import staging_key
from userimages.storages.r2 import R2Storage

CAT = bytes(range(256)) * 4
OTHER = CAT[::-1]


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def changed(pattern: str, replacement: str) -> Callable[[str], str]:
    def change(url: str) -> str:
        other = re.sub(pattern, replacement, url, count=1)
        assert other != url
        return other

    return change


@attrs.frozen(kw_only=True)
class Tampering:
    """What somebody changes about the request that the URL allows."""

    body: bytes = CAT
    headers: dict[str, str | None] = attrs.field(factory=dict)
    url: Callable[[str], str] = str
    method: str = "PUT"
    minutes_ago: int = 0


TABLE = {
    "a longer body": Tampering(body=CAT + b"!", headers={"Content-Length": "1025"}),
    "a shorter body": Tampering(body=CAT[:-1], headers={"Content-Length": "1023"}),
    "another type": Tampering(headers={"Content-Type": "text/html"}),
    "no type": Tampering(headers={"Content-Type": None}),
    "other bytes": Tampering(body=OTHER),
    "other bytes with their digest": Tampering(body=OTHER, headers={"x-amz-checksum-sha256": digest(OTHER)}),
    "no digest": Tampering(headers={"x-amz-checksum-sha256": None}),
    "no condition": Tampering(headers={"If-None-Match": None}),
    "metadata": Tampering(headers={"x-amz-meta-a": "b"}),
    "an ACL": Tampering(headers={"x-amz-acl": "public-read"}),
    "another key": Tampering(url=changed("/staging/ana/", "/staging/ben/")),
    "the key of an image": Tampering(url=changed("/staging/", "/users/")),
    "a longer life": Tampering(url=changed("X-Amz-Expires=600", "X-Amz-Expires=604800")),
    "a URL that has expired": Tampering(minutes_ago=11),
    "another signature": Tampering(url=changed("Signature=....", "Signature=0000")),
    "no signature": Tampering(url=changed(r"\?.*", "")),
    "POST": Tampering(method="POST"),
    "DELETE": Tampering(method="DELETE"),
    "GET": Tampering(method="GET", body=b""),
}
NOT_SEEN_BY_MOTO = [name for name in TABLE if name not in ("no signature", "POST", "DELETE", "GET")]


def signed(storage: R2Storage, *, minutes_ago: int = 0) -> tuple[str, str, dict[str, str]]:
    """Return a new staged key, the URL that may put CAT there, and its headers."""
    now = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    key = staging_key("ana", new_id(now))
    url, headers = storage.sign_put(
        key,
        size_bytes=len(CAT),
        mime_type="image/jpeg",
        sha256=hashlib.sha256(CAT).hexdigest(),
        lifetime=timedelta(minutes=10),
        now=now,
    )
    return key, url, headers


def answer_to(url: str, headers: dict[str, str], how: Tampering) -> int:
    """Send the request that was tampered with, and return the status."""
    sent = {"Content-Length": str(len(how.body)), **headers, **how.headers}
    return requests.request(how.method, how.url(url), data=how.body, headers=sent, timeout=30).status_code


def stored(storage: R2Storage) -> set[tuple[str, bytes]]:
    """Return what is there, of images and of what is staged."""
    keys = [found.key for prefix in ("staging/", "users/") for found in storage.list(prefix)]
    return {(key, storage.open(key).read()) for key in keys}


def test_the_right_request_is_done_once(r2_seaweedfs: R2Storage) -> None:
    """A second one, of these or of other bytes, finds the object there."""
    key, url, headers = signed(r2_seaweedfs)

    assert [answer_to(url, headers, Tampering()) for _ in range(2)] == [200, 412]
    with r2_seaweedfs.open(key) as stream:
        assert stream.read() == CAT


@pytest.mark.parametrize("name", TABLE)
def test_a_real_server_refuses(r2_seaweedfs: R2Storage, name: str) -> None:
    """Nothing is stored under any key, and nothing that is there goes or is shown."""
    how, before = TABLE[name], stored(r2_seaweedfs)
    key, url, headers = signed(r2_seaweedfs, minutes_ago=how.minutes_ago)

    assert answer_to(url, headers, how) in (400, 403, 405)
    assert stored(r2_seaweedfs) == before
    with pytest.raises(ObjectNotFoundError):
        r2_seaweedfs.open(key)


def test_bytes_beyond_the_signed_length_are_not_read(r2_seaweedfs: R2Storage) -> None:
    """Who announces the signed length and sends more has stored no more than that."""
    key, url, headers = signed(r2_seaweedfs)
    parts = urlsplit(url)
    lines = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(CAT)}"]
    lines += ["Connection: close", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + CAT + b"!" * 1000)
        assert connection.recv(99).startswith(b"HTTP/1.1 200")

    with r2_seaweedfs.open(key) as stream:
        assert stream.read() == CAT


def test_a_chunked_body_is_refused(r2_seaweedfs: R2Storage) -> None:
    """It has no length that could be compared."""
    key, url, headers = signed(r2_seaweedfs)

    assert requests.put(url, data=iter([CAT]), headers=headers, timeout=30).status_code in (400, 403, 411)
    with pytest.raises(ObjectNotFoundError):
        r2_seaweedfs.open(key)


def test_moto_lets_all_of_it_pass(r2_moto: R2Storage) -> None:
    """A green test on moto proves nothing about what a URL binds, so the tests above run on a real server."""
    private, answers = attrs.evolve(r2_moto, public_url=None), {}
    for name in NOT_SEEN_BY_MOTO:
        _, url, headers = signed(private, minutes_ago=TABLE[name].minutes_ago)
        answers[name] = answer_to(url, headers, TABLE[name])

    assert answers == dict.fromkeys(NOT_SEEN_BY_MOTO, 200)
