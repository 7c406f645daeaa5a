"""How many pictures are at work at once, and how much memory they use, over all threads of a process."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from userimages.errors import BusyError
from userimages.fork_safety import reset_after_fork


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


class Budget:
    """A semaphore of bytes and cores, first come first served; who waits longer than *wait_seconds* is refused.

    A large picture waits until enough is free, and who comes after it waits behind it. Were smaller ones let past, a
    steady stream of them would keep it out.

    There are as many places as cores, because more pictures at once end no sooner: they would only take turns, hold
    more memory, and compete for Python's lock with the threads and the event loop that answer requests. There are at
    least two, so that one slow animation does not hold everybody up.
    """

    def __init__(self, capacity: int, wait_seconds: float) -> None:
        self._capacity = capacity
        self._wait_seconds = wait_seconds
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Start with nothing in flight: after a fork, the threads that held a part do not exist."""
        self._free = self._capacity
        self._places = max(2, _cores())
        self._queue = deque[object]()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold *size* bytes of the budget, which has as many, and a place while the block runs.

        Raises:
            BusyError: they did not come free in time.
        """
        changed, queue, turn = self._changed, self._queue, object()
        with changed:
            queue.append(turn)
            try:
                if not changed.wait_for(
                    lambda: queue[0] is turn and self._places and self._free >= size, self._wait_seconds
                ):
                    raise BusyError(
                        f"Other images have kept this process busy for {self._wait_seconds:g} s "
                        f"(Limits(memory_in_flight={self._capacity:,}), and as many at once as there are cores).",
                        hint="Try again in a moment.",
                    )
                self._free -= size
                self._places -= 1
            finally:
                queue.remove(turn)
                changed.notify_all()  # the next in the queue may fit beside this one, or in place of it
        try:
            yield
        finally:
            with changed:
                self._free += size
                self._places += 1
                changed.notify_all()
