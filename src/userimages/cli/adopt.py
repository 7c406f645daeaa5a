"""``userimages adopt``: upload the pictures that a CSV file names, each once."""

import argparse
import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from userimages.adopting import COLUMNS, REFUSAL, AdoptReport, Refusal, adopt, read_csv
from userimages.cli.application import load_service
from userimages.cli.console import NEEDS_ACTION, OK, AddCommand, Progress, show, show_json, tell
from userimages.errors import ConfigurationError, UserImagesError


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "adopt",
        _run,
        "upload the pictures that a CSV file names, each once",
        f"Its columns are {', '.join(COLUMNS)}; the last three may be left out. Paths are relative to the file. "
        "Repeat it at any time: what was adopted is not adopted again.",
    )
    command.add_argument("file", type=Path, metavar="FILE.csv")
    command.add_argument(
        "--refused", type=Path, metavar="OUT.csv", help="write the refused rows there, with code and message"
    )


def _run(options: argparse.Namespace) -> int:
    images = load_service(options)
    progress = Progress("files", _described)
    try:
        with progress, _refusals(options.file, options.refused) as refused:
            report = adopt(images, read_csv(options.file), refused=refused, progress=progress)
    except ConfigurationError:  # to repeat it would not help
        raise
    except (KeyboardInterrupt, UserImagesError):
        tell("It was cut off. Repeat it: what was adopted is not adopted again.")
        raise
    if options.json:
        show_json(report)
    else:
        show(f"{report.adopted:,} adopted, {report.present:,} had been before, {report.refused:,} refused.")
        if report.refused:
            where = f"{options.refused} says why" if options.refused else "Repeat it with --refused OUT.csv to see why"
            show(f"{where}. A conflict may be a row that another run has in hand: repeat it after ten minutes.")
    return NEEDS_ACTION if report.refused else OK


def _described(seen: AdoptReport) -> tuple[int, str]:
    return seen.adopted + seen.present + seen.refused, f"{seen.adopted:,} adopted, {seen.refused:,} refused"


@contextmanager
def _refusals(source: Path, target: Path | None) -> Iterator[Callable[[Refusal], None] | None]:
    """Give what writes refusals to *target*, each at once, or None if there is no target."""
    if target is None:
        yield None
        return
    try:
        if target.exists() and target.samefile(source):
            raise ConfigurationError(
                "--refused names the file that is read.", hint="Name another one; it is written over."
            )
        lines = target.open("w", encoding="utf-8", newline="", buffering=1)
    except OSError as exc:
        raise ConfigurationError(f"{target} cannot be written: {os.strerror(exc.errno or 0)}.") from exc
    with lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS + REFUSAL)

        def write(refusal: Refusal) -> None:
            row = refusal.original.row
            cells = [row.get(name) for name in COLUMNS]
            writer.writerow([*cells, refusal.code, refusal.message, *row.get("", ())])  # too many cells stay too many

        yield write
