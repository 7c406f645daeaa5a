"""UUIDv7 ids, and the clock that they are made from."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from userimages.fork_safety import reset_after_fork

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(minutes=5)  # by which the clocks of two machines may differ
_MICROSECOND = timedelta(microseconds=1)


def utcnow() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


def microseconds(instant: datetime) -> int:
    """Return the whole microseconds since 1970 of an aware *instant*."""
    return (instant - EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """Return the aware UTC instant that lies *microseconds* after 1970; OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=microseconds)


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


def instant_of(id: UUID) -> datetime:
    """Return the instant that a UUIDv7 of ``new_id`` begins with: aware UTC, to the microsecond."""
    head = id.int >> 64
    return instant((head >> 16) * 1000 + ((head & 0xFFF) * 1000 + 4095) // 4096)


def new_id(at: datetime) -> UUID:
    """Return a UUIDv7 (RFC 9562) of the instant *at*: milliseconds, then their fraction, then 62 random bits."""
    milliseconds, fraction = divmod(microseconds(at), 1000)
    head = (milliseconds & (1 << 48) - 1) << 16 | 7 << 12 | fraction * 4096 // 1000
    tail = 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=head << 64 | tail)
