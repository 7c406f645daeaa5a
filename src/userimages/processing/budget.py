"""How many pixels are decoded at once, over all threads of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from userimages.errors import BusyError
from userimages.fork_safety import reset_after_fork


class Budget:
    """A semaphore of pixels: *capacity* of them at once; who waits longer than *wait_seconds* is refused.

    A picture larger than the whole budget is let in when nothing else is.
    """

    def __init__(self, capacity: int, wait_seconds: float) -> None:
        self._capacity = capacity
        self._wait_seconds = wait_seconds
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Begin anew with nothing in flight: after a fork, the threads that held a part exist no more."""
        self._free = self._capacity
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Hold *pixels* of the budget while the block runs.

        Raises:
            BusyError: they did not come free in time.
        """
        share, changed = min(pixels, self._capacity), self._changed
        with changed:
            if not changed.wait_for(lambda: self._free >= share, self._wait_seconds):
                raise BusyError(
                    f"Other images have kept this process busy for {self._wait_seconds:g} s "
                    f"(Limits(pixels_in_flight={self._capacity:,})).",
                    hint="Try again in a moment.",
                )
            self._free -= share
        try:
            yield
        finally:
            with changed:
                self._free += share
                changed.notify_all()
