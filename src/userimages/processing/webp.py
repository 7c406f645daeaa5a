"""WebP: the canvas, which its decoder allocates on opening, and the number of frames."""

import io
import struct

from userimages.processing.header import Header, broken, orientation_of
from userimages.processing.limits import Limits


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the chunks of a WebP."""
    width = height = frames = loop = metadata = 0
    icc = exif = b""
    lossy = False
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        head = data[start : start + 10]
        if kind == b"VP8X" and len(head) == 10 and not width:
            width, height = _number(head[4:7]) + 1, _number(head[7:10]) + 1
        elif kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 6))
        elif kind == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5 and not width:
            bits = int.from_bytes(head[1:5], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"ANIM" and len(head) >= 6:
            loop = int.from_bytes(head[4:6], "little")
        elif kind == b"ANMF":
            frames += 1
        elif kind not in (b"VP8 ", b"VP8L", b"ALPH"):
            metadata += 8 + min(length, len(data) - start)
            limits.allow_metadata(metadata)
            icc = data[start : start + length] if kind == b"ICCP" else icc
            exif = data[start : start + length] if kind == b"EXIF" else exif
        lossy |= kind == b"VP8 "
        limits.allow_size(width, height)
        limits.allow_frames(max(frames, 1), width, height)
        position = start + length + length % 2
    if not width or not height:
        raise broken("it has no picture")
    return Header(
        format="WEBP",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(data),
        orientation=orientation_of(exif),
        icc=icc,
        lossy=lossy,
        frames=max(frames, 1),
        loop=loop,
    )


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
