"""``ImageService``: checks arguments, logs, pages, fills URLs, and delegates to ``lifecycle``."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar
from uuid import UUID

from userimages import validation
from userimages.direct_upload import DirectUpload
from userimages.errors import ImageNotFoundError, InvalidFieldError, RepositoryError
from userimages.ids import UploadClock, new_id, utcnow
from userimages.keys import owner_of
from userimages.lifecycle import tickets
from userimages.lifecycle.deletion import OnDeleted, PurgeError, delete_all, finish_deletions
from userimages.lifecycle.upload import LEASE, build_image, recipe_id, store
from userimages.logs import log_event
from userimages.maintenance import Maintenance
from userimages.model import (
    ImageType,
    Intent,
    Page,
    Usage,
    UserDeletion,
    UserImage,
    Variant,
    with_urls,
)
from userimages.parts import check_parts, check_urls
from userimages.protocols import DEFAULT_MAX_BYTES, ImageRepository, Processor, Readable, Storage
from userimages.signing import UrlSigner

_NOT_FOUND = "Image not found."

T = TypeVar("T")


class ImageService(DirectUpload, Maintenance):
    """Upload, list, open, serve and delete the images of users, so that nothing is lost and nothing is left behind.

    Every method may be called from several threads, and a service that was made before a fork works after it. Each
    method raises ``UserImagesError``: ``InvalidFieldError`` if an argument is wrong, ``StorageError`` or
    ``RepositoryError`` if a backend fails. An id is a UUID or its string. With *user* given, an image of another user
    is not found.

    Args:
        storage: holds the objects.
        repository: holds the records.
        processor: turns an uploaded file into what is stored (default: ``PillowProcessor()``).
        clock: returns the present as an aware datetime.
        serve_url: the URL under which the application serves an image, with ``{id}`` in it. Images of a storage
            without public URLs have this one.
        staged_url: the URL under which the application takes a direct upload, with ``{id}`` in it. It is used if the
            storage cannot sign one of its own.
        signer: signs the URLs of the serve route, which then need no guard until they expire.
        on_deleted: is called with the public URLs of deleted objects, so that it can purge a CDN. If it raises, the
            sweep calls it again with the same URLs.
        primary_per_type: one primary image per user and type, in place of one per user.

    Raises:
        ConfigurationError: an argument cannot work.

    >>> from userimages import ImageService
    >>> from userimages.testing.images import make_image
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
        clock: Callable[[], datetime] = utcnow,
        serve_url: str = "/api/user_image/{id}/serve/",
        staged_url: str = "/api/staged_upload/{id}/",
        signer: UrlSigner | None = None,
        on_deleted: OnDeleted | None = None,
        primary_per_type: bool = False,
    ) -> None:
        if processor is None:
            from userimages.processing import PillowProcessor

            processor = PillowProcessor()
        check_parts(storage, repository, processor, on_deleted=on_deleted, primary_per_type=primary_per_type)
        check_urls(serve_url=serve_url, staged_url=staged_url)
        self.storage = storage
        self.repository = repository
        self.processor: Processor = processor
        self.signer = signer
        # Local-time arithmetic breaks across DST changes, so convert to UTC first.
        self._clock: Callable[[], datetime] = lambda: clock().astimezone(UTC)
        self._upload_clock = UploadClock(self._clock)
        self._serve_url = serve_url
        self._staged_url = staged_url
        self._on_deleted = on_deleted
        self._per_type = primary_per_type
        self._own: str | None = None

    @classmethod
    def in_memory(cls) -> "ImageService":
        """Make a service that needs no account, disk or database, and forgets everything with the process."""
        from userimages.repositories.memory import MemoryRepository
        from userimages.storages.memory import MemoryStorage

        return cls(MemoryStorage(), MemoryRepository())

    def __repr__(self) -> str:
        return f"ImageService({self.storage!r}, {self.repository!r})"

    @property
    def max_bytes(self) -> int:
        """The largest accepted file in bytes: the processor's own limit, or 10 MiB if it states none."""
        return getattr(self.processor, "max_bytes", DEFAULT_MAX_BYTES)

    @property
    def image_types(self) -> tuple[str, ...]:
        """The names of the types that an upload may have: those of the processor, or the three of ``ImageType``."""
        return tuple(map(str, getattr(self.processor, "image_types", ImageType)))

    def upload(
        self,
        user: str,
        file: bytes | Readable,
        *,
        image_type: str,
        is_primary: bool = False,
        caption: str = "",
        meta: Mapping[str, Any] | None = None,
        replace: bool = False,
        idempotency_key: str | None = None,
        uploaded_at: datetime | None = None,
    ) -> UserImage:
        """Check, re-encode and store an image, and return its record.

        Args:
            user: the owner, 1 to 150 characters: a stable id of the user.
            file: bytes, or anything with ``read(n)``.
            image_type: one of ``image_types``.
            is_primary: make it the user's primary image.
            caption: text. HTML tags and control characters are removed; at most 1,000 characters may be left.
            meta: a JSON object of at most 4,096 bytes that the application keeps with the image.
            replace: delete the user's other images of this type in the same step. If one of them was primary, pass
                *is_primary* too, or the user has no primary image.
            idempotency_key: 1 to 255 printable ASCII characters. A retry with the same key and the same file gets the
                first answer.
            uploaded_at: the date of an image that is adopted from elsewhere, aware, from 1970 to now; its id and its
                place in listings are made from it. Default: now.

        Raises:
            RejectedImageError: the file is refused; its subclasses say why.
            ConflictError: the idempotency key belongs to another file, or to a first try that still runs.
            BusyError: too many images at once; try again later.
        """
        key = validation.checked_idempotency_key(idempotency_key)
        at = validation.checked_uploaded_at(uploaded_at, now=self._clock())
        facts = {"is_primary": is_primary, "caption": caption, "meta": meta, "replace": replace}
        return self._upload(user, file, image_type, key, at, None, **facts)

    def _upload(  # noqa: PLR0917
        self,
        user: str,
        file: bytes | Readable,
        image_type: str,
        idempotency_key: str | None,
        at: datetime | None,
        id: UUID | None,
        *,
        is_primary: Any,
        caption: Any,
        meta: Any,
        replace: Any,
    ) -> UserImage:
        """Store an image of the instant *at*, or now; its id is new, or that of a ticket."""
        user = validation.checked_user(user)
        image_type = validation.checked_image_type(image_type, self.image_types)
        caption = validation.checked_caption(caption)
        meta = validation.checked_meta(meta)
        is_primary = validation.checked_flag(is_primary, "is_primary")
        replace = validation.checked_flag(replace, "replace")
        with log_event("upload", image_type=image_type) as facts:
            data = validation.read_file(file, limit=self.max_bytes)
            facts["input_bytes"] = len(data)
            image, objects = build_image(
                self.processor(data, image_type),
                user=user,
                image_type=image_type,
                caption=caption,
                meta=meta,
                at=at or self._upload_clock(),
                id=id,
                owner=self._owner(),
                recipe=recipe_id(self.processor, image_type),
            )
            intent = Intent(
                id=new_id(self._clock()) if id else image.id,
                user=user,
                object_keys=image.object_keys,
                lease_until=self._clock() + LEASE,
                idempotency_key=idempotency_key,
                input_sha256=hashlib.sha256(data).hexdigest(),
            )
            published = store(
                self.storage,
                self.repository,
                intent,
                image,
                objects,
                clock=self._clock,
                is_primary=is_primary,
                replace=replace,
                per_type=self._per_type,
            )
            facts |= {"image_id": str(published.image.id), "size_bytes": published.image.size_bytes}
        finish_deletions(self.storage, self.repository, published.replaced, self._on_deleted)  # the sweep does the rest
        return self.with_urls(published.image)

    def get(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """Return one image, or raise ``ImageNotFoundError``."""
        found = self.repository.get(validation.checked_id(id), user=_checked_owner(user))
        return self.with_urls(_or_not_found(found))

    def get_many(self, ids: Iterable[UUID | str]) -> dict[UUID, UserImage]:
        """Return up to 1,000 images by id, in the order of *ids*, in one query; what is not there is absent."""
        wanted = validation.checked_ids(ids)
        found = {image.id: image for image in self.repository.get_many(wanted)}
        return {id: self.with_urls(found[id]) for id in wanted if id in found}

    def list(self, user: str, *, limit: int = 50, cursor: str | None = None, image_type: str | None = None) -> Page:
        """Return one page of a user's images, newest first. One query, and no request to the storage.

        Args:
            user: the owner.
            limit: 1 to 200 images.
            cursor: the ``next_cursor`` of the previous page; None for the first.
            image_type: only images of this type, whether or not an upload may still have it.
        """
        user = validation.checked_user(user)
        limit = validation.checked_limit(limit)
        after = None if cursor is None else validation.decode_cursor(cursor)
        only = None if image_type is None else validation.checked_image_type(image_type)
        with log_event("list") as facts:
            found = self.repository.list(user, limit=limit + 1, after=after, image_type=only)
            facts["images"] = len(found[:limit])
        return self._page(found, limit, lambda last: validation.encode_cursor(last.uploaded_at, last.id))

    def recent(self, *, limit: int = 50, cursor: str | None = None, image_type: str | None = None) -> Page:
        """Return one page of the images of all users, newest first, for moderation and the like.

        The arguments are those of ``list``, and its cursor is not one of ``list``. One query. For a type that few
        images have, it reads many rows.
        """
        limit = validation.checked_limit(limit)
        after = None if cursor is None else validation.decode_recent_cursor(cursor)
        only = None if image_type is None else validation.checked_image_type(image_type)
        with log_event("recent") as facts:
            found = self.repository.recent(limit=limit + 1, after=after, image_type=only)
            facts["images"] = len(found[:limit])
        return self._page(found, limit, lambda last: validation.encode_recent_cursor(last.id))

    def primary(self, user: str, *, image_type: str | None = None) -> UserImage | None:
        """Return the user's primary image, or None. *image_type* as for ``primaries``."""
        return self.primaries([user], image_type=image_type).get(user)

    def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> dict[str, UserImage]:
        """Return the primary image of each of up to 1,000 users in one query; a user without one is absent.

        *image_type* is required if the service has ``primary_per_type=True``, and refused otherwise.
        """
        names = validation.checked_users(users)
        only = validation.checked_primary_type(image_type, per_type=self._per_type)
        found = self.repository.primaries(names, image_type=only)
        return {image.user: self.with_urls(image) for image in found}

    def set_primary(self, id: UUID | str, *, user: str | None = None) -> UserImage:
        """Make the image its user's only primary one and return it, or raise ``ImageNotFoundError``.

        With ``primary_per_type=True`` it is the only one of its type.
        """
        id = validation.checked_id(id)
        with log_event("set_primary", image_id=str(id)):
            image = self.repository.set_primary(id, user=_checked_owner(user), per_type=self._per_type)
            return self.with_urls(_or_not_found(image))

    def open(
        self,
        image: UserImage | UUID | str,
        variant: str | None = None,
        *,
        user: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> BinaryIO:
        """Open the stored bytes of an image, or of one *variant*. The caller closes the stream.

        One query and one request to the storage; a ``UserImage`` in place of the id costs no query.

        Args:
            image: the id of an image, or its record.
            variant: the name of a variant; None opens the image itself.
            user: the owner; an image of another user is not found.
            start: the first byte.
            length: how many bytes at most; None reads to the end.

        Raises:
            ImageNotFoundError: there is no such image, or it has no such variant.
            ObjectNotFoundError: the record is there, its object is not.
        """
        validation.check_range(start, length)
        variant = validation.checked_variant(variant)
        owner = _checked_owner(user)
        if not isinstance(image, UserImage):
            image = _or_not_found(self.repository.get(validation.checked_id(image), user=owner))
        elif owner not in (None, image.user):
            raise ImageNotFoundError(_NOT_FOUND)
        stored: UserImage | Variant | None = image if variant is None else image.variants.get(variant)
        if stored is None:
            raise ImageNotFoundError(
                "The image has no variant of this name.", hint=f"It has: {', '.join(image.variants) or 'none'}."
            )
        return self.storage.open(stored.key, start=start, length=length)

    def update(
        self,
        id: UUID | str,
        *,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
        user: str | None = None,
    ) -> UserImage:
        """Set the caption, the meta or both, and return the image, or raise ``ImageNotFoundError``.

        *meta* replaces the whole object.
        """
        changes: dict[str, Any] = {}
        if caption is not None:
            changes["caption"] = validation.checked_caption(caption)
        if meta is not None:
            changes["meta"] = validation.checked_meta(meta)
        if not changes:
            raise InvalidFieldError(
                "Nothing to change.", field="caption", hint="Pass caption, meta or both. An empty one removes it."
            )
        image = self.repository.update(validation.checked_id(id), changes, user=_checked_owner(user))
        return self.with_urls(_or_not_found(image))

    def usage(self, user: str) -> Usage:
        """Return how many images a user has, and how many bytes they take in the storage. One query."""
        return self.repository.usage(validation.checked_user(user))

    def delete(self, id: UUID | str, *, user: str | None = None) -> None:
        """Delete an image, its variants and its record, or raise ``ImageNotFoundError``.

        Raises:
            ConflictError: a foreign key of the application refuses; nothing was deleted.
            StorageError: the image is gone from every listing, but its bytes are not yet; the sweep deletes them.
            RepositoryError: the database failed before the image was deleted, or it may have been.
        """
        id = validation.checked_id(id)
        with log_event("delete", image_id=str(id)):
            intents = self.repository.begin_delete([id], user=_checked_owner(user))
            if not intents:
                raise ImageNotFoundError(_NOT_FOUND)
            if tickets.are_possible(self.storage, self.signer):
                intents = [tickets.with_staged(each, id, now=self._clock()) for each in intents]
            failure = finish_deletions(self.storage, self.repository, intents, self._on_deleted)
            # The sweep repeats a purge, and finishes an intent whose objects are gone: no caller need know.
            if failure and not isinstance(failure, PurgeError | RepositoryError):
                raise failure

    def delete_user(self, user: str) -> UserDeletion:
        """Delete all images of a user, and list what is left under the user's prefix: the proof.

        One image that cannot be deleted does not stop the rest: the first error is raised once all have been tried.
        A database that stays busy, a store that does not answer or an *on_deleted* that raises ends it early. Call it
        again after an error.
        """
        user = validation.checked_user(user)
        with log_event("delete_user") as facts:
            staged = tickets.delete_staged(self.storage, user)
            deletion, failure = delete_all(self.storage, self.repository, user, self._on_deleted)
            facts["images"] = deletion.images
            if failure := failure or staged:
                raise failure
        return deletion

    def _owner(self) -> str:
        """Return the six characters that stand for this database in keys. The database is asked once per process."""
        if self._own is None:
            database_id = getattr(self.repository, "database_id", None)
            self._own = owner_of(database_id() if database_id else None)
        return self._own

    def _page(self, found: Sequence[UserImage], limit: int, cursor: Callable[[UserImage], str]) -> Page:
        """Return the first *limit* images, with a cursor if there are more."""
        images = tuple(map(self.with_urls, found[:limit]))
        return Page(images, cursor(images[-1]) if len(found) > limit else None)

    def with_urls(self, image: UserImage) -> UserImage:
        """Return *image* with its URL, and let those of its variants be made when somebody looks at them.

        For a record that the application has read from the table by itself.
        """

        def url(stored: UserImage | Variant, name: str = "") -> str:
            own = self.storage.url(stored.key)
            if own is not None:
                return own
            target = self._serve_target(image.id, name)
            return self.signer.signed(target, now=self._clock()) if self.signer else target

        variants = image.variants.with_urls(lambda name, variant: url(variant, name))
        return with_urls(image, url(image), variants)

    def _serve_target(self, id: UUID, variant: str) -> str:
        """Return the URL under which the application serves an image or a variant: without a token, what one signs."""
        target = self._serve_url.replace("{id}", str(id))
        return f"{target}{'&' if '?' in target else '?'}variant={variant}" if variant else target

    def seconds_left(self, id: UUID, variant: str, token: str) -> int:
        """Return for how many seconds *token* still opens an image, or its *variant* if that is not ``""``.

        It is 0 if it does not. The path of a request plays no part, because a proxy may have changed it.
        """
        if self.signer is None:
            return 0
        return self.signer.seconds_left(self._serve_target(id, variant), token, now=self._clock())


def _checked_owner(user: str | None) -> str | None:
    return None if user is None else validation.checked_user(user)


def _or_not_found(found: T | None) -> T:
    if found is None:
        raise ImageNotFoundError(_NOT_FOUND)
    return found
