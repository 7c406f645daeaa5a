"""PNG: whether all rows are there. To its decoder a stream that ends early is a picture whose last rows are black."""

import zlib
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of an interlaced picture, where its seven passes begin and how far apart their pixels are: across, down.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20


def are_missing(image: Image.Image, open: Callable[[], BinaryIO]) -> bool:
    """Tell whether rows are missing of the still PNG that *open* gives, and of which *image* was decoded.

    What is missing is zero. So only where one of the last two rows is, which an interlaced picture fills last, the
    stream is inflated once more and counted.
    """
    width, height = image.size
    bottom = [image.crop((0, row, width, row + 1)) for row in (height - 1, max(0, height - 2))]
    if all(any(row.tobytes()) for row in bottom):
        return False
    content = open().read()
    expected = _expected(width, height, *content[24:26], interlaced=bool(content[28]))
    return _inflated(content, expected) < expected


def _expected(width: int, height: int, bits: int, color: int, *, interlaced: bool) -> int:
    """Return how many bytes the rows of a picture have, with the byte before each that names its filter."""
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - left) // across), -(-(height - top) // down)) for left, top, across, down in passes]
    return sum(high * (1 + -(-wide * bits * _CHANNELS[color] // 8)) for wide, high in sizes if wide > 0 and high > 0)


def _inflated(content: bytes, enough: int) -> int:
    """Return how many bytes the pixels inflate to, which stand in one chunk; at least *enough* where there are more."""
    start, length = 8, int.from_bytes(content[8:12])
    while content[start + 4 : start + 8] != b"IDAT":
        start += 12 + length
        length = int.from_bytes(content[start : start + 4])
    inflate, size = zlib.decompressobj(), 0
    piece = content[start + 8 : start + 8 + length]
    while size < enough and not inflate.eof:
        made = inflate.decompress(piece, _PIECE)
        piece = inflate.unconsumed_tail
        if not made and not piece:
            break
        size += len(made)
    return size
