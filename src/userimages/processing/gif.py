"""GIF: the screen and its frames, without comments and extensions."""

import io
import re
import struct

from userimages.processing.header import Header, broken
from userimages.processing.limits import Limits

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL, _APPLICATION = b"\xf9", b"\xff"
# Encoders write full blocks of 255 bytes; a run of them is skipped in one step.
_FULL_BLOCKS = re.compile(rb"(?:\xff.{255})+", re.DOTALL)


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the blocks of a GIF; a screen smaller than its frames is widened to hold them."""
    if len(data) < 13:
        raise broken("it is cut off")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    limits.allow_size(width, height)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept, view = list[bytes | memoryview](), memoryview(data)  # views: what waits to be decoded holds no copies
    palette = data[10:position]
    control, frames, metadata, loop, short, parts = b"", 0, 0, 1, 0, 0
    while position < len(data):
        parts += 1
        limits.allow_parts(parts)
        introducer = data[position]
        if introducer == _EXTENSION:
            label, start = data[position + 1 : position + 2], position + 2
            position, short = _chain_end(data, start, short, limits)
            blocks = data[start:position]
            if label == _CONTROL and blocks[0] == 4 and len(blocks) == 6:
                control = b"!" + label + blocks
                continue
            metadata += len(blocks)
            limits.allow_metadata(metadata)
            if label == _APPLICATION and blocks.startswith(b"\x0bNETSCAPE2.0\x03\x01"):
                repeats = int.from_bytes(blocks[14:16], "little")
                loop = repeats + 1 if repeats else 0
        elif introducer == _IMAGE:
            descriptor = data[position : position + 10]
            position += 10
            if len(descriptor) < 10:
                raise broken("it is cut off")
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", descriptor, 1)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
            limits.allow_size(width, height)
            limits.allow_frames(frames, width, height)
            start = position + (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1
            table, before = data[position:start], short
            position, short = _chain_end(data, start, short, limits)
            chain = view[start:position]
            kept += (control, descriptor, table, chain if short - before < 9 else _in_full_blocks(chain))
            control = b""
        else:
            break
    if not frames or not width or not height:
        raise broken("it has no picture")
    head = b"GIF89a" + struct.pack("<HH", width, height) + palette
    return Header(
        format="GIF",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(b"".join((head, *kept, b";"))),
        frames=frames,
        loop=loop,
        mode="P",
        copied_bytes=len(data),
    )


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
    """Return a chain of blocks cut anew, for small ones cost the decoder much time."""
    parts, position = list[memoryview](), 0
    while size := chain[position]:
        parts.append(chain[position + 1 : position + 1 + size])
        position += 1 + size
    content = b"".join(parts)
    blocks = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join(part for block in blocks for part in (bytes((len(block),)), block)) + b"\0"
