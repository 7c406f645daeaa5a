"""Finish what was begun: the uploads and deletions that were cut off."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from userimages.errors import StorageUnavailableError, is_unchanged
from userimages.logs import log_left_over
from userimages.model import Intent, SweepReport
from userimages.objects import OnDeleted, remove_objects
from userimages.ports import ImageRepository, Storage

LEASE = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=5)
_BATCH = 100


def sweep(
    storage: Storage, repository: ImageRepository, *, now: datetime, on_deleted: OnDeleted | None = None
) -> SweepReport:
    """Finish the intents whose lease was over five minutes (for clock skew) before *now*.

    The first visit takes an intent, so that no late publish can win, and deletes its objects; a second one, due an
    hour later, deletes them again, for a PUT that timed out may have landed late, and only then forgets the intent.
    One that fails does not keep the others; only a store that answers none of a batch, or a database that is busy for
    longer than anybody waits, ends the sweep early.
    """
    finished = 0
    failed: set[UUID] = set()
    taken: set[UUID] = set()
    while intents := _due(repository, now - CLOCK_SKEW, failed):
        unanswered = 0
        for intent in intents:
            try:
                remove_objects(storage, intent.object_keys, on_deleted)
                if intent.taken:
                    repository.forget(intent)
            except Exception as exc:
                failed.add(intent.id)
                unanswered += isinstance(exc, StorageUnavailableError)
                log_left_over(intent, exc)
                if is_unchanged(exc):
                    return SweepReport(finished, len(taken - failed), len(failed))
            else:
                if intent.taken:  # perhaps by this very sweep: what is long over gets its second visit at once
                    finished += 1
                    taken.discard(intent.id)
                else:
                    taken.add(intent.id)
        if unanswered == len(intents):
            break
    return SweepReport(finished, len(taken - failed), len(failed))


def _due(repository: ImageRepository, now: datetime, failed: Collection[UUID]) -> Sequence[Intent]:
    """Take the next intents that are over, past those that have *failed* in this sweep."""
    over = repository.expired(now, limit=_BATCH + len(failed))
    return [intent for intent in over if intent.id not in failed]
