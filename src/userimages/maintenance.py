"""The verbs that look after a whole store, which ``ImageService`` has from here: its own file does not grow."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from userimages import validation
from userimages.lifecycle.audit import audit, delete_orphans
from userimages.lifecycle.deletion import OnDeleted
from userimages.lifecycle.sweep import sweep
from userimages.model import AuditReport, CheckReport, SweepReport
from userimages.protocols import ImageRepository, Storage


class Maintenance:
    """What ``ImageService`` can do for the store as a whole."""

    if TYPE_CHECKING:  # what the service has
        storage: Storage
        repository: ImageRepository
        _clock: Callable[[], datetime]
        _on_deleted: OnDeleted | None
        _owner: Callable[[], str]

    def sweep(self) -> SweepReport:
        """Finish uploads and deletions that were cut off. Safe to run anywhere, any number at once, every minute."""
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
        than *max_share* of this database's objects. *after* and *limit* (objects) do it in parts: pass the
        ``stopped_at`` of one report as the next *after*. *progress* is called with the report so far.

        Raises:
            ConfigurationError: there is work in hand or *delete* is given, and this is not the store of this database.
        """
        validation.check_audit(delete=delete, after=after, limit=limit, max_share=max_share)
        self.sweep()
        report = audit(self.storage, self.repository, owner=self._owner(), after=after, limit=limit, progress=progress)
        if not (delete and report.orphans):
            return report
        return delete_orphans(self.storage, self.repository, report, max_share=max_share, on_deleted=self._on_deleted)

    def check(self) -> CheckReport:
        """Try the storage and the repository for real and say, line by line, what is well and what to do."""
        from userimages.lifecycle.check import check

        return check(self.storage, self.repository, now=self._clock())
