"""JPEGs without their end marker: where their scans end, and whether a pixel is missing.

Cameras and panoramas leave the marker out, or put a film behind the picture. Browsers show every pixel of those.
"""

import re
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image, ImageChops

from userimages.processing.limits import Limits

END = b"\xff\xd9"
# What a decoder may come to need behind the end: it reads these bytes where pixels are missing, and no others.
FILLINGS = (bytes(4096) + END, b"\x55" * 4096 + END)
# Markers in a scan: 2 stands for all that begin a segment. What restarts a scan has no length, and is part of it. One
# search for two bytes takes a tenth of the time of a regular expression where the bytes are all 0xFF.
_IN_SCAN, _FILL, _SEGMENT = {0, 1, *range(0xD0, 0xD8)}, 0xFF, 2
_CLASSES = bytes(0 if byte in _IN_SCAN else _FILL if byte == _FILL else _SEGMENT for byte in range(256))
_BEGINS_SEGMENT = bytes([_FILL, _SEGMENT])
# What phones put behind a picture: a film, or named blocks of their own. Its bytes are not taken for pixels.
_TRAILER = re.compile(rb"\0\0..(?:ftyp|(?:.\0\0\0)?[A-Z][A-Za-z]{2,}_[A-Z])", re.DOTALL)
# What each of them has. Each begins with one byte that is quick to find: in 10 MiB of zeros the search for a whole one
# takes half a second, and the search for either of two a tenth.
_HINTS = re.compile(rb"ftyp"), re.compile(rb"_[A-Z]")
_LONGEST_NAME, _MOST_HINTS = 64, 20_000  # a film has some thousands by chance
_TABLES, _SCAN, _LINES, _RESTART, _END = 0xC4, 0xDA, 0xDC, 0xDD, 0xD9
_QUANTA, _COMMENT, _APPLICATIONS = 0xDB, 0xFE, range(0xE0, 0xF0)


def end_of_scans(data: bytes, position: int, limits: Limits) -> int | None:
    """Return where the scans end that begin before *position*; None where their end marker is there.

    They end at the first marker that begins no segment of a picture: what follows is a film, or another picture.
    """
    parts, end = 0, _trailer(data, position, limits)
    classes = data.translate(_CLASSES)
    while (at := classes.find(_BEGINS_SEGMENT, position, end)) >= 0:
        marker, position = data[at + 1], at + 2
        if marker == _END:
            return None
        length = int.from_bytes(data[position : position + 2])
        if not _is_segment(
            marker, data[position + 2 : position + length], data[position + length : position + length + 2]
        ):
            end = at
            break
        parts += 1
        limits.allow_parts(parts)
        position += length
    return len(data[:end].rstrip(b"\xff"))


def _trailer(data: bytes, position: int, limits: Limits) -> int:
    """Return where what a phone put behind the picture begins, else where the file ends."""
    end = len(data)
    for pattern in _HINTS:
        for number, hint in enumerate(pattern.finditer(data, position, end)):
            if number > _MOST_HINTS:
                limits.allow_parts(number)
            if found := _TRAILER.search(data, max(position, hint.start() - _LONGEST_NAME), hint.end()):
                end = found.start()
                break
    return end


def _is_segment(marker: int, body: bytes, after: bytes) -> bool:
    """Tell whether *body* is what a segment of this kind holds: in a film such markers occur by chance."""
    if marker == _SCAN:
        return len(body) >= 6 and 1 <= body[0] <= 4 and len(body) == 4 + 2 * body[0]
    if marker in (_LINES, _RESTART):
        return len(body) == 2
    if marker == _QUANTA:
        return len(body) > 0 and (len(body) % 65 == 0 or len(body) % 129 == 0)
    if marker == _TABLES:
        at = 0
        while at + 17 <= len(body) and body[at] & 0xEC == 0:
            at += 17 + sum(body[at + 1 : at + 17])
        return at == len(body) > 0
    if marker == _COMMENT or marker in _APPLICATIONS:
        return after[:1] == b"\xff" and after[1:] not in (b"", b"\0")
    return False


def decoded_twice(open: Callable[[bytes], BinaryIO], decode: Callable[[BinaryIO], Image.Image]) -> Image.Image | None:
    """Return the picture, None where pixels are missing: then what the decoder reads instead of them shows."""
    one, other = (decode(open(filling)) for filling in FILLINGS)
    return one if ImageChops.difference(one, other).getbbox() is None else None
