"""GIF: the screen and its frames, without comments and extensions."""

import io
import re
import struct

from userimages.processing.header import Header, broken
from userimages.processing.limits import Limits

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL, _APPLICATION = 0xF9, 0xFF
_MAX_SHORT_BLOCKS = 250_000
# Encoders write full blocks of 255 bytes; a run of them is skipped in one step.
_FULL_BLOCKS = re.compile(rb"(?:\xff.{255})+", re.DOTALL)


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the blocks of a GIF; a screen smaller than its frames is widened to hold them."""
    if len(data) < 13:
        raise broken("it is cut off")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    limits.allow_size(width, height)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept, palette = list[bytes](), data[10:position]
    control, frames, metadata, loop, short = b"", 0, 0, 1, 0
    while position < len(data):
        introducer = data[position]
        if introducer == _EXTENSION:
            label, start = data[position + 1 : position + 2], position + 2
            position, blocks, short = _blocks(data, start, short)
            if label == bytes((_CONTROL,)) and len(blocks) == 4:
                control = b"!\xf9\x04" + blocks + b"\0"
                continue
            metadata += position - start
            limits.allow_metadata(metadata)
            if label == bytes((_APPLICATION,)) and blocks.startswith(b"NETSCAPE2.0\x01") and len(blocks) >= 14:
                repeats = int.from_bytes(blocks[12:14], "little")
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
            start = position
            position += (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1
            table = data[start:position]
            position, blocks, short = _blocks(data, position, short)
            kept += (control, descriptor, table, _in_full_blocks(blocks))
            control = b""
        else:
            break
    if not frames or not width or not height:
        raise broken("it has no picture")
    content = b"".join((b"GIF89a", struct.pack("<HH", width, height), palette, *kept, b";"))
    return Header(
        format="GIF",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(content),
        frames=frames,
        loop=loop,
    )


def _blocks(data: bytes, position: int, short: int) -> tuple[int, bytes, int]:
    """Return where a chain of data blocks ends, what is in it, and *short* plus the number of its blocks."""
    parts = list[bytes]()
    try:
        while size := data[position]:
            if size == 255 and (full := _FULL_BLOCKS.match(data, position)):
                run = full[0]
                parts += (run[at + 1 : at + 256] for at in range(0, len(run), 256))
                position = full.end()
                continue
            parts.append(data[position + 1 : position + 1 + size])
            position += 1 + size
            short += 1
            if short > _MAX_SHORT_BLOCKS:
                raise broken("it is cut into too many small blocks")
    except IndexError:
        raise broken("it is cut off") from None
    return position + 1, b"".join(parts), short


def _in_full_blocks(content: bytes) -> bytes:
    blocks = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join(part for block in blocks for part in (bytes((len(block),)), block)) + b"\0"
