"""ThumbHash: a picture in about 25 bytes, for a placeholder. The algorithm is Evan Wallace's, in the public domain."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import add, mul, sub

Row = Sequence[float]
_UNIT = tuple(1 / 255 * value for value in range(256))
_TIE = 1e-9


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash of a picture of at most 100 by 100 pixels.

    *rgba* holds four bytes for each pixel, row by row, alpha not premultiplied.

    Raises:
        ValueError: a side is over 100 pixels, or *rgba* is not of that size.
    """
    if not (1 <= width <= 100 and 1 <= height <= 100 and len(rgba) == 4 * width * height):
        raise ValueError(f"{len(rgba)} bytes are not {width} x {height} RGBA pixels, each side at most 100.")
    red, green, blue, alpha = _channels(rgba)
    across, down = (max(1, _round((5 if alpha else 7) * side / max(width, height))) for side in (width, height))
    luma = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    green_red = list(map(sub, red, green))
    l_dc, l_ac, l_scale = _transform(luma, width, height, max(3, across), max(3, down))
    p_dc, p_ac, p_scale = _transform(yellow, width, height, 3, 3)
    q_dc, q_ac, q_scale = _transform(green_red, width, height, 3, 3)
    landscape = width > height
    constants = _round(63 * l_dc) | _round(31.5 + 31.5 * p_dc) << 6 | _round(31.5 + 31.5 * q_dc) << 12
    constants |= _round(31 * l_scale) << 18 | bool(alpha) << 23
    shape = (down if landscape else across) | _round(63 * p_scale) << 3 | _round(63 * q_scale) << 9 | landscape << 15
    head, waves = constants.to_bytes(3, "little") + shape.to_bytes(2, "little"), [*l_ac, *p_ac, *q_ac]
    if alpha:
        a_dc, a_ac, a_scale = _transform(alpha, width, height, 5, 5)
        head += bytes((_round(15 * a_dc) | _round(15 * a_scale) << 4,))
        waves += a_ac
    halves = [*(_round(15 * value) for value in waves), 0]
    return head + bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=False))


def _round(value: float) -> int:
    """Round half up, as the reference does."""
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _channels(rgba: bytes) -> tuple[Row, Row, Row, Row]:
    """Return red, green and blue from 0 to 1, on the average color where transparent, and alpha (empty if opaque)."""
    bands = [rgba[band::4] for band in range(4)]
    if min(bands[3]) == 255:
        red, green, blue = (list(map(_UNIT.__getitem__, band)) for band in bands[:3])
        return red, green, blue, ()
    alpha = [value / 255 for value in bands[3]]
    total = reduce(add, alpha)
    composed: list[Row] = []
    for band in bands[:3]:
        weighted = [part / 255 * value for part, value in zip(alpha, band, strict=True)]
        average = reduce(add, weighted) / (total or 1.0)
        composed.append([average * (1 - part) + value for part, value in zip(alpha, weighted, strict=True)])
    return composed[0], composed[1], composed[2], alpha


def _transform(channel: Row, width: int, height: int, across: int, down: int) -> tuple[float, list[float], float]:
    """Return the constant part of the cosine transform, its waves (each from 0 to 1), and their scale.

    The quick sums differ from those of the reference in the last bits. That shows only where a value is a tie, as
    in flat colors and plain gradients: there the sums are made again in the order of the reference.
    """
    result = _normal(_quick_sums(channel, width, height, across, down))
    if _undecided(*result):
        result = _normal(_reference_sums(channel, width, height, across, down))
    return result


def _normal(sums: list[float]) -> tuple[float, list[float], float]:
    dc, *ac = sums
    scale = max(map(abs, ac), default=0.0)
    return dc, [0.5 + 0.5 / scale * value for value in ac] if scale else ac, scale


def _undecided(dc: float, ac: list[float], scale: float) -> bool:
    """Tell whether a rounding may depend on the last bits: the constant of a color that cancels out, or a wave."""
    if scale == 0:
        return False
    return scale < _TIE or abs(dc) < _TIE or any(abs(15 * value % 1 - 0.5) < _TIE for value in ac)


def _orders(across: int, down: int) -> list[tuple[int, int]]:
    return [(x, y) for y in range(down) for x in range(across) if x * down < across * (down - y)]


def _quick_sums(channel: Row, width: int, height: int, across: int, down: int) -> list[float]:
    """Sum over rows first, then over what that leaves: the transform is separable."""
    rows = [channel[at : at + width] for at in range(0, width * height, width)]
    columns = [list(map(sum, rows))]
    columns += [[_dot(row, wave) for row in rows] for wave in _waves(width, across)[1:]]
    waves = _waves(height, down)
    return [_dot(columns[x], waves[y]) / (width * height) for x, y in _orders(across, down)]


def _reference_sums(channel: Row, width: int, height: int, across: int, down: int) -> list[float]:
    """Sum pixel by pixel, as the reference does."""
    sums = list[float]()
    for x, y in _orders(across, down):
        waves = (_waves(width, across)[x] * height, [each for each in _waves(height, down)[y] for _ in range(width)])
        sums.append(reduce(add, map(mul, map(mul, channel, waves[0]), waves[1]), 0.0) / (width * height))
    return sums


@lru_cache(maxsize=256)
def _waves(size: int, count: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(math.cos(math.pi / size * wave * (at + 0.5)) for at in range(size)) for wave in range(count))


def _sum_of_products(one: Row, other: Row) -> float:
    return sum(map(mul, one, other), 0.0)


# New in Python 3.12, and several times faster.
_dot: Callable[[Row, Row], float] = getattr(math, "sumprod", _sum_of_products)
