"""``userimages audit``: compare the store with the records."""

import argparse

from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, Progress, positive, share, show, show_json, tell
from userimages.errors import ConfigurationError, UserImagesError
from userimages.model import AuditReport

_SHOWN = 100  # keys; --json has them all


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "audit",
        _run,
        "compare the store with the records",
        "It only reports, unless --delete is given; a record without an object is never removed.",
    )
    command.add_argument(
        "--delete", action="store_true", help="delete objects older than 24 hours that no record names"
    )
    command.add_argument(
        "--max-share",
        type=share,
        default=0.01,
        metavar="SHARE",
        help="delete nothing if more than this share of the objects of this database would go (default: 0.01)",
    )
    command.add_argument(
        "--verify",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="also read this share of the objects, by chance, and compare every byte: 1 reads all (default: 0)",
    )
    command.add_argument("--after", default="", metavar="KEY", help="resume after this key")
    command.add_argument("--limit", type=positive, metavar="N", help="stop after about N objects")


def _run(options: argparse.Namespace) -> int:
    images = load_service(options)
    progress = Progress("objects", _described)
    try:
        with progress:
            report = images.audit(
                delete=options.delete,
                after=options.after,
                limit=options.limit,
                max_share=options.max_share,
                verify=options.verify,
                progress=progress,
            )
            progress(report)
    except ConfigurationError:  # to repeat it would not help
        raise
    except (KeyboardInterrupt, UserImagesError):
        resume, again = progress.last.stopped_at if progress.last else options.after, "Repeat it."
        if options.delete:
            again = "Repeat it, in parts with --limit."
        elif resume:
            again = f"Resume with: --after '{resume}'"
        tell(f"The audit was cut off. {again}")
        raise
    if options.json:
        show_json(report)
    else:
        _show(report, delete=options.delete)
    left = len(report.orphans) > report.deleted
    return NEEDS_ACTION if report.missing or report.damaged or left else OK


def _described(seen: AuditReport) -> tuple[int, str]:
    return seen.objects, f"{len(seen.orphans):,} orphans, {len(seen.damaged):,} damaged"


def _show(report: AuditReport, *, delete: bool) -> None:
    orphans = [each.key for each in report.orphans]
    missing, damaged = (
        [f"{each.key} of image {each.image_id}" for each in named] for named in (report.missing, report.damaged)
    )
    for name, lines in (("orphan", orphans), ("missing", missing), ("damaged", damaged)):
        for line in lines[:_SHOWN]:
            show(f"{name:<8} {line}")
        if len(lines) > _SHOWN:
            show(f"{name:<8} ... and {len(lines) - _SHOWN:,} more (--json lists them all)")
    show(
        f"{report.objects:,} objects and {report.images:,} images seen: {len(report.orphans):,} orphans, "
        f"{len(report.missing):,} missing, {len(report.damaged):,} damaged, {report.deleted:,} deleted."
    )
    if report.foreign or report.unknown:
        show(f"Left alone: {report.foreign:,} objects of other databases and {report.unknown:,} of unknown names.")
    _show_advice(report, delete=delete)


def _show_advice(report: AuditReport, *, delete: bool) -> None:
    if report.note:
        show(report.note)
    if report.orphans and not delete:
        show("This was a dry run: repeat it with --delete to delete the orphans.")
    if report.missing:
        show(
            "A missing object cannot be brought back from here: restore it from a backup, "
            "or delete its image by images.delete(id)."
        )
    if report.damaged:
        show(
            "A damaged object is not what its record says: delete the object and restore it from a backup, "
            "or delete its image by images.delete(id)."
        )
    if report.stopped_at is not None:
        show(f"Resume with: --after '{report.stopped_at}'")
