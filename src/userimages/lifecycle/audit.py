"""Compare a store with the records, and delete what no record names."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from operator import itemgetter
from uuid import UUID

import attrs

from userimages.keys import PREFIX, STAGING_PREFIX, parse_key
from userimages.lifecycle.deletion import BATCH, OnDeleted, PurgeError, delete_objects
from userimages.lifecycle.ownership import require_own_store
from userimages.lifecycle.probe import store_time
from userimages.lifecycle.verify import Verifier
from userimages.model import AuditReport, MissingObject, StoredObject, UserImage
from userimages.protocols import ImageRepository, Storage

ORPHAN_AGE = timedelta(hours=24)
_PROGRESS = 1000  # objects from one report to the next; later a hundredth of those seen, because each copies the lists


def audit(
    storage: Storage,
    repository: ImageRepository,
    *,
    owner: str,
    after: str,
    limit: int | None,
    verify: float,
    progress: Callable[[AuditReport], None] | None,
) -> AuditReport:
    """Compare the store's listing under ``users/`` with the rows. Both come in byte order, so one pass is enough.

    *limit* ends it after about that many objects, *verify* is the share of them to read, and *progress* is called once
    for every thousand, or for every hundredth if that is more. An object without a row is judged only if its key has
    *owner*: others belong to another database. What seems to be missing or damaged is checked once more, because a
    page of the listing may be older than the rows beside it, and an image may be deleted or rebuilt meanwhile.
    """
    old = store_time(storage) - ORPHAN_AGE
    objects = images = foreign = unknown = 0
    orphans: list[StoredObject] = []
    missing: list[MissingObject] = []
    verifier = Verifier(storage, verify)
    stopped_at, due = None, _PROGRESS
    for key, found, image in _merged(storage, repository, after):
        parsed = parse_key(key)
        if image is not None and found:
            verifier.compare(found[0], image)
        elif image is not None:
            missing.append(MissingObject(key, image.id))
        elif parsed is None:
            unknown += len(found)
        elif parsed.owner != owner:
            foreign += len(found)
        else:
            orphans += [each for each in found if each.modified < old]
        objects += len(found)
        images += image is not None and key == image.key
        if progress and objects >= due:
            due = objects + max(_PROGRESS, objects // 100)
            verifier.read()  # whoever goes on after this key, must not leave any out
            seen = AuditReport(
                objects=objects,
                images=images,
                orphans=tuple(orphans),
                damaged=tuple(verifier.damaged),
                foreign=foreign,
                unknown=unknown,
                stopped_at=key,
            )
            progress(seen)
        if limit is not None and objects >= limit:
            stopped_at = key
            break
    if stopped_at is None:
        staged = list(storage.list(STAGING_PREFIX))  # nothing there is needed for longer than half an hour
        orphans += [each for each in staged if each.modified < old]
        objects += len(staged)
    verifier.read()
    unnamed = _not_in_hand(repository, (each.key for each in orphans))
    lost = [each for each in missing + verifier.gone if not _exists(storage, each.key)]
    return AuditReport(
        objects=objects,
        images=images,
        orphans=tuple(each for each in orphans if each.key in unnamed),
        missing=tuple(each for each in lost if _still_named(repository, each)),
        damaged=tuple(each for each in verifier.damaged if _still_named(repository, each)),
        foreign=foreign,
        unknown=unknown,
        stopped_at=stopped_at,
        note="" if stopped_at is None else f"It ended after {limit:,} objects, as asked.",
    )


def delete_orphans(
    storage: Storage,
    repository: ImageRepository,
    report: AuditReport,
    *,
    max_share: float,
    on_deleted: OnDeleted | None = None,
) -> AuditReport:
    """Delete the orphans of *report*, unless they are more than *max_share* of the objects of this database.

    Objects of others do not count: in a bucket that is shared, they would make any share small.

    Raises:
        ConfigurationError: this is not the store of this database. Nothing was deleted.
    """
    require_own_store(storage, repository)
    own = report.objects - report.foreign - report.unknown
    if len(report.orphans) > max_share * own:
        share = len(report.orphans) / own
        return attrs.evolve(
            report,
            note=f"Nothing was deleted: {share:.1%} of the objects of this database are orphans, over the limit of "
            f"{max_share:.1%}. Check that this is the right database for this store, "
            "then raise max_share (--max-share).",
        )
    deleted = 0
    for start in range(0, len(report.orphans), BATCH):
        batch = report.orphans[start : start + BATCH]
        # A row may name it by now, or have named it and handed it to an intent: rows first, then intents.
        unnamed = [each.key for each in batch if not _is_named(repository, each.key)]
        keys = sorted(_not_in_hand(repository, unnamed))
        with suppress(PurgeError):  # it is logged, and the objects are gone
            delete_objects(storage, keys, on_deleted)
        deleted += len(keys)
    return attrs.evolve(report, deleted=deleted)


def _merged(
    storage: Storage, repository: ImageRepository, after: str
) -> Iterator[tuple[str, list[StoredObject], UserImage | None]]:
    """Yield every key past *after* with its object, if there is one, and with the image that names it, if one does."""
    stored = ((each.key, each, None) for each in storage.list(PREFIX, after=after))
    named = ((key, None, image) for key, image in _named(repository, after))
    in_order = heapq.merge(stored, named, key=itemgetter(0))
    for key, entries in itertools.groupby(in_order, key=itemgetter(0)):
        both = list(entries)
        yield key, [each for _, each, _ in both if each], next((image for _, _, image in both if image), None)


def _named(repository: ImageRepository, after: str) -> Iterator[tuple[str, UserImage]]:
    """Yield the keys past *after* that rows name, in byte order: the keys of one image lie together, by their stem."""
    folder, slash, name = after.rpartition("/")
    position = folder + slash + name.partition(".")[0]
    while rows := repository.list_by_key(after=position):
        for image in rows:
            yield from ((key, image) for key in sorted(image.object_keys) if key > after)
        position = rows[-1].key


def _not_in_hand(repository: ImageRepository, keys: Iterable[str]) -> set[str]:
    """Return those of *keys* that no work in hand names: about the others the sweep decides.

    The intents are read page by page and not kept, because for a day after a rebuild there is one for each image.
    """
    left = set(keys)
    after: UUID | None = None
    while left and (intents := repository.list_intents(after=after)):
        left.difference_update(key for intent in intents for key in intent.object_keys)
        after = intents[-1].id
    return left


def _still_named(repository: ImageRepository, one: MissingObject) -> bool:
    """Tell whether the image still names the object by now."""
    image = repository.get(one.image_id)
    return image is not None and one.key in image.object_keys


def _exists(storage: Storage, key: str) -> bool:
    """Tell whether there is an object under *key* by now."""
    return any(found.key == key for found in storage.list(key))


def _is_named(repository: ImageRepository, key: str) -> bool:
    """Tell whether an image names *key* by now: whole keys count, because a variant may have been made again."""
    parsed = parse_key(key)
    stem = parsed.stem if parsed else key
    return any(key in image.object_keys for image in repository.list_by_key(after=stem, limit=1))
