"""JPEG: the segments before the first scan, and how many scans there are."""

import io
import re
import struct
from collections.abc import Callable
from typing import BinaryIO, cast

from userimages.errors import LimitExceededError
from userimages.processing.header import Header, Spliced, broken, orientation_of
from userimages.processing.jpeg_end import END, end_of_scans
from userimages.processing.limits import Limits

# The next marker, over padding, junk and the zero bytes that stand for a plain 0xFF within a scan. It must begin with
# one 0xFF only: `\xff+` would try each run of them from every place in it, 21 s for 64 KiB.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
# The same within the scans, where restart markers may be many and cost their decoder nothing.
_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_METADATA = frozenset((*range(0xE0, 0xF0), 0xFE))
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_MOST_TABLES = 1 << 20  # bytes: real ones have some hundreds
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
# What tells the decoder how colors are kept (JFIF, Adobe), as short as it may be: Pillow's parser fails over less, and
# libjpeg passes over less.
_COLORS: dict[int, Callable[[bytes], bytes]] = {
    0xE0: lambda body: b"JFIF\0\1\1\0\0\1\0\1\0\0" if body.startswith(b"JFIF\0") and len(body) >= 14 else b"",
    0xEE: lambda body: body[:12] if body.startswith(b"Adobe") and len(body) >= 12 else b"",
}


def examine(data: bytes, limits: Limits) -> Header:
    """Walk the segments of a JPEG up to its first scan, and count the scans where there may be many."""
    kept, profile = [b"\xff\xd8"], dict[int, bytes]()
    exif, metadata, pieces, parts, tables = b"", 0, 0, 0, 0
    frame: tuple[int, bytes] | None = None
    position = 2
    while True:
        marker, position, segment, parts = _segment(data, position, limits, parts)
        if marker == _SCAN:
            break
        if marker in _METADATA:
            # Of all metadata only these two are read, up to their limit. The rest is passed over and costs nothing.
            if segment.startswith((_EXIF, _PROFILE)):
                metadata += len(segment)
                fits = metadata <= limits.max_metadata_bytes
                if marker == 0xE1 and fits:
                    exif = exif or segment
                elif marker == 0xE2 and fits and len(segment) > 14:
                    profile[segment[12]], pieces = segment[14:], segment[13]
            segment = _COLORS[marker](segment) if marker in _COLORS else b""
            if not segment:
                continue
        elif marker in _FRAMES:
            if len(segment) < 9 or len(segment) != 6 + 3 * segment[5]:
                raise broken("its size is not stated")
            frame = marker, segment
            height, width = struct.unpack_from(">HH", segment, 1)
            limits.allow_size(width, height, jpeg=True)
        tables += len(segment)
        if tables > _MOST_TABLES:
            raise broken("its tables are stated again and again")
        kept.append(struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment)
    if frame is None or not width or not height:
        raise broken("its size is not stated before its pixels")
    many = frame[0] in _PROGRESSIVE or segment[:1] != frame[1][5:6]
    end = None if data.endswith(END) else end_of_scans(data, position, limits)
    if many:  # one that lacks its end is decoded twice
        _count_scans(data, position, limits, width if end is None else 2 * width, height)
    head, start = b"".join(kept), position - len(segment) - 4
    return Header(
        format="JPEG",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: cast("BinaryIO", Spliced(head, data, start)),
        unended=None if end is None else lambda filling: io.BytesIO(b"".join((head, data[start:end], filling))),
        orientation=orientation_of(exif),
        icc=b"".join(profile[number] for number in sorted(profile)) if len(profile) == pieces else b"",
        mode={1: "L", 4: "CMYK"}.get(frame[1][5], "RGB"),
        decoder_bytes=_coefficients(frame[1]) if many else 0,
        copied_bytes=0 if end is None else len(data),
    )


def _coefficients(frame: bytes) -> int:
    """Return the bytes that a decoder needs to keep all coefficients, as it must where there are many scans."""
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    factors = [(each >> 4 or 1, each & 15 or 1) for each in frame[7 : 6 + 3 * frame[5] : 3]]
    across, down = max(each[0] for each in factors), max(each[1] for each in factors)
    blocks = sum(-(-width // (8 * across)) * -(-height // (8 * down)) * wide * high for wide, high in factors)
    return 2 * 64 * blocks


def _segment(data: bytes, position: int, limits: Limits, parts: int) -> tuple[int, int, bytes, int]:
    """Return the next segment that has a length: its marker, where it ends, what is in it, and its number.

    *parts* is the number of the one before; markers without a length count too.
    """
    while True:
        parts += 1
        limits.allow_parts(parts)
        found = _MARKER.search(data, position, position + limits.max_junk_bytes + 2)
        if found is None:
            limits.allow_junk(len(data) - position)
            raise broken("it ends before its pixels")
        marker, position = found[1][0], found.end()
        if marker in _BARE:
            continue
        if marker in (_START, _END) or position + 2 > len(data):
            raise broken("it ends before its pixels")
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _METADATA:
            length = max(2, length)  # as libjpeg takes one that is too short to be true
        if length < 2 or position + length > len(data):
            raise broken("a segment is longer than the file")
        return marker, position + length, data[position + 2 : position + length], parts


def _count_scans(data: bytes, position: int, limits: Limits, width: int, height: int) -> None:
    """Count the scans from the first on, as the decoder will come upon them, and stop at the limit.

    The bytes of their marker are nearly never anything else, and counting those is quick: only where they are too many
    are the segments walked.
    """
    try:
        limits.allow_scans(1 + data.count(b"\xff\xda", position), width, height)
    except LimitExceededError:
        pass
    else:
        return
    scans = parts = 1
    while found := _SEGMENT.search(data, position):
        marker, position = found[1][0], found.end()
        parts += 1
        limits.allow_parts(parts)
        if marker == _END:
            return
        if marker == _START or position + 2 > len(data):
            continue
        if marker == _SCAN:
            scans += 1
            limits.allow_scans(scans, width, height)
        position += max(2, struct.unpack_from(">H", data, position)[0])
