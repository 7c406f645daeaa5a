"""Direct upload: the browser puts its file into the store, and only then the application looks at it.

A *ticket* is an intent that names one staged object, and whose idempotency key nobody can give. Its life::

    begin_ticket ──> [intent of the ticket] ── the browser puts the staged object ──> read_staged
                            │                                                            │
                            │                                     the bytes are uploaded as any others are; the image
                            │                                     has the id of the ticket, its intent another one;
                            │                                     the transaction that publishes it claims the ticket
                            │
                            └── the lease ends, used or not ──> the sweep deletes the staged object, as always

One ticket makes one image. A ticket that is claimed makes none again, so a deleted image does not come back, whoever
deletes it, and whatever is put or finished afterwards.

Finishing deletes nothing. As long as the URL is valid, the staged object itself refuses a second PUT. If it was deleted
with its image, a replay succeeds, and the claimed ticket still names what it has put. The table of what a crash leaves
behind:

========================================  ==========================================================================
begin, after the intent                   an intent: the sweep finishes it
the browser never puts, or goes away      an intent, perhaps an object: the sweep deletes both
a PUT begins in time and ends too late    an object; the second visit of the sweep or the audit deletes it
finish, anywhere                          what ``upload`` leaves; the staged object is still there, so finish again
the sweep, while finish runs              the bytes are read already: the image is published or not, never half
delete, before the staged object went     an object; the ticket is claimed, so nobody finishes it: the sweep deletes it
========================================  ==========================================================================
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import attrs

from userimages.errors import ConfigurationError, InvalidFieldError, ObjectNotFoundError, TicketNotFoundError
from userimages.ids import CLOCK_SKEW, instant_of
from userimages.keys import STAGING_PREFIX, staging_key, staging_prefix, user_segment
from userimages.model import Check, Intent, Ticket
from userimages.protocols import ImageRepository, Readable, Storage
from userimages.signing import PARAMETER, UrlSigner

URL_LIFE = timedelta(minutes=10)
LEASE = timedelta(minutes=30)  # of the ticket: a slow upload and a late finish fit in, and a retry of it
_CHUNK = 1 << 20
_FIELDS = ("to", "size", "type", "sha256", "expires")


class SigningStorage(Protocol):
    """A storage that can sign a PUT which leads past the application."""

    def sign_put(
        self, key: str, *, size_bytes: int, mime_type: str, sha256: str | None, lifetime: timedelta, now: datetime
    ) -> tuple[str, dict[str, str]]:
        """Return the URL and the headers of a PUT that stores *key* once, with exactly this size, type and digest."""


@attrs.frozen(kw_only=True)
class StagedPut:
    """What the URL of a PUT to our own route allows: every part of it is signed."""

    id: UUID
    segment: str
    size_bytes: int
    mime_type: str
    sha256: str
    expires: int

    @property
    def key(self) -> str:
        """The key of the staged object."""
        return f"{STAGING_PREFIX}{self.segment}/{self.id}"

    def target(self, staged_url: str) -> str:
        """Return the URL without its token, always with its parts in the same order."""
        values = (self.segment, self.size_bytes, self.mime_type, self.sha256, self.expires)
        base = staged_url.replace("{id}", str(self.id))
        return f"{base}{'&' if '?' in base else '?'}{urlencode(list(zip(_FIELDS, values, strict=True)))}"


def are_possible(storage: Storage, signer: UrlSigner | None) -> bool:
    """Tell whether there can be tickets: the storage signs a PUT, or our own route does."""
    return signer is not None or hasattr(storage, "sign_put")


def begin_ticket(
    storage: Storage,
    repository: ImageRepository,
    signer: UrlSigner | None,
    *,
    id: UUID,
    user: str,
    size_bytes: int,
    mime_type: str,
    sha256: str | None,
    staged_url: str,
    now: datetime,
) -> Ticket:
    """Record a ticket and return it. The URL is given away only after the intent that names its object is there.

    Raises:
        ConfigurationError: the storage cannot sign a PUT, and there is no signer for our own route.
    """
    key = staging_key(user, id)
    signing: SigningStorage | None = storage if hasattr(storage, "sign_put") else None  # type: ignore[assignment]
    if signing:
        url, headers = signing.sign_put(
            key, size_bytes=size_bytes, mime_type=mime_type, sha256=sha256, lifetime=URL_LIFE, now=now
        )
    elif signer:
        put = StagedPut(
            id=id,
            segment=user_segment(user),
            size_bytes=size_bytes,
            mime_type=mime_type,
            sha256=sha256 or "",
            expires=int((now + URL_LIFE).timestamp()),
        )
        url, headers = _signer(signer).signed(put.target(staged_url), now=now), {"Content-Type": mime_type}
    else:
        raise ConfigurationError(
            f"{type(storage).__name__} cannot sign a direct upload, and the service has no signer for its own route.",
            hint="Pass ImageService(..., signer=UrlSigner(keys)), or set USERIMAGES_SIGNING_KEYS.",
        )
    intent = Intent(id=id, user=user, object_keys=(key,), lease_until=now + LEASE)
    repository.begin_upload(intent, now=now)
    return Ticket(id=id, url=url, headers=headers, expires_at=now + URL_LIFE)


def allowed_put(signer: UrlSigner | None, staged_url: str, id: UUID, query: str, *, now: datetime) -> StagedPut | None:
    """Return what the token in *query* allows to be put for the ticket *id*, or None if it allows nothing."""
    given = parse_qsl(query, keep_blank_values=True)
    values = dict(given)
    if signer is None or len(given) != len(values) or not {*_FIELDS, PARAMETER} <= values.keys():
        return None
    try:
        put = StagedPut(
            id=id,
            segment=values["to"],
            size_bytes=int(values["size"]),
            mime_type=values["type"],
            sha256=values["sha256"],
            expires=int(values["expires"]),
        )
        target = put.target(staged_url)
    except ValueError:  # a number that is none, or a lone surrogate
        return None
    valid = _signer(signer).seconds_left(target, values[PARAMETER], now=now)
    return put if valid and int(now.timestamp()) < put.expires else None


def check_origin(storage: Storage, origin: str) -> Check:
    """Return a line with the rules that a bucket needs so that pages of *origin* may upload directly. It sets none."""
    if not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
        return Check("direct upload", ok=False, detail="That is not an origin.", hint="Write https://app.example.com.")
    if not hasattr(storage, "sign_put"):
        return Check("direct upload", ok=True, detail="It goes to the application's own route, which needs no rule.")
    # R2 wants the headers by name, and browsers tell no details if one of them is missing.
    headers = ["content-type", "if-none-match", "x-amz-checksum-sha256"]
    cors = {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": headers,
        "ExposeHeaders": ["ETag"],  # Uppy reads it
        "MaxAgeSeconds": 3600,
    }
    return Check(
        "direct upload",
        ok=True,
        detail="The bucket for what is uploaded needs these two rules.",
        hint=f"CORS policy: {json.dumps([cors])}\n"
        f"Object lifecycle rule: delete objects with the prefix {STAGING_PREFIX} after 1 day.",
    )


def read_put(put: StagedPut, body: Readable, *, clock: Callable[[], datetime]) -> bytes:
    """Return the bytes of *body*, of which no more than one past what *put* allows are read.

    Raises:
        InvalidFieldError: they are more or fewer than was signed, or others, or came too late.
    """
    data = bytearray()
    while len(data) <= put.size_bytes and (chunk := body.read(min(_CHUNK, put.size_bytes + 1 - len(data)))):
        data += chunk
    if len(data) != put.size_bytes:
        what = "more" if len(data) > put.size_bytes else "fewer"
        raise InvalidFieldError(
            f"The body has {what} than the {put.size_bytes:,} bytes that were announced.",
            field="size_bytes",
            hint="Begin the upload with the size of the file.",
        )
    if put.sha256 and hashlib.sha256(data).hexdigest() != put.sha256:
        raise InvalidFieldError(
            "The body is not the file whose SHA-256 was announced.", field="sha256", hint="Send it again."
        )
    if int(clock().timestamp()) >= put.expires:  # else a slow body would land after the sweep
        raise InvalidFieldError("The upload ended after its URL had expired.", field="expires", hint="Begin a new one.")
    return bytes(data)


def is_open(repository: ImageRepository, user: str, id: UUID, *, now: datetime) -> bool:
    """Tell whether *id* is a ticket of *user* that has made no image yet, and that the sweep may not claim yet."""
    found = repository.list_intents(after=UUID(int=max(id.int - 1, 0)), limit=1)
    return any(ticket.id == id and ticket.user == user and _is_live(ticket, now) for ticket in found)


def read_staged(storage: Storage, user: str, id: UUID, *, limit: int) -> bytes:
    """Return what the browser has put for the ticket *id*, at most one byte more than *limit*.

    Raises:
        TicketNotFoundError: nothing was put.
    """
    try:
        with storage.open(staging_key(user, id), length=limit + 1) as stream:
            return stream.read()
    except ObjectNotFoundError as exc:
        raise TicketNotFoundError(
            "Nothing was uploaded for this ticket.", hint="PUT the file to ticket.url first, as the same user."
        ) from exc


def reserved_key(id: UUID) -> str:
    """Return the idempotency key of finishing the ticket *id*: no caller can give one that begins with a space."""
    return f" ticket {id}"


def with_staged(intent: Intent, id: UUID, *, now: datetime) -> Intent:
    """Let the deletion of the image *id* take along what may still be staged for it."""
    if _is_too_old(id, now):
        return intent
    return attrs.evolve(intent, object_keys=(*intent.object_keys, staging_key(intent.user, id)))


def delete_staged(storage: Storage, user: str) -> Exception | None:
    """Delete all that *user* has staged. Return what failed."""
    try:
        if keys := [found.key for found in storage.list(staging_prefix(user))]:
            storage.delete(keys)
    except Exception as exc:
        return exc
    return None


def _is_too_old(id: UUID, now: datetime) -> bool:
    """Tell whether the lease of a ticket *id* is over; of an id that is none of ours it counts as over."""
    try:
        return id.version != 7 or not timedelta(0) - CLOCK_SKEW <= now - instant_of(id) < LEASE
    except OverflowError:
        return True


def _is_live(ticket: Intent, now: datetime) -> bool:
    return not ticket.claimed and now < ticket.lease_until


def _signer(signer: UrlSigner) -> UrlSigner:
    """Return a signer with windows of the life of a URL: those of images may be shorter."""
    return attrs.evolve(signer, window=URL_LIFE)
