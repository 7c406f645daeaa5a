"""Frames of GIF and APNG, drawn on a canvas as browsers draw them.

Pillow's own frames differ from those of every browser: it fills what no frame covers with a color, grows the canvas
with each frame, and pastes where APNG blends. So each frame is decoded as a picture of its own and drawn here.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import BinaryIO

import attrs
from PIL import Image

_SHORTEST, _AS_SHORTEST = 10, 100  # ms: every browser plays what asks for at most 10 ms in 100
_LONGEST = 0xFFFFFF  # ms: WebP keeps 24 bits
_MOST_PLAYS = 0xFFFF  # WebP keeps 16 bits
_STRIP = 256  # rows


class Disposal(Enum):
    """What becomes of the place of a frame before the next one is drawn."""

    KEEP = "keep"
    CLEAR = "clear"
    RESTORE = "restore"


@attrs.frozen(kw_only=True)
class Frame:
    """One frame as its file holds it: a picture of its own, its place on the canvas, and how it is drawn there.

    ``duration`` is in milliseconds. ``over`` lays it over what is there; else it takes the place of what is there.
    """

    open: Callable[[], BinaryIO] = attrs.field(repr=False)
    left: int
    top: int
    width: int
    height: int
    duration: int = 0
    disposal: Disposal = Disposal.KEEP
    over: bool = True


def compose(
    frames: Sequence[Frame], size: tuple[int, int], decode: Callable[[Frame], Image.Image]
) -> Iterator[Image.Image]:
    """Yield the canvas as it is shown with each frame; what no frame covers is transparent.

    A still that covers its canvas is yielded as it was decoded, all others as RGBA.
    """
    first = frames[0]
    if len(frames) == 1 and (first.left, first.top, first.width, first.height) == (0, 0, *size):
        yield decode(first)
        return
    canvas = Image.new("RGBA", size)
    for number, frame in enumerate(frames):
        box = _clipped(frame, size)
        before = None
        if box is not None:
            if frame.disposal is Disposal.RESTORE:
                before = canvas.crop(box)
            _draw(canvas, decode(frame), frame, box)
        yield canvas.copy() if number < len(frames) - 1 else canvas
        if before is not None:
            canvas.paste(before, box)
        elif box is not None and frame.disposal is not Disposal.KEEP:
            canvas.paste((0, 0, 0, 0), box)


def _draw(canvas: Image.Image, tile: Image.Image, frame: Frame, box: tuple[int, int, int, int]) -> None:
    if frame.over and tile.mode in ("LA", "RGBA"):
        for top in range(box[1], box[3], _STRIP):  # Pillow copies all that it lays over each other, three times
            strip = (box[0], top, box[2], min(top + _STRIP, box[3]))
            canvas.alpha_composite(tile.crop(_moved(strip, frame)).convert("RGBA"), strip[:2])
    else:
        canvas.paste(tile, (frame.left, frame.top))


def _clipped(frame: Frame, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the part of the canvas that a frame covers, None where it lies outside."""
    right, bottom = min(size[0], frame.left + frame.width), min(size[1], frame.top + frame.height)
    return (frame.left, frame.top, right, bottom) if frame.left < right and frame.top < bottom else None


def _moved(box: tuple[int, int, int, int], frame: Frame) -> tuple[int, int, int, int]:
    """Return a part of the canvas in pixels of the frame."""
    return box[0] - frame.left, box[1] - frame.top, box[2] - frame.left, box[3] - frame.top


def played(durations: Sequence[int]) -> tuple[int, ...]:
    """Return how long browsers show each frame, in milliseconds that WebP can hold."""
    longest = min(_LONGEST, 0x7FFFFFFF // max(1, len(durations)))  # libwebp counts the sum in 31 bits
    return tuple(_AS_SHORTEST if each <= _SHORTEST else min(each, longest) for each in durations)


def plays(count: int) -> int:
    """Return how often an animation plays, as WebP can hold it: 0, which is for ever, where it cannot."""
    return count if count <= _MOST_PLAYS else 0


class Movie(Image.Image):
    """Frames that come one at a time, as the picture of many frames that Pillow's encoders seek through.

    Only one of them is in memory. Encoders go through them once and in order, and begin and end with a seek to 0.
    ``is_transparent`` tells whether one of those so far was.
    """

    def __init__(self, frames: Iterator[Image.Image], count: int) -> None:
        super().__init__()
        self.n_frames = count
        self.is_animated = count > 1
        self.is_transparent = False
        self._frames = frames
        self._number = -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Show the next frame.

        Raises:
            EOFError: there are no more.
        """
        if frame >= self.n_frames:
            raise EOFError
        if frame > self._number:
            image = next(self._frames)
            self.im, self._mode, self._size = image.im, image.mode, image.size
            self.is_transparent |= image.mode == "RGBA"
            self._number = frame

    def tell(self) -> int:
        """Return 0, to which encoders go back at the end: there is no way back."""
        return 0
