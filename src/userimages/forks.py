"""What a forked child must make anew: locks that another thread of the parent may have held, and shared connections."""

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Anything with ``renew()``, compared by identity."""

    def renew(self) -> None:
        """Make anew what must not be shared with the parent."""


_things = weakref.WeakSet[Renewable]()


def renew_after_fork(thing: Renewable) -> None:
    """Call ``thing.renew()`` in every child that is forked while *thing* lives."""
    _things.add(thing)


def _renew_all() -> None:
    for thing in tuple(_things):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
