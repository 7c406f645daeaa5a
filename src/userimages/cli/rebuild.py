"""``userimages rebuild``: make new variants of stored images, when a recipe has changed."""

import argparse
import time
from collections.abc import Callable

from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, Progress, positive, show, show_json, show_some, tell
from userimages.errors import ConfigurationError, UserImagesError
from userimages.model import RebuildReport

_PAGE = 1000


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "rebuild",
        _run,
        "make new variants of images whose recipe has changed",
        "Safe at any time, any number at once, and to repeat. It needs --app, because the recipes are the "
        "application's. Old variants stay for 24 hours.",
    )
    command.add_argument("--after", default="", metavar="KEY", help="resume after this key")
    command.add_argument("--limit", type=positive, metavar="N", help="stop after N images")
    command.add_argument("--rate", type=positive, metavar="N", help="rebuild at most N images a second")


def _run(options: argparse.Namespace) -> int:
    if options.app is None:
        raise ConfigurationError(
            "The recipes of the application are not known here.", hint="Pass --app myapp.images:images."
        )
    images = load_service(options)
    progress = Progress("images", _described)
    wait = _throttle(options.rate)
    done = RebuildReport(stopped_at=options.after)

    def note(page: RebuildReport) -> None:
        progress(_sum(done, page))
        wait(done.rebuilt + page.rebuilt)

    try:
        with progress:
            while done.stopped_at is not None and (left := _left(options.limit, done)):
                page = images.rebuild_all(after=done.stopped_at, limit=min(_PAGE, left), progress=note)
                done = _sum(done, page)
    except ConfigurationError:  # to repeat it would not help
        raise
    except (KeyboardInterrupt, UserImagesError):
        resume = progress.last.stopped_at if progress.last else options.after
        tell(f"The rebuild was cut off. Resume with: --after '{resume}'" if resume else "Nothing was done. Repeat it.")
        raise
    if options.json:
        show_json(done)
    else:
        _show(done)
    return NEEDS_ACTION if done.failed else OK


def _sum(done: RebuildReport, page: RebuildReport) -> RebuildReport:
    return RebuildReport(
        done.rebuilt + page.rebuilt, done.current + page.current, done.failed + page.failed, page.stopped_at
    )


def _left(limit: int | None, done: RebuildReport) -> int:
    return _PAGE if limit is None else limit - (done.rebuilt + done.current + len(done.failed))


def _described(report: RebuildReport) -> tuple[int, str]:
    seen = report.rebuilt + report.current + len(report.failed)
    return seen, f"{report.rebuilt:,} rebuilt, {len(report.failed):,} failed"


def _throttle(rate: int | None) -> Callable[[int], None]:
    """Return what waits until so many images may have been rebuilt since now."""
    started = time.monotonic()

    def wait(rebuilt: int) -> None:
        early = 0.0 if rate is None else started + rebuilt / rate - time.monotonic()
        if early > 0:
            time.sleep(early)

    return wait


def _show(report: RebuildReport) -> None:
    show_some("failed", [str(id) for id in report.failed])
    show(f"{report.rebuilt:,} rebuilt, {report.current:,} of the present recipe, {len(report.failed):,} failed.")
    if report.failed:
        show("What failed keeps its old variants; the log says why.")
    if report.rebuilt:
        show("Old variants stay for 24 hours. The sweep deletes them then.")
    if report.stopped_at is not None:
        show(f"Resume with: --after '{report.stopped_at}'")
