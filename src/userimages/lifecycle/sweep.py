"""Finish the uploads and deletions that were cut off."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from userimages.ids import CLOCK_SKEW, instant_of
from userimages.lifecycle.deletion import BATCH, OnDeleted, delete_batch, is_refusal
from userimages.lifecycle.ownership import require_own_store
from userimages.logs import log_left_over
from userimages.model import Intent, SweepReport
from userimages.protocols import ImageRepository, Storage

OVERDUE = timedelta(days=1)


def sweep(
    storage: Storage, repository: ImageRepository, *, now: datetime, on_deleted: OnDeleted | None = None
) -> SweepReport:
    """Finish the intents whose lease ended five minutes (for clock skew) before *now*.

    The first visit claims an intent, so that no late publish can win, and deletes its objects. The second visit is
    due an hour later: it deletes them again, because a PUT that timed out may have landed late, and only then
    finishes the intent. Both work by the hundred. If the store refuses a batch, each intent is tried by itself, so
    that one does not stop the rest. Any other failure ends the sweep, because the next batch would meet the same.

    Raises:
        ConfigurationError: there is work in hand, and this is not the store of this database. The work stays.
    """
    if not repository.list_intents(limit=1):
        return SweepReport()
    require_own_store(storage, repository)
    finished = 0
    failed: dict[UUID, Intent] = {}
    claimed: set[UUID] = set()
    while intents := _due(repository, now - CLOCK_SKEW, failed):
        second = [intent for intent in intents if intent.claimed]
        failures = delete_batch(storage, repository, intents, on_deleted, finish=second)
        for intent in intents:
            if intent.id in failures:
                failed[intent.id] = intent
                log_left_over(intent, failures[intent.id])
            elif intent.claimed:  # perhaps by this sweep: the second visit of a very old intent is due at once
                finished += 1
                claimed.discard(intent.id)
            else:
                claimed.add(intent.id)
        if not all(map(is_refusal, failures.values())):
            break
    overdue = [due for due in map(due_since, failed.values()) if due < now - OVERDUE]
    return SweepReport(
        finished, len(claimed - failed.keys()), len(failed), len(overdue), oldest=min(overdue, default=None)
    )


def due_since(intent: Intent) -> datetime:
    """Return since when *intent* could have been finished.

    For an upload that is the end of its lease, because its id has the date of the image, which may be years ago. For a
    deletion it is the instant of its id, because its lease is in the distant past.
    """
    return max(intent.lease_until, instant_of(intent.id))


def _due(repository: ImageRepository, now: datetime, failed: Collection[UUID]) -> Sequence[Intent]:
    """Claim the next expired intents, except those that have *failed* in this sweep."""
    expired = repository.claim_expired(now, limit=BATCH + len(failed))
    return [intent for intent in expired if intent.id not in failed][:BATCH]
