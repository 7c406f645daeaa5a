"""What is logged: events with ids and durations, and no personal data."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from userimages.errors import UserImagesError
from userimages.model import Intent

KEYS = ("event", "image_id", "duration_ms", "error")


def _complete(record: logging.LogRecord) -> bool:
    """Give *record* every key of ``KEYS``, because a formatter with ``%(error)s`` fails on a record without it."""
    for key in KEYS:
        record.__dict__.setdefault(key, None)
    return True


def logger(name: str) -> logging.Logger:
    """Return the logger *name*, whose records all have the ``KEYS``: None stands for what does not apply."""
    named = logging.getLogger(name)
    named.addFilter(_complete)
    return named


log = logger("userimages")


def log_left_over(intent: Intent, exc: Exception) -> None:
    """Log that *exc* stopped the work of *intent*, which the sweep will finish."""
    log.warning("left to the sweep: %s", reason(exc), extra={"event": "left_to_sweep", "intent_id": str(intent.id)})


@contextmanager
def log_event(event: str, **facts: object) -> Iterator[dict[str, object]]:
    """Log the start, the end or the failure of *event* with its duration; *facts* may be added on the way."""
    started = time.perf_counter()
    facts["event"] = event
    log.debug("%s started", event, extra=dict(facts))
    try:
        yield facts
    except Exception as exc:
        facts |= {"error": getattr(exc, "code", type(exc).__name__), "duration_ms": _milliseconds(started)}
        level = (
            logging.INFO if isinstance(exc, ValueError | LookupError) else logging.WARNING
        )  # the caller's fault, or not
        log.log(level, "%s failed: %s", event, reason(exc), extra=facts)
        raise
    facts["duration_ms"] = _milliseconds(started)
    log.info("%s done", event, extra=facts)


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def reason(exc: BaseException) -> str:
    """Return what a log may say of *exc*: its message if it is an error of this library, else the name of its class."""
    return str(exc) if isinstance(exc, UserImagesError) else type(exc).__name__
