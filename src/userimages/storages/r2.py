"""Objects in a bucket of Cloudflare R2, or of another S3 server with conditional writes, through boto3.

R2 implements a part of S3. Only documented requests are sent, without the extras that newer releases of boto3 add by
default. ``userimages.testing.wire_check`` refuses the others.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from userimages.errors import ConfigurationError, KeyTakenError, StorageError
from userimages.ids import utcnow
from userimages.keys import STAGING_PREFIX
from userimages.model import StoredObject
from userimages.signing import UrlSigner, checked_window, window_start
from userimages.storages.r2_errors import NOT_S3, meaning_of, translate_errors
from userimages.storages.r2_signing import Presigner, quoted

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

_REQUIRED = ("account_id", "access_key_id", "secret_access_key", "bucket_name")
_SETTINGS = (*_REQUIRED, "public_url", "signed_urls", "staging_bucket_name", "jurisdiction", "endpoint_url")
_PUBLIC = "public, max-age=31536000, s-maxage=86400, immutable"
_PRIVATE = "private, max-age=3600"
_PER_REQUEST = 1000  # keys in one DeleteObjects
_CONFLICT_TRIES = 4


def _public_url(value: str | None) -> str | None:
    """Return the public URL of a bucket without a final slash. *value* may also be a host alone."""
    host = (value or "").strip().removeprefix("https://").rstrip("/")
    if set(host) & set("/?#@\\ \t\r\n") or not host.isascii():
        raise ConfigurationError(
            "public_url (R2_PUBLIC_DOMAIN) is not the https URL of a host.",
            hint="Write https://img.example.com, or img.example.com, without a path.",
        )
    return f"https://{host}" if host else None


def _jurisdiction(value: str | None) -> str | None:
    """Return the part of the endpoint's host, or None for the jurisdiction that the dashboard calls default."""
    jurisdiction = (value or "default").lower()
    return None if jurisdiction == "default" else jurisdiction


def _window(window: timedelta | None) -> timedelta | None:
    return None if window is None else checked_window(window, "signed_urls (R2_SIGNED_URLS)")


