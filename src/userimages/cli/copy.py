"""``userimages copy``: copy the objects of one store to another."""

import argparse

from userimages.cli.application import load, load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, Progress, positive, show, show_json, show_some, tell
from userimages.errors import ConfigurationError, UserImagesError
from userimages.model import TransferReport
from userimages.protocols import Storage

_FORMS = "disk:PATH, r2: (from R2_*), or MODULE:NAME of a storage of the application"


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "copy",
        _run,
        "copy the objects that the records name to another store",
        "Safe at any time, and to repeat: what is there is passed over. Nothing is deleted in the source.",
    )
    command.add_argument("source", metavar="SOURCE", help=_FORMS)
    command.add_argument("target", metavar="TARGET", help="the same; a folder is made if it is missing")
    command.add_argument("--after", default="", metavar="KEY", help="resume after this key")
    command.add_argument("--limit", type=positive, metavar="N", help="stop after N images")


def _run(options: argparse.Namespace) -> int:
    from userimages.lifecycle.transfer import copy_objects

    source = _storage(options.source, "SOURCE", create=False)
    target = _storage(options.target, "TARGET", create=True)
    repository = load_service(options, storage=source).repository
    progress = Progress("objects", _described)
    try:
        with progress:
            report = copy_objects(
                repository, source, target, after=options.after, limit=options.limit, progress=progress
            )
    except ConfigurationError:  # to repeat it would not help
        raise
    except (KeyboardInterrupt, UserImagesError):
        resume = progress.last.stopped_at if progress.last else options.after
        tell(f"The copy was cut off. Resume with: --after '{resume}'" if resume else "The copy was cut off. Repeat it.")
        raise
    if options.json:
        show_json(report)
    else:
        _show(report, whole=not options.after and report.stopped_at is None)
    return NEEDS_ACTION if report.wrong or report.missing else OK


def _storage(text: str, role: str, *, create: bool) -> Storage:
    """Return the storage that an argument stands for."""
    kind, colon, path = text.partition(":")
    if kind == "disk" and path:
        from userimages.storages.disk import DiskStorage

        return DiskStorage(path, create=create)
    if text == "r2:":
        from userimages.storages.r2 import R2Storage

        return R2Storage.from_env()
    if not (colon and path):
        raise ConfigurationError(f"{role} is {text!r}.", hint=f"Write {_FORMS}.")
    storage: Storage = load(
        text, argument=role, example="myapp.images:storage", kind="Storage", is_one=lambda found: hasattr(found, "put")
    )
    return storage


def _described(report: TransferReport) -> tuple[int, str]:
    unable = len(report.wrong) + len(report.missing)
    return report.copied + report.present + unable, f"{report.copied:,} copied, {unable:,} wrong or missing"


def _show(report: TransferReport, *, whole: bool) -> None:
    show_some("wrong", [f"{each.key} of image {each.image_id}" for each in report.wrong])
    show_some("missing", [f"{each.key} of image {each.image_id}" for each in report.missing])
    show(
        f"{report.copied:,} copied, {report.present:,} there before, {len(report.wrong):,} wrong, "
        f"{len(report.missing):,} missing."
    )
    if report.wrong:
        show("What is wrong differs from its record, in the source or in the target, and was not copied.")
    if report.wrong or report.missing:
        show("Restore it from a backup and repeat the copy, or delete its image by images.delete(id).")
    elif report.stopped_at is not None:
        show(f"Resume with: --after '{report.stopped_at}'")
    elif report.copied:
        show("Repeat it until nothing is copied.")
    elif whole:
        show("The target has every object that the records name.")
