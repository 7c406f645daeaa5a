"""What a file says of itself, as its container is walked; the four containers have a module each."""

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

import attrs

from userimages.errors import BrokenImageError
from userimages.processing.animation import Frame


@attrs.frozen(kw_only=True)
class Header:
    """The facts of a file that has passed all limits, and the bytes that its decoder may see.

    ``width`` and ``height`` are as stored, before *orientation* (1 to 8, as in EXIF) turns the picture upright.
    ``size_bytes`` is that of the file. ``open`` gives what is decoded: the file without its metadata. ``key`` is the
    gray or the color of a PNG that is transparent, in the depth of the file. ``lossy`` tells of a WebP that it keeps
    color at every fourth pixel; a JPEG tells that once it is open. ``unended`` is there for a JPEG without its end
    marker: it gives the file with other bytes in that place.

    ``frames`` is what was counted, ``durations`` how long each is shown (milliseconds), ``loop`` how often they play
    (0: for ever). Where ``parts`` holds the frames, those are decoded, and not what ``open`` gives.

    The rest tells how much memory it takes. ``mode`` is Pillow's name of what the decoder gives, with transparency
    where there may be any; ``decoder_bytes`` is what the decoder holds beside the pixels, ``copied_bytes`` what is
    copied of the file.
    """

    format: str
    width: int
    height: int
    size_bytes: int
    open: Callable[[], BinaryIO] = attrs.field(repr=False)
    orientation: int = 1
    key: tuple[int, ...] = ()
    icc: bytes = attrs.field(default=b"", repr=False)
    lossy: bool = False
    frames: int = 1
    loop: int = 0
    durations: tuple[int, ...] = ()
    unended: Callable[[bytes], BinaryIO] | None = attrs.field(default=None, repr=False)
    parts: tuple[Frame, ...] = attrs.field(default=(), repr=False)
    mode: str = "RGBA"
    decoder_bytes: int = 0
    copied_bytes: int = 0

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once the picture is turned as its orientation says."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def broken(what: str) -> BrokenImageError:
    """Return the error for a file that is not what its first bytes promise."""
    return BrokenImageError(f"The image is broken: {what}.", hint="Export or take it again.")


def orientation_of(exif: bytes) -> int:
    """Return the orientation (1 to 8) that an EXIF block states, 1 where it states none or is damaged.

    Only this one tag is looked for, in the first directory; nothing else of EXIF is ever parsed.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for position in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", tiff, position)
        if tag == 0x0112:
            if values != 1 or kind not in (3, 4):
                return 1
            (value,) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", tiff, position + 8)
            return value if 1 <= value <= 8 else 1
    return 1


class Spliced(io.RawIOBase):
    """A file of *head* followed by *data* from *start* on, without a copy of *data*."""

    def __init__(self, head: bytes, data: bytes, start: int) -> None:
        self._head, self._data, self._skip = head, data, start - len(head)
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most *size*."""
        end = len(self._data) - self._skip
        stop = end if size < 0 else min(end, self._position + size)
        head = self._head[self._position : stop]
        tail = self._data[max(self._position, len(self._head)) + self._skip : max(stop, len(self._head)) + self._skip]
        self._position = max(stop, self._position)
        return head + tail if head else tail

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to *offset*."""
        self._position = max(0, offset + (0, self._position, len(self._data) - self._skip)[whence])
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True
