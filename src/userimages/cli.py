"""The console: ``check``, ``sweep`` and ``audit`` on a service of the application or the environment; ``adapter``."""

import argparse
import functools
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

from userimages.adapters import FRAMEWORKS, NEXT, write_adapter
from userimages.errors import ConfigurationError, UserImagesError
from userimages.lifecycle.tickets import check_origin
from userimages.model import AuditReport, Check, CheckReport
from userimages.service import ImageService

_OK, _NEEDS_ACTION, _ERROR = 0, 1, 2
_CLEAR = "\r\033[K"  # the line of the terminal
_SHOWN = 100  # keys of an audit; --json has them all

_DESCRIPTION = """\
Look after the images that users have uploaded. With --app the service is one of the application. Without it, settings
come from the environment: R2_ACCOUNT_ID, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET_NAME for Cloudflare R2
(else USERIMAGES_DATA_DIR, a folder), and USERIMAGES_DATABASE_URL (else SQLite in that folder)."""
_EXIT = "exit status: 0 all is well, 1 there is something to do, 2 it could not be run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* (None: those of this process) name, and return the exit status."""
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except BrokenPipeError:  # whoever read this, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python does not fail at its end
        return _ERROR
    except OSError as exc:
        _tell(f"userimages: the output cannot be written: {exc.strerror}.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _ERROR
    except UserImagesError as exc:
        _tell(f"userimages: {exc}")
        return _ERROR
    except KeyboardInterrupt:
        _tell("userimages: interrupted; every command can be repeated at any time.")
        return _ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="userimages",
        description=_DESCRIPTION,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"userimages {version('userimages')}")
    app = "an ImageService of the application, or a function that returns one"
    parser.add_argument("--app", metavar="MODULE:NAME", help=app)
    commands = parser.add_subparsers(title="commands", required=True, metavar="check | sweep | audit | adapter")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str, more: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}. {more}", epilog=_EXIT)
        added.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
        # Also behind the command, where it must not undo what stands before it.
        added.add_argument("--app", metavar="MODULE:NAME", help=app, default=argparse.SUPPRESS)
        added.set_defaults(command=command)
        return added

    check = add(
        "check", _check, "try the storage and the database for real", "About a dozen requests; nothing is left behind."
    )
    check.add_argument(
        "--new-id",
        action="store_true",
        help="first give the database another id and drop its work in hand, because it is a copy of another one "
        "that uses the same store",
    )
    check.add_argument(
        "--origin", metavar="URL", help="also print the rules that a bucket needs for direct uploads from this site"
    )
    add(
        "sweep",
        _sweep,
        "finish uploads and deletions that were cut off",
        "Safe at any time and any number at once: run it every minute.",
    )
    audit = add(
        "audit",
        _audit,
        "compare the store with the records",
        "It only reports, unless --delete is given; a record without an object is never removed.",
    )
    audit.add_argument("--delete", action="store_true", help="delete objects older than 24 hours that no record names")
    audit.add_argument(
        "--max-share",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="delete nothing if more than this share of the objects of this database would go (default: 0.01)",
    )
    audit.add_argument("--after", default="", metavar="KEY", help="resume after this key")
    audit.add_argument("--limit", type=_positive, metavar="N", help="stop after about N objects")
    adapter = add(
        "adapter",
        _adapter,
        "write the files of an adapter into an application",
        "They are the application's own from then on. A file that is there is never overwritten.",
    )
    adapter.add_argument("framework", choices=FRAMEWORKS)
    adapter.add_argument("folder", type=Path, metavar="FOLDER", help="where the application's modules are")
    return parser


def _check(options: argparse.Namespace) -> int:
    report = _run_check(options)
    if options.json:
        _print_json(report, ok=report.ok)
    else:
        for line in report.checks:
            status = "FAIL" if not line.ok else "note" if line.hint else "ok"
            _print(f"{status:<5} {line.name:<14} {line.detail}".rstrip())
            for more in line.hint.splitlines():
                _print(f"{'':<5} {'':<14} {more}")
    return _OK if report.ok else _NEEDS_ACTION


def _run_check(options: argparse.Namespace) -> CheckReport:
    """Check the settings first: without them there is nothing else to check."""
    try:
        images = _service(options)
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


