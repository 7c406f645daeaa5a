"""``userimages check``: try the storage and the database for real."""

import argparse

from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, show, show_json
from userimages.errors import ConfigurationError
from userimages.lifecycle.tickets import check_origin
from userimages.model import Check, CheckReport
from userimages.service import ImageService


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "check", _run, "try the storage and the database for real", "About a dozen requests; nothing is left behind."
    )
    command.add_argument(
        "--new-id",
        action="store_true",
        help="first give the database another id and drop its work in hand, because it is a copy of another one "
        "that uses the same store",
    )
    command.add_argument(
        "--origin", metavar="URL", help="also print the rules that a bucket needs for direct uploads from this site"
    )


def _run(options: argparse.Namespace) -> int:
    report = _checked(options)
    if options.json:
        show_json(report, ok=report.ok)
    else:
        for line in report.checks:
            status = "FAIL" if not line.ok else "note" if line.hint else "ok"
            show(f"{status:<5} {line.name:<14} {line.detail}".rstrip())
            for more in line.hint.splitlines():
                show(f"{'':<5} {'':<14} {more}")
    return OK if report.ok else NEEDS_ACTION


def _checked(options: argparse.Namespace) -> CheckReport:
    """Check the settings first: without them there is nothing else to check."""
    try:
        images = load_service(options)
        if options.new_id:
            _renew_id(images)
    except ConfigurationError as exc:
        return CheckReport((Check("settings", ok=False, detail=exc.message, hint=exc.hint),))
    source = options.app or "the environment"
    used = f"{type(images.storage).__name__} and {type(images.repository).__name__}, from {source}."
    if options.new_id:
        used += " The database has a new id."
    more = [check_origin(images.storage, options.origin)] if options.origin else []
    return CheckReport((Check("settings", ok=True, detail=used), *images.check().checks, *more))


def _renew_id(images: ImageService) -> None:
    renew = getattr(images.repository, "new_database_id", None)
    if renew is None:
        raise ConfigurationError(
            f"{type(images.repository).__name__} has no id that can change.", hint="Leave out --new-id."
        )
    renew()
