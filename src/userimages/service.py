"""``ImageService``: the order of effects, and nothing else."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import BinaryIO, TypeVar
from uuid import UUID

import attrs

from userimages import fields, identity
from userimages.audit import audit, delete_orphans
from userimages.errors import (
    ConfigurationError,
    ConflictError,
    ImageNotFoundError,
    KeyTakenError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    is_unchanged,
)
from userimages.logs import log_left_over, logged
from userimages.model import (
    AuditReport,
    CheckReport,
    ImageType,
    Intent,
    Page,
    Published,
    Rendition,
    SweepReport,
    UserImage,
    Variants,
)
from userimages.objects import drafted, put_all, remove_objects
from userimages.ports import ImageRepository, Processor, Readable, Storage
from userimages.sweep import LEASE, sweep

MAX_BYTES = 10 * 1024 * 1024
_PUBLISH_TRIES = 3

T = TypeVar("T")


class ImageService:
    """Upload, list, open, serve and delete the pictures of users, so that nothing is lost and nothing left behind.

    *storage* holds the bytes, *repository* the records, *processor* makes of a file what is stored (default:
    ``PillowProcessor()``). *clock* returns the present as an aware datetime. *serve_url* is where an image of a
    private storage is served, with ``{id}`` in it. *on_deleted* is called with the public URLs of deleted objects,
    which is the place to purge a CDN.

    Every method may be called from several threads, and a service that was made before a fork works after it. Each
    raises ``UserImagesError``: ``InvalidFieldError`` for a bad argument, ``StorageError`` or ``RepositoryError`` where
    a backend fails. An id is a UUID or its string; with *user* given, another user's image is not found.

    >>> from userimages import ImageService
    >>> from userimages.testing import make_image
    >>> images = ImageService.in_memory()
    >>> cat = images.upload("ana", make_image("PNG", (200, 100)), image_type="profile", is_primary=True)
    >>> images.primary("ana").id == cat.id
    True
    >>> images.delete(cat.id)
    >>> len(images.list("ana"))
    0
    """

    def __init__(
        self,
        storage: Storage,
        repository: ImageRepository,
        *,
        processor: Processor | None = None,
        clock: Callable[[], datetime] = identity.utcnow,
        serve_url: str = "/api/user_image/{id}/serve/",
        on_deleted: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        if processor is None:
            from userimages.processing import PillowProcessor

            processor = PillowProcessor()
        for role, part, method in (("storage", storage, "put"), ("repository", repository, "publish")):
            if isinstance(part, type) or not hasattr(part, method):
                raise ConfigurationError(
                    f"The {role} is of type {type(part).__name__}, which has no {method}().",
                    hint="Write ImageService(storage, repository), with an instance of each.",
                )
        if "{id}" not in serve_url:
            raise ConfigurationError("serve_url has no {id} in it.", hint="Write it as /images/{id}/.")
        self.storage = storage
        self.repository = repository
        self.processor = processor
        # Sums in another zone may cross its change of the clocks.
        self._clock: Callable[[], datetime] = lambda: clock().astimezone(UTC)
        self._upload_clock = identity.UploadClock(self._clock)
        self._serve_url = serve_url
        self._on_deleted = on_deleted

    @classmethod
    def in_memory(cls) -> "ImageService":
        """Make a service that needs no account, disk or database, and forgets everything with the process."""
        from userimages.repositories.memory import MemoryRepository
        from userimages.storages.memory import MemoryStorage

        return cls(MemoryStorage(), MemoryRepository())

    @property
    def max_bytes(self) -> int:
        """The largest accepted file in bytes: the processor's own limit, or 10 MiB where it states none."""
        return getattr(self.processor, "max_bytes", MAX_BYTES)

    def upload(
        self,
        user: str,
        file: bytes | Readable,
        *,
        image_type: ImageType | str,
        is_primary: bool = False,
        caption: str = "",
        replace: bool = False,
        idempotency_key: str | None = None,
    ) -> UserImage:
        """Check, re-encode and store a picture, and return its record.

        *file* is bytes or anything with ``read(n)``. HTML tags and control characters are removed from *caption*, of
        which at most 1,000 characters may be left. *replace* lets the user's other images of this type go in the same
        step; where one of them was primary, pass *is_primary* too, or the user has none. A retry with the same
        *idempotency_key* (1-255 printable ASCII characters) and the same file gets the first answer.

        Raises:
            RejectedImageError: the file is refused; its subclasses say why.
            ConflictError: the idempotency key belongs to another file, or to a first try that still runs.
            BusyError: too many pictures at once; try again later.
        """
        user = fields.checked_user(user)
        image_type = fields.checked_image_type(image_type)
        caption = fields.checked_caption(caption)
        idempotency_key = fields.checked_idempotency_key(idempotency_key)
        is_primary = fields.checked_flag(is_primary, "is_primary")
        replace = fields.checked_flag(replace, "replace")
        with logged("upload", image_type=image_type.value) as facts:
            data = fields.read_file(file, limit=self.max_bytes)
            facts["input_bytes"] = len(data)
            processed = self.processor(data, image_type)
            image, objects = drafted(user, image_type, caption, processed, at=self._upload_clock())
            intent = Intent(
                id=image.id,
                user=user,
                object_keys=image.object_keys,
                lease=self._clock() + LEASE,
                idempotency_key=idempotency_key,
                input_sha256=hashlib.sha256(data).hexdigest(),
            )
            published = self._stored(intent, image, objects, is_primary=is_primary, replace=replace)
            facts |= {"image_id": str(published.image.id), "size_bytes": published.image.size_bytes}
        for retired in published.retired:
            if is_unchanged(self._finish(retired)):  # the sweep does the rest
                break
        return self._with_urls(published.image)

    def get(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """Return one image, or raise ``ImageNotFoundError``."""
        return self._with_urls(self._found(id, user))

    def list(
        self, user: str, *, limit: int = 50, cursor: str | None = None, image_type: ImageType | str | None = None
    ) -> Page:
        """Return one page of a user's images, newest first; *limit* is 1 to 200.

        Pass ``page.next_cursor`` as *cursor* for the page after it. One query, and no request to the storage.
        """
        user = fields.checked_user(user)
        limit = fields.checked_limit(limit)
        after = None if cursor is None else fields.decode_cursor(cursor)
        only = None if image_type is None else fields.checked_image_type(image_type)
        with logged("list") as facts:
            found = self.repository.list(user, limit=limit + 1, after=after, image_type=only)
            facts["images"] = len(found[:limit])
        images = tuple(self._with_urls(image) for image in found[:limit])
        if len(found) <= limit:
            return Page(images)
        return Page(images, fields.encode_cursor(images[-1].uploaded_at, images[-1].id))

    def primary(self, user: str) -> UserImage | None:
        """Return the user's primary image, or None."""
        return self.primaries([user]).get(user)

    def primaries(self, users: Sequence[str]) -> dict[str, UserImage]:
        """Return the primary image of each of up to 1,000 users in one query; a user without one is absent."""
        found = self.repository.primaries(fields.checked_users(users))
        return {image.user: self._with_urls(image) for image in found}

    def set_primary(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """Make the image its user's only primary one and return it, or raise ``ImageNotFoundError``."""
        id = fields.checked_id(id)
        with logged("set_primary", image_id=str(id)):
            image = self.repository.set_primary(id, user=_checked_owner(user))
            return self._with_urls(_or_not_found(image))

    def open(
        self,
        id: UUID | str,
        variant: str | None = None,
        *,
        user: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> BinaryIO:
        """Open the stored bytes of an image, or of one *variant*; the caller closes the stream.

        *start* and *length* are bytes. One query and one request.

        Raises:
            ImageNotFoundError: no such image, or no such variant of it.
            BlobNotFoundError: the record is there, its object is not.
        """
        fields.checked_range(start, length)
        variant = fields.checked_variant(variant)
        image = self._found(id, user)
        if variant is not None and variant not in image.variants:
            raise ImageNotFoundError(
                "The image has no variant of this name.", hint=f"It has: {', '.join(image.variants) or 'none'}."
            )
        key = image.key if variant is None else image.variants[variant].key
        return self.storage.open(key, start=start, length=length)

    def update(self, id: UUID | str, *, caption: str, user: str | None = None) -> UserImage:
        """Set the caption and return the image, or raise ``ImageNotFoundError``."""
        caption = fields.checked_caption(caption)
        image = self.repository.update(fields.checked_id(id), caption=caption, user=_checked_owner(user))
        return self._with_urls(_or_not_found(image))

    def delete(self, id: UUID | str, *, user: str | None = None) -> None:
        """Delete an image, its variants and its record, or raise ``ImageNotFoundError``.

        Raises:
            ConflictError: a foreign key of the application's own tables refuses; nothing was deleted.
            StorageError: the image is gone from every listing, but its bytes are not yet; the sweep deletes them.
        """
        id = fields.checked_id(id)
        with logged("delete", image_id=str(id)):
            intent = _or_not_found(self.repository.retire(id, user=_checked_owner(user)))
            failure = self._finish(intent)
        if failure:
            raise failure

    def delete_user(self, user: str) -> int:
        """Delete all images of a user and return how many went.

        What refuses or fails does not keep the others: the first error is raised once all have been tried. Only a
        database that stays busy ends it early.
        """
        user = fields.checked_user(user)
        gone, first_failure = 0, None
        with logged("delete_user") as facts:
            while True:
                count, failure = self._retired_all(user)
                gone, first_failure = gone + count, first_failure or failure
                if count == 0 or is_unchanged(failure):  # else what was uploaded in the meantime goes too
                    break
            facts["images"] = gone
        if first_failure:
            raise first_failure
        return gone

    def sweep(self) -> SweepReport:
        """Finish uploads and deletions that were cut off. Safe anywhere, any number at once, cheap every minute."""
        return sweep(self.storage, self.repository, now=self._clock(), on_deleted=self._on_deleted)

    def audit(
        self,
        *,
        delete: bool = False,
        after: str = "",
        limit: int | None = None,
        max_share: float = 0.01,
        progress: Callable[[AuditReport], None] | None = None,
    ) -> AuditReport:
        """Compare the store with the records and report what only one of them has.

        Only keys of our own grammar under ``users/`` are judged, only objects older than 24 hours by the store's clock
        are orphans, and a record without an object is never removed. With *delete*, orphans go, unless they are more
        than *max_share* of the objects seen. *after* and *limit* (objects) do it in parts: pass the ``stopped_at`` of
        one report as the next *after*. *progress* is called with the report so far.
        """
        fields.check_audit(delete=delete, after=after, limit=limit, max_share=max_share)
        self.sweep()
        report = audit(self.storage, self.repository, after=after, limit=limit, progress=progress)
        if not (delete and report.orphans):
            return report
        return delete_orphans(self.storage, self.repository, report, max_share=max_share, on_deleted=self._on_deleted)

    def check(self) -> CheckReport:
        """Try the storage and the repository for real and say, line by line, what is well and what to do."""
        from userimages.checks import check

        return check(self.storage, self.repository, now=self._clock())

    def _stored(
        self, intent: Intent, image: UserImage, objects: Mapping[str, Rendition], *, is_primary: bool, replace: bool
    ) -> Published:
        """Announce, put, publish. An object never exists without a row that names it."""
        made = self._begun(intent)
        if made is not None:
            return Published(made)
        failures = put_all(self.storage, objects)
        if failures:
            self._undo(intent, failures)
            raise next(iter(failures.values()))
        try:
            published = self._published(intent, image, is_primary=is_primary, replace=replace)
        except ConflictError:
            self._undo(intent, {})
            raise
        if published is None:
            remove_objects(self.storage, intent.object_keys)
            raise ConflictError("The upload took longer than its lease and was swept.", hint="Upload it again.")
        return published

    def _begun(self, intent: Intent) -> UserImage | None:
        """Begin; where the outcome is unknown, let go of the idempotency key, so that the caller may retry at once."""
        try:
            return self.repository.begin(intent, now=self._clock())
        except ConflictError:
            raise
        except Exception as exc:
            if not is_unchanged(exc):
                with suppress(Exception):
                    self.repository.forget(intent)
            raise

    def _published(self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Published | None:
        """Publish; where the outcome is unknown, try again and read again, but never compensate."""
        for tries_left in reversed(range(_PUBLISH_TRIES)):
            try:
                published = self.repository.publish(intent, image, is_primary=is_primary, replace=replace)
                if published is None and (found := self.repository.get(image.id)):
                    return Published(found)  # by an earlier try, whose answer was lost
            except ConflictError:
                raise
            except Exception as exc:
                if is_unchanged(exc):  # by this try: the objects are there, and perhaps the image of an earlier one
                    raise RepositoryError(str(exc.args[0]), hint=exc.hint) from exc
                if not tries_left:
                    raise
            else:
                return published
        return None

    def _undo(self, intent: Intent, failures: Mapping[str, Exception]) -> None:
        """Delete what was put. After an outcome unknown the sweep deletes it once more, for a PUT may land late."""
        ours = tuple(key for key in intent.object_keys if not isinstance(failures.get(key), KeyTakenError))
        unknown = any(_is_unknown(failure) for failure in failures.values())
        try:
            remove_objects(self.storage, ours)
        except Exception as exc:
            log_left_over(intent, exc)
            unknown = True
        try:
            if unknown:
                # A new name for the work in hand lets go of the idempotency key: the caller may retry at once.
                id = identity.new_id(self._upload_clock())
                rest = attrs.evolve(intent, id=id, object_keys=ours, idempotency_key=None)
                self.repository.begin(rest, now=self._clock())
            self.repository.forget(intent)
        except Exception as exc:
            log_left_over(intent, exc)

    def _finish(self, retired: Intent) -> Exception | None:
        """Delete the objects of a retired image, then its intent; return what failed, which is left to the sweep."""
        try:
            remove_objects(self.storage, retired.object_keys, self._on_deleted)
            self.repository.forget(retired)
        except Exception as exc:
            log_left_over(retired, exc)
            return exc
        return None

    def _retired_all(self, user: str) -> tuple[int, Exception | None]:
        """Delete what the user has now; return how many images went and the first error.

        The rows are read by their keys, for a listing may come out of a cache.
        """
        gone, first_failure = 0, None
        position = prefix = identity.user_prefix(user)
        while rows := [row for row in self.repository.rows(after=position) if row.key.startswith(prefix)]:
            position = rows[-1].key
            for image in rows:
                failure: Exception | None = None
                try:
                    intent = self.repository.retire(image.id)
                except Exception as exc:
                    failure = exc
                else:
                    gone += intent is not None
                    failure = self._finish(intent) if intent else None
                if is_unchanged(failure):
                    return gone, failure
                first_failure = first_failure or failure
        return gone, first_failure

    def _found(self, id: UUID | str, user: str | None) -> UserImage:
        return _or_not_found(self.repository.get(fields.checked_id(id), user=_checked_owner(user)))

    def _with_urls(self, image: UserImage) -> UserImage:
        """Fill every URL: the storage's own, else the route that serves it."""
        serve = self._serve_url.replace("{id}", str(image.id))
        mark = "&" if "?" in serve else "?"
        variants = {
            name: attrs.evolve(each, url=self.storage.url(each.key) or f"{serve}{mark}variant={name}")
            for name, each in image.variants.items()
        }
        return attrs.evolve(image, url=self.storage.url(image.key) or serve, variants=Variants(variants))


def _is_unknown(failure: Exception) -> bool:
    """Tell whether what failed may have happened all the same."""
    return isinstance(failure, StorageUnavailableError) or not isinstance(failure, StorageError)


def _checked_owner(user: str | None) -> str | None:
    return None if user is None else fields.checked_user(user)


def _or_not_found(found: T | None) -> T:
    if found is None:
        raise ImageNotFoundError("There is no such image.")
    return found
