"""Make the variants of stored images again, when a recipe has changed.

The order of effects is that of an upload: an intent names the new objects, they are put, and one transaction lets the
record name them. The same transaction hands the old objects to an intent with 24 hours of grace, because pages that
name their URLs are still in caches and open tabs::

    begin_upload ──> [intent] ── put the new variants ──> revise ──> [image] and [intent: the old ones, for 24 hours]
                        │                                   │
                        │                                   └── the image is gone or was made again meanwhile: nothing
                        │                                       changes, and what was put is deleted
                        └── the process dies: the sweep deletes the new variants; the image is as it was
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from userimages import ids, keys
from userimages.errors import (
    BrokenImageError,
    BusyError,
    ConfigurationError,
    RejectedImageError,
    StorageUnavailableError,
)
from userimages.lifecycle.upload import LEASE, begin, build_variants, check_processed, put_and_commit, recipe_id, undo
from userimages.logs import log, reason
from userimages.model import Intent, ProcessedImage, RebuildReport, Rendition, UserImage
from userimages.protocols import ImageRepository, Processor, Storage

GRACE = timedelta(hours=24)
_TRIAL = bytes.fromhex(  # a PNG of 2 x 2 pixels
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a73000000164944415478"
    "9c633c9162c4c0c0c0c4c0c0c0c0c0000011280162a6202aa00000000049454e44ae426082"
)


def rebuild_all(
    storage: Storage,
    repository: ImageRepository,
    processor: Processor,
    *,
    image_types: Iterable[str],
    clock: Callable[[], datetime],
    after: str,
    limit: int,
    progress: Callable[[RebuildReport], None] | None,
) -> RebuildReport:
    """Make new variants of up to *limit* images past the key *after*, where they are of another recipe.

    An image that cannot be made again is reported and passed over. A store or a database that does not answer, or a
    machine that is busy, ends the call: what was done is done, and the same call again goes on from there.

    Raises:
        ConfigurationError: the repository cannot revise, or a recipe does not work. Nothing was done.
    """
    revise: Callable[..., UserImage | None] | None = getattr(repository, "revise", None)
    if revise is None:
        raise ConfigurationError(
            f"{type(repository).__name__} cannot rebuild.", hint="It needs the optional method revise()."
        )
    recipes = {name: recipe_id(processor, name) for name in image_types}
    for name, recipe in recipes.items():
        if recipe:
            _try_recipe(processor, name)
    rebuilt = current = 0
    failed: list[UUID] = []
    images = repository.list_by_key(after=after, limit=limit)
    for image in images:
        recipe = recipes.get(image.image_type, "")
        if recipe in {"", image.recipe}:
            current += 1
        else:
            try:
                rebuilt += _rebuild(storage, repository, processor, image, recipe, revise=revise, clock=clock)
            except _FailedError as exc:
                if repository.get(image.id):  # else it was deleted meanwhile
                    failed.append(image.id)
                    facts = {"event": "rebuild", "image_id": str(image.id)}
                    log.warning("not rebuilt: %s", reason(exc.__cause__ or exc), extra=facts)
        if progress:
            progress(RebuildReport(rebuilt, current, tuple(failed), image.key))
    return RebuildReport(rebuilt, current, tuple(failed), images[-1].key if len(images) == limit else None)


class _FailedError(Exception):
    """Raised when one image cannot be made again; its cause says why."""


def _rebuild(
    storage: Storage,
    repository: ImageRepository,
    processor: Processor,
    image: UserImage,
    recipe: str,
    *,
    revise: Callable[..., UserImage | None],
    clock: Callable[[], datetime],
) -> bool:
    """Give *image* the variants of *recipe*. Return False if that is not to be done any more."""
    found = repository.get(image.id)  # the page was read a while ago, and others may work on it too
    if found is None or found.recipe == recipe:
        return False
    processed = _processed(storage, processor, found)
    revised, objects = _with_variants(found, processed, recipe)
    now = clock()
    intent = Intent(id=ids.new_id(now), user=found.user, object_keys=tuple(objects), lease_until=now + LEASE)
    begin(repository, intent, now=now)

    def commit() -> UserImage | None:
        return revise(intent, revised, of=found, keep_until=clock() + GRACE)

    done = put_and_commit(storage, repository, intent, objects, commit=commit, clock=clock)
    if done is None:
        # A first try may have been committed, its answer lost, and another recipe may have kept objects of it since.
        latest = repository.get(found.id)
        unnamed = tuple(key for key in objects if latest is None or key not in latest.object_keys)
        undo(storage, repository, attrs.evolve(intent, object_keys=unnamed), {}, now=clock())
    return done is not None


def _processed(storage: Storage, processor: Processor, image: UserImage) -> ProcessedImage:
    """Make what the recipe asks for of the stored image."""
    try:
        with storage.open(image.key) as stream:
            data = stream.read()
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise BrokenImageError("The stored bytes are not those of the record.", hint="Run audit(verify=1.0).")
        processed = processor(data, image.image_type)
    except (StorageUnavailableError, BusyError, ConfigurationError):
        raise
    except Exception as exc:  # a processor may raise anything, and one picture must not stop a million
        raise _FailedError from exc
    check_processed(processed)
    return processed


def _with_variants(image: UserImage, processed: ProcessedImage, recipe: str) -> tuple[UserImage, dict[str, Rendition]]:
    """Return the record with the variants of *processed*, and the new objects by key.

    An object that is there and holds the same bytes stays. It must have a version: then a record that was made again
    has no key without one, by which a deletion knows that older objects may be there.
    """
    stem, _, _ = image.key.rpartition(".")
    there = {(each.mime_type, each.sha256): each.key for each in image.variants.values() if keys.has_version(each.key)}
    there[image.mime_type, image.sha256] = image.key
    variants, objects = build_variants(processed.variants, stem, there, version=keys.new_version())
    sizes = {each.key: each.size_bytes for each in variants.values()} | {image.key: image.size_bytes}
    revised = attrs.evolve(
        image,
        variants=variants,
        placeholder=processed.placeholder,
        recipe=recipe,
        stored_bytes=sum(sizes.values()),
    )
    return revised, objects


def _try_recipe(processor: Processor, image_type: str) -> None:
    """Try the recipe of this type on a picture that every decoder knows, before the first image is touched."""
    try:
        check_processed(processor(_TRIAL, image_type))
    except (BusyError, ConfigurationError):
        raise
    except Exception as exc:
        if isinstance(exc, RejectedImageError) and not isinstance(exc, BrokenImageError):
            return  # it does not take such pictures, which says nothing about the recipe
        raise ConfigurationError(
            f"The recipe of the image type {image_type!r} does not work: {reason(exc)}.",
            hint="Nothing was rebuilt. Upload a picture of this type to see the error.",
        ) from exc
