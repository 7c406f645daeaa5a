"""UUIDv7 ids, and the clock that they are made from."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from userimages.fork_safety import reset_after_fork

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utcnow() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


def microseconds(instant: datetime) -> int:
    """Return the whole microseconds since 1970 of an aware *instant*."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """Return the aware UTC instant that lies *microseconds* after 1970; OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=microseconds)


def instant_of(id: UUID) -> datetime:
    """Return the instant that ``new_id`` made *id* from, to the microsecond.

    >>> at = instant(1_777_636_800_123_457)
    >>> instant_of(new_id(at)) == at
    True
    """
    milliseconds, fraction = id.int >> 80, id.int >> 64 & 0xFFF
    return instant(milliseconds * 1000 + -(-fraction * 1000 // 4096))


class UploadClock:
    """Gives instants that never repeat and never go back, whatever the clock beneath does."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last = 0
        self.reset()
        reset_after_fork(self)

    def __call__(self) -> datetime:
        """Return the present, or one microsecond past the last answer where that is later."""
        with self._lock:
            self._last = max(microseconds(self._clock()), self._last + 1)
            return instant(self._last)

    def reset(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()


def new_id(at: datetime) -> UUID:
    """Return a UUIDv7 (RFC 9562) of the instant *at*: milliseconds, then their fraction, then 62 random bits."""
    milliseconds, fraction = divmod(microseconds(at), 1000)
    head = (milliseconds & (1 << 48) - 1) << 16 | 7 << 12 | fraction * 4096 // 1000
    tail = 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=head << 64 | tail)