@attrs.frozen(kw_only=True)
class R2Storage:
    """Keep objects in one bucket of Cloudflare R2. Most programs write ``R2Storage.from_env()``.

    Args:
        account_id: the Cloudflare account, 32 hexadecimal digits. The endpoint follows from it.
        access_key_id: the id of an R2 API token that may read and write objects of the bucket.
        secret_access_key: the secret of the same token.
        bucket_name: the bucket.
        public_url: the custom domain of the bucket, ``"https://img.example.com"``. None: the objects have no URLs.
        jurisdiction: ``"eu"`` or ``"fedramp"``. None: the bucket has none.
        endpoint_url: another S3 server, without a path. None: R2's own endpoint.
        signed_urls: for how long a presigned URL of the S3 API stays the same, such as ``timedelta(hours=1)``. It is
            valid for twice as long. None: URLs are not presigned.
        signer: signs the URLs of *public_url* for a WAF rule of Cloudflare, which ``userimages check`` prints.
        staging_bucket_name: a private bucket for what browsers upload directly, which is raw and must never be
            public. None: the same bucket, if it has no *public_url*.
        clock: returns the present as an aware datetime.

    Raises:
        ConfigurationError: a setting is missing or wrong, or boto3 is not installed.

    >>> storage = R2Storage(account_id="0123456789abcdef0123456789abcdef", access_key_id="id",
    ...                     secret_access_key="secret", bucket_name="images", public_url="https://img.example.com")
    >>> storage.url("users/a%20b/images/cat.jpg")
    'https://img.example.com/users/a%2520b/images/cat.jpg'
    """

    account_id: str
    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    bucket_name: str
    public_url: str | None = attrs.field(default=None, converter=_public_url)
    jurisdiction: str | None = attrs.field(default=None, converter=_jurisdiction)
    endpoint_url: str | None = None
    signed_urls: timedelta | None = attrs.field(default=None, converter=_window)
    signer: UrlSigner | None = None
    staging_bucket_name: str | None = None
    clock: Callable[[], datetime] = attrs.field(default=utcnow, repr=False, eq=False)
    _clients: dict[int, S3Client] = attrs.field(init=False, factory=dict, repr=False, eq=False)
    _locks: dict[int, threading.Lock] = attrs.field(init=False, factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _check_settings({name: getattr(self, name) for name in _SETTINGS})
        if self.signed_urls and (self.public_url or self.signer):
            raise ConfigurationError(
                "signed_urls (R2_SIGNED_URLS) cannot be used together with public_url (R2_PUBLIC_DOMAIN) or a signer.",
                hint="Choose one: URLs that the S3 API checks, or a custom domain, whose WAF checks those of a signer.",
            )
        if self.signer and not self.public_url:
            raise ConfigurationError(
                "A signer of R2Storage needs public_url (R2_PUBLIC_DOMAIN), because a WAF rule of that domain checks.",
                hint="Set it, or pass the signer to ImageService, whose own route then checks.",
            )
        if importlib.util.find_spec("boto3") is None:
            raise ConfigurationError("boto3 is not installed.", hint="pip install 'userimages[r2]'")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> R2Storage:
        """Return the storage that the ``R2_*`` variables in *environ* describe (None: ``os.environ``).

        With ``R2_PUBLIC_DOMAIN`` and ``USERIMAGES_SIGNING_KEYS`` together its URLs are signed for the WAF.

        Raises:
            ConfigurationError: variables are missing, unknown or wrong. The message names every one of them.
        """
        environ = os.environ if environ is None else environ
        names = {_variable(name): name for name in _SETTINGS}
        values: dict[str, Any] = {name: environ.get(variable, "").strip() or None for variable, name in names.items()}
        _check_settings(
            values, unknown=sorted(name for name in environ if name.startswith("R2_") and name not in names)
        )
        values["signed_urls"] = _seconds(values["signed_urls"])
        return cls(**values, signer=UrlSigner.from_env(environ) if values["public_url"] else None)

    @property
    def endpoint(self) -> str:
        """The URL of the S3 API: ``endpoint_url``, or R2's own for this account and jurisdiction."""
        place = f"{self.account_id}.{self.jurisdiction}" if self.jurisdiction else self.account_id
        return self.endpoint_url or f"https://{place}.r2.cloudflarestorage.com"

    @property
    def client(self) -> S3Client:
        """The boto3 client of this process, created on first use. A forked child creates its own."""
        process = os.getpid()
        if process not in self._clients:
            with self._locks.setdefault(process, threading.Lock()):
                if process not in self._clients:
                    self._clients[process] = _new_client(self)
        return self._clients[process]

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, unless other bytes are already stored there.

        Raises:
            KeyTakenError: other bytes are stored under *key*.
            StorageError: the store refused. Nothing was stored.
            StorageUnavailableError: the store did not answer in time. The bytes may be stored, now or later.
        """
        digest = hashlib.sha256(data)
        try:
            with translate_errors():
                answer = self.client.put_object(
                    Bucket=self._bucket(key),
                    Key=key,
                    Body=data,
                    ContentType=mime_type,
                    CacheControl=self._cache_control,
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    IfNoneMatch="*",
                    Metadata={"sha256": digest.hexdigest()},
                )
            _expect("ETag", answer)
        except KeyTakenError:  # also if boto3 has repeated the request, because then its first try may have stored it
            if not self._holds(key, len(data), digest.hexdigest()):
                raise

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*, at most *length* of them, with one request. Close the stream.

        Raises:
            ObjectNotFoundError: no object is stored under *key*.
            StorageError: the store refused.
            StorageUnavailableError: the store did not answer. Reading from the stream may raise this, too.
        """
        from botocore.exceptions import ClientError

        wanted: dict[str, Any] = {}
        if start or length is not None:
            wanted["Range"] = f"bytes={start}-" + ("" if length is None else str(start + max(length, 1) - 1))
        with translate_errors():
            try:
                answer = self.client.get_object(Bucket=self._bucket(key), Key=key, **wanted)
            except ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # starts at or past the end
                    return io.BytesIO()
                raise
        body = answer["Body"]
        if "ETag" not in answer or length == 0:
            body.close()
        _expect("ETag", answer)
        if length == 0:
            return io.BytesIO()
        stream = _Stream(_Body(body), 1 << 16)
        stream.mime_type = answer.get("ContentType")
        return stream

    def delete(self, keys: Sequence[str]) -> None:
        """Delete every key of *keys*, a thousand with each request.

        Raises:
            StorageError: at least one could not be deleted. The others may be deleted.
            StorageUnavailableError: the store did not answer, or its answer does not name every key.
        """
        by_bucket: dict[str, list[str]] = {}
        for key in keys:
            by_bucket.setdefault(self._bucket(key), []).append(key)
        for bucket, all_of_it in by_bucket.items():
            for first in range(0, len(all_of_it), _PER_REQUEST):
                self._delete(bucket, all_of_it[first : first + _PER_REQUEST])

    def _delete(self, bucket: str, batch: Sequence[str]) -> None:
        with translate_errors():
            answer = self.client.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": False}
            )
        errors = answer.get("Errors", [])
        if failed := [each for each in errors if each.get("Code") != "NoSuchKey"]:
            code = failed[0].get("Code", "")
            error, words, hint = meaning_of(code, "5xx")
            raise error(f"{len(failed)} of {len(batch)} objects were not deleted. {words} ({code})", hint=hint)
        # A login page or an empty body is a success without any name in it.
        if not set(batch) <= {each.get("Key") for each in (*answer.get("Deleted", []), *errors)}:
            error, words, hint = NOT_S3
            raise error(words, hint=hint)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with *prefix* and come after *after*, a thousand with each request.

        Raises:
            StorageError: the store refused, or it does not list in byte order. R2 does; some stores list ``a/b``
                before ``a-b/c``.
            StorageUnavailableError: the store did not answer.
        """
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        with translate_errors():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket(prefix), Prefix=prefix, **start
            )
            for page in pages:
                _expect("Name", page)
                for found in page.get("Contents", ()):
                    if found["Key"] <= after:
                        raise StorageError(
                            "The store does not list in byte order, so it cannot be audited.", hint="Use R2."
                        )
                    after = found["Key"]
                    yield StoredObject(after, found["Size"], found["LastModified"].astimezone(UTC))

    def url(self, key: str) -> str | None:
        """Return the URL of *key* by which it can be read without the application: public, or signed for a time.

        It is None if there is none, because the application's own route serves the objects, and for what is staged.
        """
        if key.startswith(STAGING_PREFIX):
            return None
        if self.signed_urls:
            seconds = int(self.signed_urls.total_seconds())
            return self._presigner.url("GET", key, at=window_start(self.clock(), self.signed_urls), seconds=2 * seconds)
        url = f"{self.public_url}/{quoted(key)}" if self.public_url else None
        return self.signer.signed(url, now=self.clock()) if url and self.signer else url

    def sign_put(
        self, key: str, *, size_bytes: int, mime_type: str, sha256: str | None, lifetime: timedelta, now: datetime
    ) -> tuple[str, dict[str, str]]:
        """Return a URL by which a browser may put *key* once, and the headers that it must send.

        The store refuses another length, another type, and other bytes if their SHA-256 (hex digits) was given. It
        refuses a second PUT as long as the first one's object is there. A browser sets Content-Length by itself.

        Raises:
            ConfigurationError: the bucket is public, and there is no other one for what is staged.
        """
        if self.public_url and not self.staging_bucket_name:
            raise ConfigurationError(
                "The bucket has a public domain, so what browsers upload directly would be public too.",
                hint="Set R2_STAGING_BUCKET_NAME to a second, private bucket.",
            )
        headers = {"Content-Type": mime_type, "If-None-Match": "*"}
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        presigner = Presigner(self.endpoint, self._bucket(key), self.access_key_id, self.secret_access_key)
        url = presigner.url(
            "PUT",
            key,
            at=int(now.timestamp()),
            seconds=int(lifetime.total_seconds()),
            headers=headers | {"Content-Length": str(size_bytes)},
        )
        return url, headers

    def _bucket(self, key: str) -> str:
        """Return the name of the bucket in which *key*, or what begins with it, is kept."""
        staged = self.staging_bucket_name if key.startswith(STAGING_PREFIX) else None
        return staged or self.bucket_name

    @property
    def _cache_control(self) -> str:
        """How long an object may be cached: as long as its URL stays the same."""
        if self.signer:
            seconds = int(self.signer.window.total_seconds())
            return f"public, max-age={seconds}, s-maxage={seconds}"  # the WAF is asked before the CDN's cache is
        if self.signed_urls:
            return f"private, max-age={int(self.signed_urls.total_seconds())}"
        return _PUBLIC if self.public_url else _PRIVATE

    @cached_property
    def _presigner(self) -> Presigner:
        return Presigner(self.endpoint, self.bucket_name, self.access_key_id, self.secret_access_key)

    def _holds(self, key: str, size: int, sha256: str) -> bool:
        """Tell whether the object under *key* has this size and this digest."""
        with translate_errors():
            found = self.client.head_object(Bucket=self._bucket(key), Key=key)
        return found.get("ContentLength") == size and found.get("Metadata", {}).get("sha256") == sha256


class _Stream(io.BufferedReader):
    """What ``open`` gives, with the media type that the store holds."""

    mime_type: str | None = None


class _Body(io.RawIOBase):
    """The body of an answer as a raw stream, which raises errors of the library."""

    def __init__(self, body: StreamingBody) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with translate_errors():
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        with translate_errors():
            return self._body.read()

    def close(self) -> None:
        self._body.close()
        super().close()


def _new_client(storage: R2Storage) -> S3Client:
    import boto3
    import botocore.session
    from botocore.config import Config

    # The AWS settings of this machine are for other programs, so only the certificates that it trusts are read.
    unread: dict[str, Any] = {
        name: (None, None, default, None)
        for name, (_, _, default, _) in botocore.session.Session.SESSION_VARIABLES.items()
        if name != "ca_bundle"
    }
    unread["config_file"] = unread["credentials_file"] = (None, None, os.devnull, None)
    session = botocore.session.Session(unread)
    try:
        client = boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name="auto",
            endpoint_url=storage.endpoint,
            aws_access_key_id=storage.access_key_id,
            aws_secret_access_key=storage.secret_access_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=2,  # two tries of 2 + 10 s, and at most 1 s between them, end within 25 s
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=50,
            ),
        )
    except ValueError as exc:
        raise ConfigurationError(
            "The endpoint of the store is not a URL.", hint="Check R2_ENDPOINT_URL and R2_ACCOUNT_ID."
        ) from exc
    client.meta.events.register_first("before-send.s3.PutObject", _without_expect)
    client.meta.events.register("needs-retry.s3.PutObject", _retry_conflict)  # type: ignore[arg-type]
    client.meta.events.register_first("needs-retry.s3", _ask_no_region)
    return client


def _without_expect(request: Any, **_: object) -> None:
    """Drop ``Expect: 100-continue``, because it costs a round trip.

    It must return None, because botocore takes anything else for the answer.
    """
    request.headers.pop("Expect", None)


def _retry_conflict(attempts: int, response: Any = None, **_: object) -> float | None:
    """Return the delay, in seconds, before boto3 repeats a conditional write that met a 409; None for other answers."""
    conflict = response is not None and response[0].status_code == 409
    return 0.05 * attempts if conflict and attempts < _CONFLICT_TRIES else None


def _ask_no_region(request_dict: dict[str, Any], response: Any = None, **_: object) -> None:
    """Keep botocore from asking for the bucket's region after a redirect that does not name it.

    A login page redirects that question, too, and botocore would ask again without end.
    """
    redirect = response is not None and 300 <= response[0].status_code < 400
    if redirect and "x-amz-bucket-region" not in response[0].headers:
        request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True


def _seconds(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigurationError("R2_SIGNED_URLS is not a whole number of seconds.", hint="Write 3600 for one hour.")
    return timedelta(seconds=int(text))


def _variable(field: str) -> str:
    return "R2_PUBLIC_DOMAIN" if field == "public_url" else f"R2_{field.upper()}"


def _check_settings(values: Mapping[str, Any], *, unknown: Sequence[str] = ()) -> None:
    """Refuse *values*, by field, and *unknown* variables. One message names everything that is wrong."""
    missing = [_variable(name) for name in _REQUIRED if not values[name]]
    wrong = [f"Missing: {', '.join(missing)}."] if missing else []
    if unknown:
        wrong.append(f"Unknown: {', '.join(unknown)}.")
    account, endpoint = values["account_id"], values["endpoint_url"]
    if account and not endpoint and not re.fullmatch("[0-9a-f]{32}", account, re.IGNORECASE):
        wrong.append("R2_ACCOUNT_ID is not an account id, which has 32 hexadecimal digits.")
    if _jurisdiction(values["jurisdiction"]) not in (None, "eu", "fedramp"):
        wrong.append("R2_JURISDICTION is neither eu nor fedramp nor default.")
    if endpoint and endpoint.startswith("http") and not re.fullmatch("https?://[^/?#]*/*", endpoint):
        wrong.append("R2_ENDPOINT_URL has a path; the bucket goes into R2_BUCKET_NAME.")
    if wrong:
        known = ", ".join(map(_variable, _SETTINGS))
        raise ConfigurationError(f"The R2 settings are not usable. {' '.join(wrong)}", hint=f"Known: {known}.")


def _expect(name: str, answer: Mapping[str, Any]) -> None:
    """Refuse an answer without the field *name*, because it is not from an S3 server: a login page may be a 200."""
    if name not in answer:
        error, words, hint = NOT_S3
        raise error(words, hint=hint)