def _sweep(options: argparse.Namespace) -> int:
    report = _service(options).sweep()
    if options.json:
        _print_json(report)
    else:
        _print(f"{report.finished} finished, {report.claimed} due again in an hour, {report.failed} failed.")
        if report.failed:
            _print(
                "What failed stays in hand: the next sweep tries it again. `userimages check` may say why it failed."
            )
        if report.overdue:
            _print(
                f"{report.overdue} of them are overdue by more than a day, the oldest since {report.oldest:%Y-%m-%d}."
            )
    return _NEEDS_ACTION if report.failed else _OK


def _audit(options: argparse.Namespace) -> int:
    images, on_terminal, resume = _service(options), sys.stderr.isatty(), options.after

    def show(seen: AuditReport) -> None:
        nonlocal resume
        resume = seen.stopped_at
        if on_terminal:
            _tell(f"{_CLEAR}{seen.objects:,} objects, {len(seen.orphans):,} orphans ...", end="")

    try:
        report = images.audit(
            delete=options.delete,
            after=options.after,
            limit=options.limit,
            max_share=options.max_share,
            progress=show,
        )
    except ConfigurationError:  # to repeat it would not help
        raise
    except (KeyboardInterrupt, UserImagesError):
        again = "Repeat it."
        if options.delete:
            again = "Repeat it, in parts with --limit."
        elif resume:
            again = f"Resume with: --after '{resume}'"
        _tell(f"{_CLEAR * on_terminal}The audit was cut off. {again}")
        raise
    _tell(_CLEAR * on_terminal, end="")
    if options.json:
        _print_json(report)
    else:
        _print_audit(report, delete=options.delete)
    return _NEEDS_ACTION if report.missing or len(report.orphans) > report.deleted else _OK


def _print_audit(report: AuditReport, *, delete: bool) -> None:
    orphans = [each.key for each in report.orphans]
    missing = [f"{each.key} of image {each.image_id}" for each in report.missing]
    for name, lines in (("orphan", orphans), ("missing", missing)):
        for line in lines[:_SHOWN]:
            _print(f"{name:<8} {line}")
        if len(lines) > _SHOWN:
            _print(f"{name:<8} ... and {len(lines) - _SHOWN:,} more (--json lists them all)")
    _print(
        f"{report.objects:,} objects and {report.images:,} images seen: {len(report.orphans):,} orphans, "
        f"{len(report.missing):,} missing, {report.deleted:,} deleted."
    )
    if report.foreign or report.unknown:
        _print(f"Left alone: {report.foreign:,} objects of other databases and {report.unknown:,} of unknown names.")
    _print_advice(report, delete=delete)


def _print_advice(report: AuditReport, *, delete: bool) -> None:
    if report.note:
        _print(report.note)
    if report.orphans and not delete:
        _print("This was a dry run: repeat it with --delete to delete the orphans.")
    if report.missing:
        _print(
            "A missing object cannot be brought back from here: restore it from a backup, "
            "or delete its image by images.delete(id)."
        )
    if report.stopped_at is not None:
        _print(f"Resume with: --after '{report.stopped_at}'")


def _adapter(options: argparse.Namespace) -> int:
    files = write_adapter(options.framework, options.folder)
    if options.json:
        _print(json.dumps({"files": [str(file) for file in files]}, indent=2))
    else:
        for file in files:
            _print(f"wrote {file}")
        _print(f"Next: {NEXT[options.framework]}.")
    return _OK


def _service(options: argparse.Namespace) -> ImageService:
    if options.app is None:
        from userimages.config import service_from_env

        return service_from_env(create=False)
    module, _, name = options.app.partition(":")
    sys.path.insert(0, os.getcwd())  # as for `python -m`: the application is often not installed
    try:
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError, TypeError) as exc:
        raise ConfigurationError(
            f"--app {options.app} cannot be loaded: {exc}.",
            hint="Write module and name, as myapp.images:images, and run it where the module can be imported.",
        ) from exc
    service = found
    if callable(found) and not isinstance(found, ImageService):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as exc:
            raise ConfigurationError(
                f"--app {options.app} cannot be called without arguments.",
                hint="Name a function that returns the service.",
            ) from exc
        service = found()
    if not isinstance(service, ImageService):
        raise ConfigurationError(
            f"--app {options.app} is of type {type(service).__name__}.",
            hint="Name an ImageService, or a function without arguments that returns one.",
        )
    return service


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _print_json(report: Any, **more: object) -> None:
    _print(json.dumps({**attrs.asdict(report), **more}, default=str, indent=2))


def _print(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # a terminal may not know every character of a key or a message
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201 - this is a console


def _tell(line: str, end: str = "\n") -> None:
    print(line, end=end, file=sys.stderr, flush=True)  # noqa: T201
