"""``userimages check``: try the storage and the database for real."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import attrs

from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, show, show_json
from userimages.errors import ConfigurationError
from userimages.lifecycle.check import check
from userimages.lifecycle.tickets import check_origin
from userimages.model import Check, CheckReport
from userimages.protocols import ImageRepository, Processor, Storage

Made = TypeVar("Made")


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
    """Check the settings first. If they give only one of storage and database, that one is tried all the same."""
    parts, wrong = _parts(options)
    storage, repository, processor = parts
    more = []
    try:
        if options.new_id and repository is not None:
            _renew_id(repository)
        if options.origin and storage is not None:
            more.append(check_origin(storage, options.origin))
    except ConfigurationError as exc:
        wrong.append(exc)
    settings = [Check("settings", ok=False, detail=exc.message, hint=exc.hint) for exc in wrong]
    if not wrong:
        used = f"{type(storage).__name__} and {type(repository).__name__}, from {options.app or 'the environment'}."
        settings = [Check("settings", ok=True, detail=used + " The database has a new id." * options.new_id)]
    report = check(storage, repository, processor, now=datetime.now(UTC))
    return attrs.evolve(report, checks=(*settings, *report.checks, *more))


def _parts(
    options: argparse.Namespace,
) -> tuple[tuple[Storage | None, ImageRepository | None, Processor | None], list[ConfigurationError]]:
    """Return what the settings give, and what is wrong with them."""
    try:
        images = load_service(options)
    except ConfigurationError as exc:
        if options.app:
            return (None, None, None), [exc]
        wrong = {exc.message: exc}
    else:
        return (images.storage, images.repository, images.processor), []
    from userimages.config import repository_from_env, storage_from_env

    def tried(make: Callable[..., Made]) -> Made | None:
        try:
            return make(create=False)
        except ConfigurationError as exc:
            wrong[exc.message] = exc
            return None

    return (tried(storage_from_env), tried(repository_from_env), None), list(wrong.values())


def _renew_id(repository: ImageRepository) -> None:
    renew = getattr(repository, "new_database_id", None)
    if renew is None:
        raise ConfigurationError(f"{type(repository).__name__} has no id that can change.", hint="Leave out --new-id.")
    renew()
