"""Reset objects in a forked child.

A child must replace locks, because another thread of the parent may have held them at the fork, and connections,
because two processes must not share one.
"""

import os
import weakref
from typing import Protocol


class Resettable(Protocol):
    """An object with ``reset()``. Objects are compared by identity."""

    def reset(self) -> None:
        """Replace what the child must not share with the parent."""


_registered = weakref.WeakSet[Resettable]()


def reset_after_fork(thing: Resettable) -> None:
    """Call ``thing.reset()`` in every child that is forked while *thing* lives."""
    _registered.add(thing)


def _reset_all() -> None:
    for thing in tuple(_registered):
        thing.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
