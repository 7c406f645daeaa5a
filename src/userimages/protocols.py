"""The three protocols: what a storage, a repository and a processor must do.

A third party writes a plain class with these methods, imports nothing from here, and proves it with the contract
suites of ``userimages.testing``. Methods may be called from several threads at once. Errors are those of
``userimages.errors``. After any other exception the outcome counts as unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Protocol
from uuid import UUID

from userimages.model import Intent, ProcessedImage, PublishResult, StoredObject, Usage, UserImage

DEFAULT_MAX_BYTES = 10 * 1024 * 1024  # of a file, where the processor states no limit of its own


class Readable(Protocol):
    """An uploaded file: anything that gives up to *n* bytes at a time, and ``b""`` at its end."""

    def read(self, n: int, /) -> bytes:
        """Return up to *n* bytes."""


class Storage(Protocol):
    """Keeps objects. Keys are ASCII of at most 240 bytes, of the form ``users/{segment}/images/{name}``."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, all of it or nothing, and only if nothing is stored under *key* yet.

        On return the bytes are durable, and ``open`` in any process sees all of them. A reader never sees a part. The
        same bytes under the same key again succeed, because the service may retry.

        Raises:
            KeyTakenError: other bytes are stored under *key*. They are unchanged.
            StorageUnavailableError: the store did not answer in time. The bytes may be stored, now or later.
            StorageError: the store refused. Nothing was stored.
        """

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from offset *start*, at most *length* (None: to the end). The caller closes the stream.

        A *start* at or past the end gives an empty stream. It costs one request, or none before the first read.

        Raises:
            ObjectNotFoundError: no object is stored under *key*. Raised here, not by the first read.
            StorageError: the store refused.
            StorageUnavailableError: the store did not answer in time.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects of *keys*, in one round trip if possible. A key without an object counts as deleted.

        Raises:
            StorageError: at least one could not be deleted. The others may be deleted. It is safe to call it again.
        """

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose key starts with *prefix* and is greater than *after*, lazily.

        The order is that of the bytes of the whole key (``a-b/x`` < ``a.b/x`` < ``a/x``), not folder by folder.
        While it runs, callers put and delete objects: so read by pages, and hold no lock and no cursor in between.
        """

    def url(self, key: str) -> str | None:
        """Return the URL by which *key* can be read without the application, percent-encoded, or None. No I/O.

        It is public, or signed for a time: then its query holds the signature.
        """


class ImageRepository(Protocol):
    """Where the records are: images, intents (work in hand), and which images are primary.

    Each method is one transaction of its own, committed on return; it never joins the caller's. Records come without
    URLs. Instants are aware UTC with microseconds. With *user* given, an image of another user counts as missing. A
    failure of the database is a ``RepositoryError``.

    An image is primary if a row of primaries names it. Such a row has a user and a *scope*: ``""`` over all types, or
    the name of a type. ``publish`` and ``set_primary`` are told by *per_type* which rule holds. They write the row of
    that scope and, in the same transaction, delete the rows that the rule forbids. So reads need not know the rule.

    Optional: ``database_id() -> str`` names the database for the keys of its objects. Without it, repositories share
    one owner. And ``revise(intent, image, *, of, keep_until) -> UserImage | None``, without which nothing can be
    rebuilt, gives an image new variants, in one transaction: if its ``key``, ``recipe`` and ``variants`` are those of
    *of*, as it was read, and the intent is neither gone nor claimed, delete the intent; set ``variants``, ``recipe``,
    ``placeholder`` and ``stored_bytes`` to those of *image*, and no other fact; insert an intent for the objects that
    only the old record named, if there are any, with the lease *keep_until*; and return the image. Otherwise nothing
    changes. If those four facts are already as in *image*, an earlier call has done it, and the image is returned; else
    None. Of two callers at once, one revises.
    """

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Insert *intent* and return None; or return the image that its idempotency key already made.

        With ``intent.idempotency_key`` set, (user, key) is unique among intents and images together. Insert first,
        then look among the images: of any number of callers at once, one goes on. An older intent that holds the key
        loses it if its lease ended at or before *now*, or if a sweep claimed it: that try can no longer be published.

        Raises:
            ConflictError: a live intent holds the key, or the key made an image of another ``input_sha256``. Nothing
                was inserted.
        """

    def publish(
        self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool, per_type: bool = False
    ) -> PublishResult | None:
        """Turn *intent* into *image*: from this commit on it is listed. Return None if the intent cannot be published.

        One transaction. Delete the intent, unless it is gone, was claimed, or lost its idempotency key: then nothing
        changes, and what is returned is the image with this id, which an earlier call has published, or None. Read it
        in this transaction, because a replica might not know the image yet. Insert the image, with the intent's
        idempotency key and ``input_sha256``. With *is_primary*, make it primary as ``set_primary`` does. With
        *replace*, do for every other image of this user and type what ``begin_delete`` does.

        If another intent has the id of the image, that is the ticket of a direct upload. Claim it in the same
        transaction, as ``claim_expired`` does; if it was claimed before, nothing changes, as above. So one
        ticket makes one image, and none again once that was deleted.

        Raises:
            ConflictError: a foreign key of the application refuses to let a replaced image go. Nothing changed.
            RepositoryError: the outcome may be unknown; calling again with the same arguments is safe.
        """

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image, with its ``recipe``."""

    def get_many(self, ids: Sequence[UUID]) -> Sequence[UserImage]:
        """Return the images with these *ids*, at most 1,000, in any order, in one query; missing ones are left out."""

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: str | None = None
    ) -> Sequence[UserImage]:
        """Return up to *limit* images of *user*, newest first: by ``uploaded_at``, then ``id``, both descending.

        *after* is the (``uploaded_at``, ``id``) of the last image of the page before; it need not exist any more.
        """

    def recent(self, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Sequence[UserImage]:
        """Return up to *limit* images of all users, newest first: by ``id``, descending, from below *after*."""

    def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> Sequence[UserImage]:
        """Return the primary images of *users*, at most one each, in any order, in one query.

        Without *image_type* those of the scope ``""``. With it, those of that scope or, if there is none, the one of
        the scope ``""`` if it is of that type.
        """

    def set_primary(self, id: UUID, *, user: str | None = None, per_type: bool = False) -> UserImage | None:
        """Make the image its user's primary, of its type or over all types, and return it; None if it is missing.

        With *per_type*, the row of the scope ``""`` goes if it names an image of this type. Without it, the rows of all
        types go. At no time does a reader see two primaries of one scope, or none where there was one.
        """

    def update(self, id: UUID, changes: Mapping[str, Any], *, user: str | None = None) -> UserImage | None:
        """Set the facts that *changes* names (``caption``, ``meta``) and return the image; None if it is missing.

        Raises:
            InvalidFieldError: *changes* names a fact that cannot change.
        """

    def usage(self, user: str) -> Usage:
        """Return how many images *user* has, and the sum of their ``stored_bytes``."""

    def begin_delete(self, ids: Sequence[UUID], *, user: str | None = None) -> Sequence[Intent]:
        """Delete up to 100 images and insert an intent for each, which names its objects; return the intents.

        One transaction. An intent of a deletion is new, not claimed and due at once: its lease is ``DISTANT_PAST``. It
        has no idempotency key, because the key ends with the image. A primary goes with its image. Images that are
        missing are left out.

        Raises:
            ConflictError: a foreign key of the application refuses one of them. Nothing changed.
        """

    def finish(self, intents: Sequence[Intent]) -> None:
        """Delete up to 100 intents, those that are there, in one transaction."""

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Claim up to *limit* intents whose lease ended at or before *now*, oldest lease first.

        An intent that was not claimed yet becomes so, and its lease moves on by one hour, so that nobody can publish it
        any more; it is returned with ``claimed=False``, as it was. One that was claimed before is returned with
        ``claimed=True`` and stays as it is. Of two callers at once, only one is given an unclaimed intent.
        """

    def list_intents(self, *, after: UUID | None = None, limit: int = 1000) -> Sequence[Intent]:
        """Return up to *limit* intents of all users whose ``id`` is greater than *after*, by ``id``. Change nothing."""

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Return up to *limit* images of all users whose ``key`` is greater than *after*, in byte order of ``key``.

        With their ``recipe``.
        """


class Processor(Protocol):
    """Turns an uploaded file into what will be stored.

    A plain function will do. Optional attributes: ``max_bytes`` (int) is the size at which the service stops reading a
    file (without it: 10 MiB); ``image_types`` are the names of the types that it can process (without it: the three of
    ``ImageType``); ``recipe_id(image_type)`` returns 16 hex digits that change when what it makes changes. A processor
    that wraps another copies them.
    """

    def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
        """Return freshly encoded bytes: upright, bounded, without metadata.

        Raises:
            RejectedImageError: the file cannot be accepted.
            BusyError: the machine is busy with other images; this says nothing about the file.
            ConfigurationError: there is no recipe for *image_type*.
        """
