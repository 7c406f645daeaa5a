"""ThumbHash: a picture in about 25 bytes, for a placeholder. The algorithm is Evan Wallace's, in the public domain."""

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import add, mul, sub

Row = Sequence[float]


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash of a picture of at most 100 by 100 pixels.

    *rgba* holds four bytes for each pixel, row by row, alpha not premultiplied.

    Raises:
        ValueError: a side is over 100 pixels, or *rgba* is not of that size.
    """
    if not (1 <= width <= 100 and 1 <= height <= 100 and len(rgba) == 4 * width * height):
        raise ValueError(f"{len(rgba)} bytes are not {width} x {height} RGBA pixels, each side at most 100.")
    red, green, blue, alpha = _channels(rgba)
    has_alpha = min(rgba[3::4]) < 255
    light = 5 if has_alpha else 7
    longest = max(width, height)
    across, down = (max(1, _round(light * side / longest)) for side in (width, height))
    luma = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    l_dc, l_ac, l_scale = _transform(luma, width, height, max(3, across), max(3, down))
    p_dc, p_ac, p_scale = _transform(yellow, width, height, 3, 3)
    q_dc, q_ac, q_scale = _transform(list(map(sub, red, green)), width, height, 3, 3)
    landscape = width > height
    header = _round(63 * l_dc) | _round(31.5 + 31.5 * p_dc) << 6 | _round(31.5 + 31.5 * q_dc) << 12
    header |= _round(31 * l_scale) << 18 | has_alpha << 23
    short = (down if landscape else across) | _round(63 * p_scale) << 3 | _round(63 * q_scale) << 9 | landscape << 15
    nibbles = [*l_ac, *p_ac, *q_ac]
    out = bytearray(header.to_bytes(3, "little") + short.to_bytes(2, "little"))
    if has_alpha:
        a_dc, a_ac, a_scale = _transform(alpha, width, height, 5, 5)
        out.append(_round(15 * a_dc) | _round(15 * a_scale) << 4)
        nibbles += a_ac
    halves = [_round(15 * value) for value in nibbles]
    halves += [0] * (len(halves) % 2)
    out += bytes(map(add, halves[::2], (high << 4 for high in halves[1::2])))
    return bytes(out)


def _round(value: float) -> int:
    return math.floor(value + 0.5)


_UNIT = tuple(1 / 255 * value for value in range(256))


def _channels(rgba: bytes) -> tuple[Row, Row, Row, Row]:
    """Return the four channels from 0 to 1, composed on the average colour where something is transparent."""
    if min(rgba[3::4]) == 255:
        unit = _UNIT.__getitem__
        red, green, blue = (list(map(unit, rgba[band::4])) for band in range(3))
        return red, green, blue, ()
    alpha = [value / 255 for value in rgba[3::4]]
    total = sum(alpha)
    composed: list[Row] = []
    for band in range(3):
        weighted = [part / 255 * value for part, value in zip(alpha, rgba[band::4], strict=True)]
        average = sum(weighted) / total if total else 0.0
        composed.append([average * (1 - part) + value for part, value in zip(alpha, weighted, strict=True)])
    return composed[0], composed[1], composed[2], alpha


@lru_cache(maxsize=256)
def _waves(size: int, count: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(math.cos(math.pi / size * wave * (at + 0.5)) for at in range(size)) for wave in range(count))


def _transform(channel: Row, width: int, height: int, across: int, down: int) -> tuple[float, list[float], float]:
    """Return the constant part, the waves (each from 0 to 1) and their scale; rows first, then columns."""
    rows = [channel[at : at + width] for at in range(0, width * height, width)]
    sums = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(width, across)]
    dc, ac = 0.0, list[float]()
    for y, wave in enumerate(_waves(height, down)):
        for x, column in enumerate(sums):
            if x * down >= across * (down - y):
                break
            value = sum(map(mul, column, wave)) / (width * height)
            if x or y:
                ac.append(value)
            else:
                dc = value
    scale = max(map(abs, ac), default=0.0)
    return dc, [0.5 + 0.5 / scale * value for value in ac] if scale else ac, scale
