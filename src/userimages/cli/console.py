"""What the commands share: exit statuses, lines, numbers as arguments, and how far a long command is."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

OK, NEEDS_ACTION, ERROR = 0, 1, 2
_SECONDS = 10  # between two lines of progress
_SHOWN = 100  # lines of a kind; --json has them all

AddCommand = Callable[[str, Callable[[argparse.Namespace], int], str, str], argparse.ArgumentParser]
"""Adds a command by its name, the function that runs it, a line of help, and what more there is to say."""


class Progress:
    """Show on stderr how far a long command is: pass it as ``progress=``, and leave the context at the end.

    On a terminal it is the bar of tqdm, if the extra ``cli`` is installed. Otherwise it is a line every ten seconds.

    Args:
        unit: what is counted, as a plural.
        describe: returns the count of a report, and more to say about it.
        total: the count at the end, if it is known.
    """

    last: Any = None  # the newest report

    def __init__(self, unit: str, describe: Callable[[Any], tuple[int, str]], *, total: int | None = None) -> None:
        self._describe = describe
        bar = _tqdm() if sys.stderr.isatty() else None
        self._shown = bar(unit=f" {unit}", total=total, file=sys.stderr) if bar else _Lines(unit)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()

    def __call__(self, report: Any) -> None:
        """Show what *report* says by now."""
        self.last = report
        count, more = self._describe(report)
        self._shown.set_postfix_str(more, refresh=False)
        self._shown.update(count - self._shown.n)


class _Lines:
    """Plain lines at intervals, behind the three methods of a bar that are used here."""

    def __init__(self, unit: str) -> None:
        self.n = 0
        self._unit, self._more = unit, ""
        self._due = time.monotonic() + _SECONDS

    def set_postfix_str(self, more: str, *, refresh: bool) -> None:
        self._more = more

    def update(self, count: int) -> None:
        self.n += count
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _SECONDS
            tell(f"{self.n:,} {self._unit}, {self._more}" if self._more else f"{self.n:,} {self._unit}")

    def close(self) -> None:
        """Leave the lines as they are."""


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


def share(text: str) -> float:
    """Return the number from 0 to 1 that an argument is."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def positive(text: str) -> int:
    """Return the whole number from 1 up that an argument is."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def show_json(report: Any, **more: object) -> None:
    """Print *report* as one JSON object, with *more* in it."""
    show(json.dumps({**attrs.asdict(report), **more}, default=str, indent=2))


def show_some(name: str, lines: Sequence[str]) -> None:
    """Print the first hundred *lines*, each below *name*, and how many more there are."""
    for line in lines[:_SHOWN]:
        show(f"{name:<8} {line}")
    if len(lines) > _SHOWN:
        show(f"{name:<8} ... and {len(lines) - _SHOWN:,} more (--json lists them all)")


def show(line: str) -> None:
    """Print a line of the result to stdout."""
    encoding = sys.stdout.encoding or "utf-8"  # a terminal may not know every character of a key or a message
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201 - this is a console


def tell(line: str) -> None:
    """Print a line about the command itself to stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
