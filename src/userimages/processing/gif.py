"""GIF: the screen and its frames, without comments and extensions."""

import io
import re
import struct
from typing import BinaryIO

import attrs

from userimages.processing.animation import Disposal, Frame, played, plays
from userimages.processing.header import Header, broken
from userimages.processing.limits import Limits

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL, _APPLICATION = b"\xf9", b"\xff"
_INTERLACED = 0x40
_LOOPS = (b"\x0bNETSCAPE2.0\x03\x01", b"\x0bANIMEXTS1.0\x03\x01")
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}
_MANY_SHORT = 9
_BLACK = bytes(768)  # the colors of a frame that has none, as browsers take it
# Encoders write full blocks of 255 bytes; a run of them is skipped in one step.
_FULL_BLOCKS = re.compile(rb"(?:\xff.{255})+", re.DOTALL)

_Control = tuple[int, int, int]  # flags, the delay in hundredths of a second, the transparent color
_NO_CONTROL: _Control = (0, 0, 0)


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the blocks of a GIF. Its canvas is the screen, widened by the first frame where that is larger."""
    if len(data) < 13:
        raise broken("it is cut off")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    limits.allow_size(width, height)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frames, view = list[Frame](), memoryview(data)  # views: what waits to be decoded holds no copies
    palette, control = view[13:position], _NO_CONTROL
    metadata, loop, short, drawn, parts = 0, 1, 0, 0, 0
    while position < len(data):
        parts += 1
        limits.allow_parts(parts)
        introducer = data[position]
        if introducer == _EXTENSION:
            label, start = data[position + 1 : position + 2], position + 2
            position, short = _chain_end(data, start, short, limits)
            blocks = data[start:position]
            if label == _CONTROL and blocks[0] == 4 and len(blocks) == 6:
                control = struct.unpack_from("<BHB", blocks, 1)
                continue
            metadata += len(blocks)
            limits.allow_metadata(metadata)
            if label == _APPLICATION and blocks.startswith(_LOOPS) and len(blocks) > 15:
                repeats = int.from_bytes(blocks[14:16], "little")
                loop = plays(repeats + 1) if repeats else 0
        elif introducer == _IMAGE:
            if position + 10 > len(data):
                raise broken("it is cut off")
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, position + 1)
            if not frames:
                width, height = max(width, left + wide), max(height, top + high)
            start = position + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            table, before = view[position + 10 : start] if flags & 0x80 else palette, short
            position, short = _chain_end(data, start + 1, short, limits)
            chain = view[start:position]
            limits.allow_size(max(width, wide), max(height, high))
            picture = _Picture(table, flags & _INTERLACED, chain, short - before)
            frames.append(picture.frame((left, top, wide, high), control))
            drawn += wide * high
            limits.allow_frames(len(frames), width, height)
            limits.allow_drawn(drawn)
            control = _NO_CONTROL
        else:
            break
    if not frames or not width or not height:
        raise broken("it has no picture")
    return Header(
        format="GIF",
        width=width,
        height=height,
        size_bytes=len(data),
        open=frames[0].open,
        frames=len(frames),
        durations=played([each.duration for each in frames]),
        parts=tuple(frames),
        loop=loop,
        mode="P",
        copied_bytes=len(data),
    )


@attrs.frozen
class _Picture:
    """The pixels of one frame. ``chain`` begins with the size of the codes; ``short`` of its blocks are not full."""

    table: memoryview
    interlaced: int
    chain: memoryview
    short: int

    def frame(self, place: tuple[int, int, int, int], control: _Control) -> Frame:
        """Return the frame, as a GIF of its own that it fills."""
        left, top, width, height = place
        flags, delay, key = control
        return Frame(
            open=lambda: self._alone(width, height, flags & 1, key),
            left=left,
            top=top,
            width=width,
            height=height,
            duration=10 * delay,
            disposal=_DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP),
        )

    def _alone(self, width: int, height: int, keyed: int, key: int) -> BinaryIO:
        table = self.table or _BLACK
        colors = 0x80 | (len(table) // 3).bit_length() - 2
        head = b"GIF89a" + struct.pack("<HHBBB", width, height, colors, 0, 0)
        control = b"!\xf9\4" + struct.pack("<BHBx", keyed, 0, key)
        descriptor = b"," + struct.pack("<HHHHB", 0, 0, width, height, self.interlaced)
        chain = self.chain if self.short < _MANY_SHORT else bytes(self.chain[:1]) + _in_full_blocks(self.chain[1:])
        return io.BytesIO(b"".join((head, table, control, descriptor, chain, b";")))


def _chain_end(data: bytes, position: int, short: int, limits: Limits) -> tuple[int, int]:
    """Return where a chain of data blocks ends, and *short* plus the number of its blocks that are not full."""
    try:
        while size := data[position]:
            if size == 255 and (full := _FULL_BLOCKS.match(data, position)):
                position = full.end()
                continue
            position += 1 + size
            short += 1
            if short > limits.max_short_blocks:
                limits.allow_short_blocks(short)
    except IndexError:
        raise broken("it is cut off") from None
    return position + 1, short


def _in_full_blocks(chain: memoryview) -> bytes:
    """Return a chain of blocks cut into full ones, because small ones cost the decoder much time."""
    parts, position = list[memoryview](), 0
    while size := chain[position]:
        parts.append(chain[position + 1 : position + 1 + size])
        position += 1 + size
    content = b"".join(parts)
    blocks = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join(part for block in blocks for part in (bytes((len(block),)), block)) + b"\0"
