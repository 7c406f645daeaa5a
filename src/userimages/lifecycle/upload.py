"""Store an image: record the intent, put the objects, publish the image."""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import attrs

from userimages import ids, keys
from userimages.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseBusyError,
    KeyTakenError,
    RepositoryError,
    StorageUnavailableError,
    UserImagesError,
    may_have_happened,
)
from userimages.lifecycle.deletion import delete_objects
from userimages.logs import log_left_over
from userimages.model import Intent, ProcessedImage, PublishResult, Rendition, UserImage, Variant, Variants
from userimages.protocols import ImageRepository, Processor, Storage

LEASE = timedelta(minutes=10)  # an upload that takes longer is taken for dead, and swept
_PARALLEL_PUTS = 8
_RECIPE_ID = re.compile("[0-9a-f]{16}")
_COMMIT_TRIES = 3

T = TypeVar("T")


def build_image(
    processed: ProcessedImage,
    *,
    user: str,
    image_type: str,
    at: datetime,
    owner: str,
    id: UUID | None = None,
    **facts: Any,
) -> tuple[UserImage, dict[str, Rendition]]:
    """Return the record of what was processed, and its objects by key. Renditions of equal bytes share an object.

    Raises:
        ConfigurationError: the processor made a media type or named a variant that no key can hold.
    """
    check_processed(processed)
    stem = keys.new_stem(user, image_type, at, owner)
    main = processed.main
    main_key, main_sha256 = keys.object_key(stem, main.mime_type), _sha256(main.data)
    variants, made = build_variants(processed.variants, stem, {(main.mime_type, main_sha256): main_key})
    objects = {main_key: main, **made}
    image = UserImage(
        id=id or ids.new_id(at),
        user=user,
        image_type=image_type,
        uploaded_at=at,
        key=main_key,
        width=main.width,
        height=main.height,
        size_bytes=len(main.data),
        stored_bytes=sum(len(each.data) for each in objects.values()),
        mime_type=main.mime_type,
        sha256=main_sha256,
        placeholder=processed.placeholder,
        frames=processed.frames,
        variants=Variants(variants),
        **facts,
    )
    return image, objects


def build_variants(
    renditions: Mapping[str, Rendition], stem: str, by_bytes: Mapping[tuple[str, str], str], *, version: str = ""
) -> tuple[dict[str, Variant], dict[str, Rendition]]:
    """Return the variants of an image by name, and by key those objects that are new.

    *by_bytes* has the keys that the image has already, by media type and SHA-256.
    """
    by_bytes = dict(by_bytes)
    variants, objects = {}, {}
    for name, each in renditions.items():
        content = each.mime_type, _sha256(each.data)
        if content not in by_bytes:
            by_bytes[content] = keys.object_key(stem, each.mime_type, name, version=version)
            objects[by_bytes[content]] = each
        variants[name] = Variant(by_bytes[content], each.width, each.height, len(each.data), *content)
    return variants, objects


def store(
    storage: Storage,
    repository: ImageRepository,
    intent: Intent,
    image: UserImage,
    objects: Mapping[str, Rendition],
    *,
    clock: Callable[[], datetime],
    **options: bool,
) -> PublishResult:
    """Record *intent*, put *objects*, publish *image*. An object never exists without a row that names it.

    *options* are those of ``ImageRepository.publish``.

    Returns:
        The published image, or the one that the idempotency key had already made.

    Raises:
        ConflictError: the idempotency key is in use, or the upload outlived its lease. Nothing is stored.
        StorageError: an object could not be put. What was put is deleted, at once or by the sweep.
        RepositoryError: the outcome is unknown, also after it was tried again.
    """
    existing = begin(repository, intent, now=clock())
    if existing is not None:
        return PublishResult(existing)

    published = put_and_commit(
        storage,
        repository,
        intent,
        objects,
        commit=lambda: repository.publish(intent, image, **options),
        clock=clock,
    )
    if published is None:
        delete_objects(storage, intent.object_keys)
        raise ConflictError("The upload took too long, so its lease ended and it was swept.", hint="Upload it again.")
    return published


def put_and_commit(
    storage: Storage,
    repository: ImageRepository,
    intent: Intent,
    objects: Mapping[str, Rendition],
    *,
    commit: Callable[[], T | None],
    clock: Callable[[], datetime],
) -> T | None:
    """Put the *objects* that *intent* names, and only then *commit* the change that makes a record name them.

    *commit* is safe to repeat: after an earlier try, whose answer was lost, it returns the same. Return None if it
    cannot be committed. Then the caller deletes what was put.
    """
    failures = put_objects(storage, objects)
    if failures:
        undo(storage, repository, intent, failures, now=clock())
        raise next(iter(failures.values()))
    try:
        return _committed(commit)
    except Exception as exc:
        if not (may_have_happened(exc) or isinstance(exc, DatabaseBusyError)):  # a busy database is not asked again
            undo(storage, repository, intent, {}, now=clock())
        raise


