"""What a proof of kills is made of: what was there, what the child does, and what must hold after it has died."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import rig

from userimages import ImageService, UserImage

Ack = Callable[[str], None]


@attrs.frozen
class Scene:
    """What there is before the child starts: a user's images, the first of them primary, and what was prepared."""

    user: str
    clock: rig.Clock
    there: Sequence[UserImage]
    prepared: Any = None


@attrs.frozen
class Operation:
    """What is set up, what the child does, and what must hold after it has died or ended."""

    work: Callable[[Scene, ImageService, Ack], None]
    judge: Callable[[Scene, dict[str, UserImage], Sequence[str], ImageService], None]
    there: Sequence[str] = ()
    prepare: Callable[[Scene, ImageService, rig.Clock], Any] = lambda *_: None
