"""The verbs that look after a whole store, which ``ImageService`` has from here: its own file does not grow."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from userimages import validation
from userimages.lifecycle.audit import audit, delete_orphans
from userimages.lifecycle.deletion import OnDeleted
from userimages.lifecycle.sweep import sweep
from userimages.logs import log_event
from userimages.model import AuditReport, CheckReport, RebuildReport, SweepReport
from userimages.protocols import ImageRepository, Processor, Storage


class Maintenance:
    """What ``ImageService`` can do for the store as a whole."""

    if TYPE_CHECKING:  # what the service has
        storage: Storage
        repository: ImageRepository
        processor: Processor
        _clock: Callable[[], datetime]
        _on_deleted: OnDeleted | None
        _owner: Callable[[], str]

        @property
        def image_types(self) -> tuple[str, ...]: ...  # noqa: D102

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
        verify: float = 0.0,
        progress: Callable[[AuditReport], None] | None = None,
    ) -> AuditReport:
        """Compare the store with the records and report what only one of them has.

        Only keys of our own grammar under ``users/`` are judged, only objects older than 24 hours by the store's clock
        are orphans, and a record without an object is never removed. With *delete*, orphans go, unless they are more
        than *max_share* of this database's objects. *after* and *limit* (objects) do it in parts: pass the
        ``stopped_at`` of one report as the next *after*. *progress* is called with the report so far.

        An object of another length or media type than its record's is damaged. *verify* is the share of the objects
        that are also read, to compare every byte by its SHA-256: 1.0 reads all, 0.01 one in a hundred, by chance.

        Raises:
            ConfigurationError: *delete* is given, and this is not the store of this database.
        """
        validation.check_audit(delete=delete, after=after, limit=limit, max_share=max_share, verify=verify)
        if delete:  # a report changes nothing, so that it may be made of either store of a MirrorStorage
            self.sweep()
        report = audit(
            self.storage,
            self.repository,
            owner=self._owner(),
            after=after,
            limit=limit,
            verify=verify,
            progress=progress,
        )
        if not (delete and report.orphans):
            return report
        return delete_orphans(self.storage, self.repository, report, max_share=max_share, on_deleted=self._on_deleted)

    def rebuild_all(
        self, *, after: str = "", limit: int = 1000, progress: Callable[[RebuildReport], None] | None = None
    ) -> RebuildReport:
        """Make new variants of stored images whose recipe has changed: one page of work, for a loop or a task queue.

        They are made from the stored image, under new keys. Id, URL and date of the image stay, and the old variants
        stay for 24 hours. Any number of calls may run at once and be repeated, beside uploads and deletions.

        Args:
            after: the ``stopped_at`` of the report before; ``""`` for the first page.
            limit: 1 to 10,000 images, of any type.
            progress: is called after each image with the report so far.

        Raises:
            ConfigurationError: the repository cannot revise, or a recipe does not work. Nothing was done.
            BusyError, StorageError, RepositoryError: a part failed. What was done is done: repeat the call.
        """
        from userimages.lifecycle.rebuild import rebuild_all

        validation.check_rebuild(after=after, limit=limit)
        with log_event("rebuild_all") as facts:
            report = rebuild_all(
                self.storage,
                self.repository,
                self.processor,
                image_types=self.image_types,
                clock=self._clock,
                after=after,
                limit=limit,
                progress=progress,
            )
            facts |= {"rebuilt": report.rebuilt, "failed": len(report.failed)}
        return report

    def check(self) -> CheckReport:
        """Try the storage and the repository for real and say, line by line, what is well and what to do."""
        from userimages.lifecycle.check import check

        return check(self.storage, self.repository, self.processor, now=self._clock())
