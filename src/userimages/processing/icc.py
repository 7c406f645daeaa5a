"""Color profiles, made anew of what is understood in them: a profile is a program, and lcms runs it without a bound.

A tag of type `mpet` may name one stage of 60 bytes half a million times, and lcms samples 36,000 points through all of
them: minutes of processor time for a file of 6 KB. So nothing is judged and nothing forbidden. Tags whose cost follows
from their size, by the kinds of the format that profiles of cameras, screens and presses use, are copied into a new
profile; what else there is, lcms never sees. A profile that lacks something then does not work, and is dropped like a
damaged one.

The layout is that of ICC.1 (version 4.4): a header of 128 bytes, a table of tags, and their contents.
"""

import struct
from collections.abc import Callable

_HEADER = 128
_MOST_TAGS = 100
_MOST_ENTRIES = 4096  # of a curve; usual are 1,024
_MOST_TABLE = 1 << 20  # bytes of a table of colors; a press has 400 KB
_CURVES = (b"rTRC", b"gTRC", b"bTRC", b"kTRC")
_FACTS = (b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"bkpt", b"chad")
_FROM_DEVICE = (b"A2B0", b"A2B1")
_TO_DEVICE = (b"B2A0", b"B2A1", b"B2A2")  # by these lcms finds how black the ink of a press is
_PARAMETERS = (1, 3, 4, 5, 7)  # of a parametric curve, by its kind


def rebuilt(icc: bytes) -> bytes:
    """Return a profile of the tags of *icc* that are understood; none where it is not a profile."""
    if len(icc) < _HEADER + 4 or icc[36:40] != b"acsp":
        return b""
    (count,) = struct.unpack_from(">I", icc, _HEADER)
    table = icc[_HEADER + 4 : _HEADER + 4 + 12 * min(count, _MOST_TAGS)]
    tags = dict[bytes, bytes]()
    for name, start, size in struct.iter_unpack(">4sII", table[: len(table) // 12 * 12]):
        body = icc[start : start + size]
        if len(body) == size and _is_understood(name, body, icc[16:20]):
            tags.setdefault(name, body)
    return _written(icc[4:_HEADER], tags) if tags.keys() & {*_FROM_DEVICE, *_CURVES} else b""


def _is_understood(name: bytes, body: bytes, space: bytes) -> bool:
    try:
        if name in _FACTS:
            return len(body) <= 64 and body[:4] in (b"XYZ ", b"sf32")
        if name in _CURVES:
            return len(body) >= _curve(body, 0)
        if name in _FROM_DEVICE:
            return _is_table(body, b"mAB ", (1, 3, 4), (3,))
        if name in _TO_DEVICE and space == b"CMYK":
            return _is_table(body, b"mBA ", (3,), (4,))
    except (struct.error, IndexError, ValueError):
        pass
    return False


def _curve(body: bytes, start: int) -> int:
    """Return where a curve ends."""
    kind, number = body[start : start + 4], int.from_bytes(body[start + 8 : start + 12])
    if kind == b"curv" and number <= _MOST_ENTRIES:
        return start + 12 + 2 * number
    if kind == b"para":
        return start + 12 + 4 * _PARAMETERS[number >> 16]
    raise ValueError("not a curve, or one of too many entries")


def _is_table(body: bytes, newer: bytes, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> bool:
    """Tell whether this is a table of colors, with its curves, of one of the two older types or the *newer* one."""
    kind, wide, out, grid = body[:4], body[8], body[9], body[10]
    if wide not in inputs or out not in outputs:
        return False
    if kind == b"mft1":
        return 48 + 256 * (wide + out) + _cells([grid] * wide, out) <= len(body)
    if kind == b"mft2":
        entries: tuple[int, ...] = struct.unpack_from(">HH", body, 48)
        curves = wide * entries[0] + out * entries[1]
        return max(entries) <= _MOST_ENTRIES and 52 + 2 * curves + _cells([grid] * wide, 2 * out) <= len(body)
    return kind == newer and all(_parts_end(body, wide, out, kind == b"mAB "))


def _parts_end(body: bytes, wide: int, out: int, from_device: bool) -> list[bool]:
    """Tell of each part of a table of the newer type whether it ends within the tag. An offset of 0 means none."""
    curves_b, matrix, curves_m, cells, curves_a = struct.unpack_from(">5I", body, 12)
    device, connection = (wide, out) if from_device else (out, wide)

    def end_of_cells(start: int) -> int:
        precision = body[start + 16]
        return (
            start + 20 + _cells(list(body[start : start + wide]), out * precision) if precision in (1, 2) else 1 << 40
        )

    ends: list[tuple[int, Callable[[int], int]]] = [
        (curves_b, lambda start: _curves(body, start, connection)),
        (matrix, lambda start: start + 48),
        (curves_m, lambda start: _curves(body, start, 3)),
        (cells, end_of_cells),
        (curves_a, lambda start: _curves(body, start, device)),
    ]
    return [end(start) <= len(body) for start, end in ends if start]


def _curves(body: bytes, start: int, count: int) -> int:
    end = start
    for _ in range(count):
        end = _curve(body, -(-end // 4) * 4)
    return end


def _cells(grid: list[int], size: int) -> int:
    """Return the bytes of a table of that many points along each axis, of *size* bytes a point."""
    for points in grid:
        size *= points
    if not 0 < size <= _MOST_TABLE:
        raise ValueError("an empty table, or too large a one")
    return size


def _written(header: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = _HEADER + 4 + 12 * len(tags)
    table, bodies = [struct.pack(">I", len(tags))], list[bytes]()
    for name, body in tags.items():
        table.append(struct.pack(">4sII", name, at, len(body)))
        bodies.append(body + bytes(-len(body) % 4))
        at += len(bodies[-1])
    return b"".join((struct.pack(">I", at), header, *table, *bodies))
