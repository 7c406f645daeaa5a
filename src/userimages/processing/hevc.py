"""The parameter sets of a HEVC picture: its size, its chroma and its depth, as its decoder will take them.

pi-heif makes its buffer by what the container says, and libheif fills it by what the coded picture says. Where the two
differ in depth, it writes past the end. So they must agree before either sees the file.

The layout is that of ITU-T H.265, 7.3.2.2.
"""

import attrs

PARAMETER_SETS = range(32, 35)
SEQUENCE = 33
_PROFILE_BITS, _LEVEL_BITS = 88, 8


@attrs.frozen
class Sequence:
    """What a sequence parameter set states; *chroma* is 0 for gray, 1 for color at every fourth pixel, up to 3."""

    chroma: int
    width: int
    height: int
    luma_bits: int
    chroma_bits: int


def sequence(unit: bytes) -> Sequence:
    """Read a sequence parameter set, with the two bytes of its header.

    Raises:
        IndexError: it is cut off.
    """
    bits = _Bits(unit[2:200].replace(b"\0\0\3", b"\0\0"))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + _PROFILE_BITS + _LEVEL_BITS)
    present = [(bits.take(1), bits.take(1)) for _ in range(8 if layers else 0)][:layers]
    for profile, level in present:
        bits.take(profile * _PROFILE_BITS + level * _LEVEL_BITS)
    bits.number()
    chroma = bits.number()
    if chroma == 3:
        bits.take(1)
    width, height = bits.number(), bits.number()
    if bits.take(1):
        for _ in range(4):
            bits.number()
    return Sequence(chroma, width, height, 8 + bits.number(), 8 + bits.number())


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("it is cut off")
        return self._value >> self._left & (1 << count) - 1

    def number(self) -> int:
        """Read a number of an exponential-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
