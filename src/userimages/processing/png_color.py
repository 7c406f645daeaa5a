"""The color of a PNG, as it states it outside of a profile: cICP, sRGB, gAMA and cHRM.

What is written here was measured on Chromium, where the specification leaves a choice.
"""

import struct
from collections.abc import Mapping

from userimages.processing.matrix_profile import BT709, Curve, Space, coded_profile, gray_profile, is_coded, rgb_profile

KINDS = frozenset((b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"))
_NEARLY_SRGB = (0.435, 0.475)  # a gAMA in between, alone, means sRGB: encoders write 1/2.2 for it

_STEEPEST = 32_000.0  # exponent that a profile can hold: all but white is black by far


def profile_of(stated: Mapping[bytes, bytes], *, gray: bool) -> bytes:
    """Return a profile for what the chunks of a PNG (by kind) say of its color; b"" where it is sRGB.

    The first of cICP, iCCP, sRGB and gAMA decides, as the specification orders them. iCCP is expected inflated.
    """
    if b"cICP" in stated and len(stated[b"cICP"]) == 4:
        primaries, transfer, matrix, full = stated[b"cICP"]
        if matrix == 0 and full == 1 and is_coded(primaries, transfer):
            return coded_profile(primaries, transfer, gray=gray)
    icc = stated.get(b"iCCP", b"")
    if icc[36:40] == b"acsp":  # else it is no profile, and the next one decides
        return icc if gray or icc[16:20] != b"GRAY" else b""
    if b"sRGB" in stated or len(stated.get(b"gAMA", b"")) != 4:
        return b""  # cHRM alone says nothing: browsers pass over it
    gamma = int.from_bytes(stated[b"gAMA"]) / 100_000
    chroma = stated.get(b"cHRM", b"")
    if gamma == 0 or (len(chroma) != 32 and _NEARLY_SRGB[0] <= gamma <= _NEARLY_SRGB[1]):
        return b""
    space = BT709
    if len(chroma) == 32:
        parts = [part / 100_000 for part in struct.unpack(">8I", chroma)]
        white, red, green, blue = zip(parts[::2], parts[1::2], strict=True)
        space = white, red, green, blue
    return _profile(space, (min(1 / gamma, _STEEPEST),), gray=gray)


def _profile(space: Space, curve: Curve, *, gray: bool) -> bytes:
    try:
        colors = rgb_profile(*space, curve)  # of gray too: primaries that cannot be make browsers pass over the curve
        return gray_profile(curve) if gray else colors
    except ValueError:
        return b""
