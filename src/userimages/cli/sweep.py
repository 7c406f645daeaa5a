"""``userimages sweep``: finish what was cut off."""

import argparse

from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, show, show_json


def add_to(add: AddCommand) -> None:
    """Add the command."""
    add(
        "sweep",
        _run,
        "finish uploads and deletions that were cut off",
        "Safe at any time and any number at once: run it every minute.",
    )


def _run(options: argparse.Namespace) -> int:
    report = load_service(options).sweep()
    if options.json:
        show_json(report)
    else:
        show(f"{report.finished} finished, {report.claimed} due again in an hour, {report.failed} failed.")
        if report.failed:
            show("What failed stays in hand: the next sweep tries it again. `userimages check` may say why it failed.")
        if report.overdue:
            show(f"{report.overdue} of them are overdue by more than a day, the oldest since {report.oldest:%Y-%m-%d}.")
    return NEEDS_ACTION if report.failed else OK
