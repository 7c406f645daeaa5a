"""Delete the objects of images, or all images of a user."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain, islice
from uuid import UUID

import attrs

from userimages.errors import (
    ConflictError,
    DatabaseBusyError,
    RepositoryError,
    StorageError,
    may_have_happened,
)
from userimages.keys import has_version, parse_key, staging_prefix, user_prefix
from userimages.logs import log, log_left_over, reason
from userimages.model import Intent, UserDeletion, UserImage
from userimages.protocols import ImageRepository, Storage

BATCH = 100  # images in one transaction, and their objects in one request
_LISTED = 1000  # keys in the proof

OnDeleted = Callable[[Sequence[str]], None]


class PurgeError(Exception):
    """Raised within this package when *on_deleted* raised, which is its cause. The objects were deleted."""


def finish_deletions(
    storage: Storage, repository: ImageRepository, intents: Sequence[Intent], on_deleted: OnDeleted | None
) -> Exception | None:
    """Delete the objects that *intents* name, then the intents, by the hundred. Return the first failure.

    What failed is left to the sweep. A store that refuses an object does not stop the rest. Any other failure ends it,
    because the next batch would meet the same: a busy database, a store that does not answer, a purge that fails.
    """
    first_failure = None
    for start in range(0, len(intents), BATCH):
        batch = intents[start : start + BATCH]
        failures = delete_batch(storage, repository, _with_old_variants(storage, batch), on_deleted, finish=batch)
        for intent in batch:
            if intent.id in failures:
                log_left_over(intent, failures[intent.id])
        first_failure = first_failure or next(iter(failures.values()), None)
        if not all(map(is_refusal, failures.values())):
            break
    return first_failure


def _with_old_variants(storage: Storage, intents: Sequence[Intent]) -> Sequence[Intent]:
    """Let the deletion of an image take along the variants that a rebuild left for 24 hours: it is gone at once.

    An image that was rebuilt has no variant without a version, so most images cost no request. If the listing fails,
    the sweep deletes them when their time is over.
    """
    with_them = []
    for intent in intents:
        parsed = parse_key(intent.object_keys[0])
        prefix = f"{parsed.stem}." if parsed else ""
        found: list[str] = []
        if prefix and all(has_version(key) for key in intent.object_keys[1:] if key.startswith(prefix)):
            with suppress(StorageError):
                found = [each.key for each in storage.list(prefix)]
        with_them.append(attrs.evolve(intent, object_keys=tuple(dict.fromkeys((*intent.object_keys, *found)))))
    return with_them


def delete_batch(
    storage: Storage,
    repository: ImageRepository,
    intents: Sequence[Intent],
    on_deleted: OnDeleted | None,
    *,
    finish: Sequence[Intent],
) -> dict[UUID, Exception]:
    """Delete the objects of all *intents* with one request, then *finish* some of them. Return what failed, by intent.

    If the store refuses, each intent is tried by itself. After any other failure the rest fails with it, untried.
    """
    try:
        delete_objects(storage, [key for intent in intents for key in intent.object_keys], on_deleted)
        if finish:
            repository.finish(finish)
    except Exception as exc:
        if len(intents) == 1 or not is_refusal(exc):
            return {intent.id: exc for intent in intents}
    else:
        return {}
    failures: dict[UUID, Exception] = {}
    for at, intent in enumerate(intents):
        own = [each for each in finish if each.id == intent.id]
        failures |= delete_batch(storage, repository, [intent], on_deleted, finish=own)
        failure = failures.get(intent.id)
        if failure is not None and not is_refusal(failure):
            return failures | dict.fromkeys((rest.id for rest in intents[at:]), failure)
    return failures


def delete_objects(storage: Storage, keys: Sequence[str], on_deleted: OnDeleted | None = None) -> None:
    """Delete the objects and tell *on_deleted* their public URLs.

    Raises:
        PurgeError: *on_deleted* raised. The caller keeps the intent, so that the sweep repeats the purge.
    """
    storage.delete(keys)
    urls = [url for url in map(storage.url, keys) if url is not None] if on_deleted else []
    if on_deleted and urls:
        try:
            on_deleted(urls)
        except Exception as exc:
            log.warning("on_deleted failed: %s", reason(exc), extra={"event": "on_deleted", "objects": len(urls)})
            raise PurgeError from exc


def is_refusal(failure: Exception) -> bool:
    """Tell whether the store refused an object, so that others may still go."""
    return isinstance(failure, StorageError) and not may_have_happened(failure)


def delete_all(
    storage: Storage, repository: ImageRepository, user: str, on_deleted: OnDeleted | None
) -> tuple[UserDeletion, BaseException | None]:
    """Delete all images of *user*. Return what was done, and the first failure.

    One image that cannot be deleted does not stop the rest. Passes are repeated until one deletes nothing, because
    the user may upload in the meantime.
    """
    deletion = _Deletion(storage, repository, user, on_deleted)
    while not deletion.ended and deletion.run_once():
        pass
    if deletion.failure is not None:
        purge_failed = isinstance(deletion.failure, PurgeError)
        return UserDeletion(deletion.images), deletion.failure.__cause__ if purge_failed else deletion.failure
    left = islice(chain(storage.list(user_prefix(user)), storage.list(staging_prefix(user))), _LISTED)
    return UserDeletion(deletion.images, tuple(found.key for found in left)), None


@attrs.define
class _Deletion:
    """The deletion of a user under way: what it has done, and what stopped it."""

    storage: Storage
    repository: ImageRepository
    user: str
    on_deleted: OnDeleted | None
    images: int = 0
    failure: Exception | None = None
    ended: bool = False

    def run_once(self) -> int:
        """Delete what the user has now, page by page. Return how many images went."""
        before = self.images
        behind_cache = getattr(self.repository, "repository", self.repository)  # a cached page may be stale
        after: tuple[datetime, UUID] | None = None
        while not self.ended and (page := behind_cache.list(self.user, limit=BATCH, after=after)):
            after = page[-1].uploaded_at, page[-1].id  # past those that are refused
            self._delete(page)
        return self.images - before

    def _delete(self, page: Sequence[UserImage]) -> None:
        """Delete the images of *page* at once or, if one of them is still referred to, each by itself."""
        ids = [image.id for image in page]
        try:
            intents = self.repository.begin_delete(ids, user=self.user)  # which a cache is told by, also after an error
        except ConflictError as exc:
            if len(page) > 1:
                for image in page:
                    if not self.ended:
                        self._delete([image])
                return
            self._note(exc)
        except RepositoryError as exc:
            if may_have_happened(exc):  # what is gone has an intent, which is left to the sweep
                self.images += len(ids) - len(self.repository.get_many(ids))
            self._note(exc, ends=isinstance(exc, DatabaseBusyError))
        else:
            self.images += len(intents)
            failure = finish_deletions(self.storage, self.repository, intents, self.on_deleted)
            if failure is not None:
                self._note(failure, ends=not is_refusal(failure))

    def _note(self, failure: Exception, *, ends: bool = False) -> None:
        self.failure = self.failure or failure
        self.ended = ends  # after that nothing is tried, so nothing is noted
