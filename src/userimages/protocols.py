"""The three protocols: what a storage, a repository and a processor must do.

A third party writes a plain class with these methods, imports nothing from here, and proves it with the contract
suites of ``userimages.testing``. Methods may be called from several threads at once. Errors are those of
``userimages.errors``; anything else that escapes is treated as an outcome unknown.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol
from uuid import UUID

from userimages.model import ImageType, Intent, ProcessedImage, PublishResult, StoredObject, UserImage

DEFAULT_MAX_BYTES = 10 * 1024 * 1024  # of a file, where the processor states no limit of its own


class Readable(Protocol):
    """An uploaded file: anything that gives up to *n* bytes at a time, and ``b""`` at its end."""

    def read(self, n: int, /) -> bytes:
        """Return up to *n* bytes."""


class Storage(Protocol):
    """Where the bytes are. Keys are ASCII of at most 240 bytes, of the form ``users/{segment}/images/{name}``."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, all or nothing, and only where nothing stands under *key* yet.

        On return the bytes are durable, and ``open`` in any process sees all of them. The same bytes under the same
        key again are a success (a retry of ours); a reader never sees a part.

        Raises:
            KeyTakenError: other bytes stand under *key*; they are untouched.
            StorageUnavailableError: no answer in time; the bytes may be there, now or later.
            StorageError: refused; nothing was stored.
        """

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from offset *start*, at most *length* of them (None: to the end); the caller closes.

        A *start* at or past the end gives an empty stream. One request, or none before the first read.

        Raises:
            ObjectNotFoundError: nothing stands under *key*. Raised here, not by the first read.
            StorageError, StorageUnavailableError: as for ``put``.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete every key of *keys*, in one round trip where possible. Keys that are not there are fine.

        Raises:
            StorageError: at least one could not be deleted; the others may be gone. Safe to repeat.
        """

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose key starts with *prefix* and is greater than *after*, lazily.

        In ascending byte order of the whole key (``a-b/x`` < ``a.b/x`` < ``a/x``), whatever folders lie between.
        """

    def url(self, key: str) -> str | None:
        """Return the URL of *key* by which it can be read without the application, percent-encoded, or None. No I/O.

        It is public, or signed for a time; what signs it stands in the query.
        """


class ImageRepository(Protocol):
    """Where the records are: images, intents (work in hand), and which image of a user is primary.

    Each method is one transaction of its own, committed on return; it never joins the caller's. Records come without
    URLs. ``is_primary`` of a returned image is as of that transaction. With *user* given, another user's image is as
    good as missing. Instants are aware UTC with microseconds. A failure of the database is ``RepositoryError``.
    """

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Insert *intent* and return None; or return the image that its idempotency key already made.

        With ``intent.idempotency_key`` set, (user, key) is unique among intents and images together. Insert first,
        then look among the images: of any number of callers at once, one goes on. An older intent that holds the key
        loses it where its lease is at or before *now* or a sweep took it (that try can no longer be published).

        Raises:
            ConflictError: a live intent holds the key, or the key made an image of another ``input_sha256``. Nothing
                was inserted.
        """

    def publish(self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> PublishResult | None:
        """Turn *intent* into *image*: from this commit on it is listed. Return None where the intent cannot be.

        One transaction. Delete the intent, unless it is gone, was claimed, or lost its idempotency key: then nothing
        changes, and None is returned. Insert the image, with the intent's idempotency key and ``input_sha256``. With
        *is_primary*, make it the user's primary. With *replace*, do for every other image of this user and type what
        ``begin_delete`` does.

        Raises:
            ConflictError: a foreign key of the application's own refuses to let a replaced image go. Nothing changed.
            RepositoryError: the outcome may be unknown; calling again with the same arguments is safe.
        """

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image."""

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: ImageType | None = None
    ) -> Sequence[UserImage]:
        """Return up to *limit* images of *user*, newest first: by ``uploaded_at``, then ``id``, both descending.

        *after* is the (``uploaded_at``, ``id``) of the last image of the page before; it need not exist any more.
        """

    def primaries(self, users: Sequence[str]) -> Sequence[UserImage]:
        """Return the primary images of *users*, in any order, in one query; users without one are left out."""

    def set_primary(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Make the image its user's only primary and return it; None where there is no such image.

        Safe under any number of callers: at no time does a reader see two primaries, or none where there was one.
        """

    def update(self, id: UUID, *, caption: str, user: str | None = None) -> UserImage | None:
        """Set the caption and return the image; None where there is no such image."""

    def begin_delete(self, id: UUID, *, user: str | None = None) -> Intent | None:
        """Delete the image and, where it was, the user's primary; insert and return the intent that names its objects.

        One transaction. The intent is new, untaken and already over (its lease lies in the distant past), without an
        idempotency key: the key dies with the image. None where there is no such image.

        Raises:
            ConflictError: a foreign key of the application's own tables refuses. Nothing changed.
        """

    def finish(self, intent: Intent) -> None:
        """Delete the intent, if it is there."""

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Take up to *limit* intents whose lease is at or before *now*, oldest lease first.

        One that is not taken yet becomes so and its lease moves on by one hour, so that nobody can publish it any
        more; it is returned with ``claimed=False``, as it was. One that was taken before is returned with
        ``claimed=True`` and stays as it is. Of two callers at once, only one is given an untaken intent.
        """

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Return up to *limit* images of all users whose ``key`` is greater than *after*, in byte order of ``key``."""


class Processor(Protocol):
    """Makes of an uploaded file what will be stored.

    A plain function will do. An attribute ``max_bytes`` (int), where there is one, is the size at which the service
    stops reading a file; without it that is 10 MiB.
    """

    def __call__(self, data: bytes, image_type: ImageType) -> ProcessedImage:
        """Return freshly encoded bytes: upright, bounded, without metadata.

        Raises:
            RejectedImageError: for any input that cannot be accepted, whatever it is.
            BusyError: the machine is busy with other images; about load, never about an input.
        """