def recipe_id(processor: Processor, image_type: str) -> str:
    """Return what stands for the processor's recipe of this type in the record, or ``""`` if it does not say."""
    identify = getattr(processor, "recipe_id", None)
    if identify is None:
        return ""
    found = identify(image_type)
    if not isinstance(found, str) or not _RECIPE_ID.fullmatch(found):
        raise ConfigurationError(
            f"The recipe_id of the processor is {found!r}.", hint="Return 16 hex digits, such as those of a SHA-256."
        )
    return found


def put_objects(storage: Storage, objects: Mapping[str, Rendition]) -> dict[str, Exception]:
    """Put the objects side by side. Return what failed, by key, once every PUT has ended."""
    if not objects:
        return {}
    from concurrent.futures import ThreadPoolExecutor

    def put(key: str) -> Exception | None:
        try:
            storage.put(key, objects[key].data, mime_type=objects[key].mime_type)
        except Exception as exc:
            return exc
        return None

    try:
        with ThreadPoolExecutor(min(_PARALLEL_PUTS, len(objects))) as pool:
            outcomes = list(pool.map(put, objects))
    except RuntimeError:  # no thread can be started any more; a second put of the same bytes succeeds
        outcomes = [put(key) for key in objects]
    return {key: failure for key, failure in zip(objects, outcomes, strict=True) if failure}


def begin(repository: ImageRepository, intent: Intent, *, now: datetime) -> UserImage | None:
    """Record the intent. If that may have happened, remove it, so that the caller can retry with the same key."""
    try:
        return repository.begin_upload(intent, now=now)
    except Exception as exc:
        if may_have_happened(exc):
            with suppress(Exception):
                repository.finish([intent])
        raise


def _committed(commit: Callable[[], T | None]) -> T | None:
    """Commit. If the outcome is unknown, try again, but never undo it."""
    unknown = False
    for tries_left in reversed(range(_COMMIT_TRIES)):
        try:
            return commit()
        except ConflictError:  # it proves that the intent was still there, so no earlier try has committed
            raise
        except Exception as exc:
            if isinstance(exc, UserImagesError) and not may_have_happened(exc):
                if unknown:  # this try did nothing, but an earlier one may have committed
                    raise RepositoryError(exc.message, hint=exc.hint) from exc
                raise
            unknown = True
            if not tries_left:
                raise
    return None


def undo(
    storage: Storage,
    repository: ImageRepository,
    intent: Intent,
    failures: Mapping[str, Exception],
    *,
    now: datetime,
) -> None:
    """Delete what was put. If a PUT's outcome is unknown, it may land later, so the sweep deletes it.

    A store that did not answer is not asked again, because the caller would wait for a second time-out.
    """
    ours = tuple(key for key in intent.object_keys if not isinstance(failures.get(key), KeyTakenError))
    unknown = any(map(may_have_happened, failures.values()))
    if not any(isinstance(failure, StorageUnavailableError) for failure in failures.values()):
        try:
            delete_objects(storage, ours)
        except Exception as exc:
            log_left_over(intent, exc)
            unknown = True
    try:
        if unknown:
            # Record the work under a new id, without the idempotency key, so that the caller can retry at once. The
            # new intent comes first: a process that dies in between must leave a row that names the objects.
            rest = attrs.evolve(intent, id=ids.new_id(now), object_keys=ours, idempotency_key=None)
            repository.begin_upload(rest, now=now)
        repository.finish([intent])
    except Exception as exc:
        log_left_over(intent, exc)


def check_processed(processed: ProcessedImage) -> None:
    """Refuse what a processor made if no key can hold it."""
    made = {processed.main.mime_type, *(each.mime_type for each in processed.variants.values())}
    if unknown := sorted(made - keys.EXTENSIONS.keys()):
        known = ", ".join(keys.EXTENSIONS)
        raise ConfigurationError(f"The processor made {', '.join(unknown)}.", hint=f"It may make {known}.")
    if wrong := [name for name in processed.variants if not keys.VARIANT_NAME.fullmatch(name)]:
        raise ConfigurationError(
            f"The processor named a variant {wrong[0]!r}.", hint="Use a-z, 0-9, - and _, at most 32 of them."
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
