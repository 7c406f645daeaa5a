"""Small ICC profiles of primaries and a curve, for files that state their color in numbers.

So that all color goes one way: whatever a file states becomes a profile, and a profile becomes sRGB.
"""

import struct
from collections.abc import Mapping, Sequence

Point = tuple[float, float]  # x and y of CIE 1931
Vector = tuple[float, float, float]
Curve = tuple[float, ...]  # the exponent, or the five parameters of a curve that begins with a straight line

D65: Point = (0.3127, 0.3290)
_SRGB: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
Space = tuple[Point, Point, Point, Point]  # white, red, green, blue
BT709: Space = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
# Numbers of ITU-T H.273.
_PRIMARIES: Mapping[int, Space] = {
    1: BT709,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: ((0.310, 0.316), (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: ((1 / 3, 1 / 3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
# The curves of television (1, 6, 11, 14, 15) are taken as the exponent of its screens. PQ and HLG (16, 18) are missing.
_CURVES: Mapping[int, Curve] = {
    1: (2.4,),
    4: (2.2,),
    5: (2.8,),
    6: (2.4,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 0.25, 0.0913),
    8: (1.0,),
    11: (2.4,),
    13: _SRGB,
    14: (2.4,),
    15: (2.4,),
    17: (2.6, (52.37 / 48) ** (1 / 2.6), 0.0, 0.0, 0.0),
}
_D50: Vector = (0.9642, 1.0, 0.8249)  # the white that all profiles are written for
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_KINDS = {1: 0, 5: 3}  # of parametric curves, by how many parameters they have


def is_coded(primaries: int, transfer: int) -> bool:
    """Tell whether these numbers of ITU-T H.273 name a space and a curve that are known here."""
    return primaries in _PRIMARIES and transfer in _CURVES


def coded_profile(primaries: int, transfer: int, *, gray: bool = False) -> bytes:
    """Return the profile of a space and a curve by their numbers; b"" for sRGB and for what is not known here."""
    if (primaries, transfer) == (1, 13) or not is_coded(primaries, transfer):
        return b""
    curve = _CURVES[transfer]
    return gray_profile(curve) if gray else rgb_profile(*_PRIMARIES[primaries], curve)


def rgb_profile(white: Point, red: Point, green: Point, blue: Point, curve: Curve) -> bytes:
    """Return the profile of a color space.

    Raises:
        ValueError: there is no such space, because its primaries lie on a line or a number is out of range.
    """
    try:
        columns = _colorants(white, (red, green, blue))
        tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, columns), strict=True))
        return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve)))
    except (ZeroDivisionError, OverflowError, struct.error) as exc:
        raise ValueError("These primaries make no color space.") from exc


def gray_profile(curve: Curve) -> bytes:
    """Return the profile of a gray scale.

    Raises:
        ValueError: a number is out of range.
    """
    try:
        return _profile(b"GRAY", {b"kTRC": _curve(curve)})
    except struct.error as exc:
        raise ValueError("This exponent makes no gray scale.") from exc


def _colorants(white: Point, primaries: Sequence[Point]) -> list[Vector]:
    """Return the XYZ of red, green and blue at full strength, adapted from their white to D50."""
    columns = [(x, y, 1 - x - y) for x, y in primaries]
    target = white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]
    shares = _product(_inverse(_transposed(columns)), target)
    lit, wanted = _product(_BRADFORD, target), _product(_BRADFORD, _D50)
    back = _inverse(_BRADFORD)

    def adapted(color: Sequence[float]) -> Vector:
        cones = _product(_BRADFORD, color)
        return _product(back, [cone * to / of for cone, to, of in zip(cones, wanted, lit, strict=True)])

    return [adapted([part * share for part in each]) for each, share in zip(columns, shares, strict=True)]


def _product(rows: Sequence[Sequence[float]], vector: Sequence[float]) -> Vector:
    first, second, third = (sum(one * other for one, other in zip(row, vector, strict=True)) for row in rows)
    return first, second, third


def _transposed(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    return list(zip(*rows, strict=True))


def _inverse(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Return the inverse of three rows of three: the cross products of its rows, over its volume."""
    one, two, three = rows
    columns = [_cross(two, three), _cross(three, one), _cross(one, two)]
    volume = sum(part * other for part, other in zip(one, columns[0], strict=True))
    return _transposed([[part / volume for part in each] for each in columns])


def _cross(one: Sequence[float], other: Sequence[float]) -> Vector:
    return (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )


def _curve(parameters: Curve) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", _KINDS[len(parameters)], 0) + b"".join(map(_fixed, parameters))


def _xyz(color: Vector) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, color))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of version 4: a header, a table of tags, and their content."""
    table, content, start = b"", b"", 128 + 4 + 12 * (len(tags) + 1)
    for tag, value in {b"wtpt": _xyz(_D50), **tags}.items():
        table += struct.pack(">4sII", tag, start + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags) + 1) + table + content
    head = struct.pack(">I4sI4s4s4s12x4s", 128 + len(body), b"", 0x04200000, b"mntr", space, b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + body
