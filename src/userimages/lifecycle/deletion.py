"""Delete the objects of an image, or all images of a user."""

from collections.abc import Callable, Sequence

from userimages.errors import DatabaseBusyError
from userimages.keys import user_prefix
from userimages.logs import log, log_left_over, reason
from userimages.model import Intent
from userimages.protocols import ImageRepository, Storage

OnDeleted = Callable[[Sequence[str]], None]


def finish_deletion(
    storage: Storage, repository: ImageRepository, intent: Intent, on_deleted: OnDeleted | None
) -> Exception | None:
    """Delete the objects that *intent* names, then the intent. Return what failed, which is left to the sweep."""
    try:
        delete_objects(storage, intent.object_keys, on_deleted)
        repository.finish(intent)
    except Exception as exc:
        log_left_over(intent, exc)
        return exc
    return None


def delete_all(
    storage: Storage, repository: ImageRepository, user: str, on_deleted: OnDeleted | None
) -> tuple[int, Exception | None]:
    """Delete all images of *user*. Return how many went, and the first error.

    One image that cannot be deleted does not stop the rest. Passes are repeated until one deletes nothing, because
    the user may upload in the meantime. Only a database that stays busy ends it early, because the next image would
    wait for it as long.
    """
    deleted, first_failure = 0, None
    while True:
        count, failure = _delete_present(storage, repository, user, on_deleted)
        deleted, first_failure = deleted + count, first_failure or failure
        if count == 0 or isinstance(failure, DatabaseBusyError):
            return deleted, first_failure


def _delete_present(
    storage: Storage, repository: ImageRepository, user: str, on_deleted: OnDeleted | None
) -> tuple[int, Exception | None]:
    """Delete what the user has now. The rows are read by key, because a listing may come out of a cache."""
    deleted, first_failure = 0, None
    position = prefix = user_prefix(user)
    while rows := [row for row in repository.list_by_key(after=position) if row.key.startswith(prefix)]:
        position = rows[-1].key
        for image in rows:
            failure: Exception | None = None
            try:
                intent = repository.begin_delete(image.id)
            except Exception as exc:
                failure = exc
            else:
                deleted += intent is not None
                failure = finish_deletion(storage, repository, intent, on_deleted) if intent else None
            if isinstance(failure, DatabaseBusyError):
                return deleted, failure
            first_failure = first_failure or failure
    return deleted, first_failure


def delete_objects(storage: Storage, keys: Sequence[str], on_deleted: OnDeleted | None = None) -> None:
    """Delete the objects and tell *on_deleted* their public URLs. What that raises is only logged."""
    storage.delete(keys)
    urls = [url for url in map(storage.url, keys) if url is not None] if on_deleted else []
    if on_deleted and urls:
        try:
            on_deleted(urls)
        except Exception as exc:
            log.warning("on_deleted failed: %s", reason(exc), extra={"event": "on_deleted", "objects": len(urls)})
