"""Finish the uploads and deletions that were cut off."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from userimages.errors import DatabaseBusyError, StorageUnavailableError
from userimages.lifecycle.deletion import OnDeleted, delete_objects
from userimages.logs import log_left_over
from userimages.model import Intent, SweepReport
from userimages.protocols import ImageRepository, Storage

CLOCK_SKEW = timedelta(minutes=5)  # by which the clocks of two machines may differ
_BATCH = 100


def sweep(
    storage: Storage, repository: ImageRepository, *, now: datetime, on_deleted: OnDeleted | None = None
) -> SweepReport:
    """Finish the intents whose lease ended five minutes (for clock skew) before *now*.

    The first visit claims an intent, so that no late publish can win, and deletes its objects. The second visit is
    due an hour later: it deletes them again, because a PUT that timed out may have landed late, and only then
    finishes the intent. One intent that fails does not stop the rest. The sweep ends early in two cases: the store
    answers none of a batch, or the database stays busy.
    """
    finished = 0
    failed: set[UUID] = set()
    claimed: set[UUID] = set()
    while intents := _due(repository, now - CLOCK_SKEW, failed):
        unanswered = 0
        for intent in intents:
            try:
                delete_objects(storage, intent.object_keys, on_deleted)
                if intent.claimed:
                    repository.finish(intent)
            except Exception as exc:
                failed.add(intent.id)
                unanswered += isinstance(exc, StorageUnavailableError)
                log_left_over(intent, exc)
                if isinstance(exc, DatabaseBusyError):
                    return SweepReport(finished, len(claimed - failed), len(failed))
            else:
                if intent.claimed:  # perhaps by this sweep: the second visit of a very old intent is due at once
                    finished += 1
                    claimed.discard(intent.id)
                else:
                    claimed.add(intent.id)
        if unanswered == len(intents):
            break
    return SweepReport(finished, len(claimed - failed), len(failed))


def _due(repository: ImageRepository, now: datetime, failed: Collection[UUID]) -> Sequence[Intent]:
    """Claim the next expired intents, except those that have *failed* in this sweep."""
    expired = repository.claim_expired(now, limit=_BATCH + len(failed))
    return [intent for intent in expired if intent.id not in failed]
