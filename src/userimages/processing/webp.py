"""WebP: the canvas, which its decoder allocates on opening, the number of frames, and what their decoders need."""

import io
import struct
from collections.abc import Iterator

from userimages.processing.animation import played
from userimages.processing.header import Header, broken
from userimages.processing.limits import Limits
from userimages.processing.vp8l import Heads

_LOSSY, _LOSSLESS = 8.2, 10.2  # bytes that the decoder holds for each pixel of the canvas, beside the pixels
_GROUP_BYTES = 8400  # of the tables of one Huffman group
_PLACE = 16  # bytes of a frame before its own chunks


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the chunks of a WebP. Its orientation in EXIF is passed over, because browsers show it as it is stored."""
    width = height = frames = loop = metadata = 0
    icc, durations, heads = b"", list[int](), Heads(limits)
    lossy = lossless = alpha = False
    for parts, (kind, start, stop, frame) in enumerate(_chunks(data), 1):
        limits.allow_parts(parts)
        head = data[start : start + 10]
        if kind == b"VP8X" and len(head) == 10 and not width:
            width, height = _number(head[4:7]) + 1, _number(head[7:10]) + 1
        elif kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 6))
        elif kind == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5 and not width:
            width, height = _lossless_size(head)
        elif kind == b"ANIM" and len(head) >= 6:
            loop = int.from_bytes(head[4:6], "little")
        elif kind == b"ANMF" and frame is None:
            frames += 1
            durations.append(_number(data[start + 12 : start + 15]))
        elif kind not in (b"VP8 ", b"VP8L", b"ALPH"):
            metadata += 8 + stop - start
            limits.allow_metadata(metadata)
            icc = data[start:stop] if kind == b"ICCP" and frame is None else icc
        lossless |= kind in (b"VP8L", b"ANMF")
        alpha |= kind in (b"VP8L", b"ALPH", b"ANMF")
        lossy |= kind == b"VP8 "
        limits.allow_size(width, height)
        limits.allow_frames(max(frames, 1), width, height)
        if kind == b"VP8L" and len(head) >= 5:
            heads.read(data[start + 5 : stop], *_lossless_size(head))
        elif kind == b"ALPH" and head[:1] and head[0] & 3 == 1:  # a lossless stream of the size of its picture
            heads.read(data[start + 1 : stop], *(frame or (width, height)))
    if not width or not height:
        raise broken("it has no picture")
    return Header(
        format="WEBP",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(data),
        icc=icc,
        lossy=lossy,
        frames=max(frames, 1),
        loop=loop,
        durations=played(durations),
        mode="RGBA" if alpha else "RGB",
        decoder_bytes=int(width * height * (_LOSSLESS if lossless else _LOSSY + alpha)) + heads.most * _GROUP_BYTES,
        copied_bytes=len(data),
    )


def _chunks(
    data: bytes, position: int = 12, end: int | None = None, frame: tuple[int, int] | None = None
) -> Iterator[tuple[bytes, int, int, tuple[int, int] | None]]:
    """Yield the kind of each chunk and where its content lies; and, with its size, those within a frame."""
    end = len(data) if end is None else end
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        start, stop = position + 8, min(position + 8 + length, end)
        yield kind, start, stop, frame
        if kind == b"ANMF" and frame is None:
            size = _number(data[start + 6 : start + 9]) + 1, _number(data[start + 9 : start + 12]) + 1
            yield from _chunks(data, start + _PLACE, stop, size)
        position = start + length + length % 2


def _lossless_size(head: bytes) -> tuple[int, int]:
    bits = _number(head[1:5])
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
