"""How much memory a picture will need, known before its decoder begins.

What a decoder holds beside the pixels is stated by the header (``decoder_bytes``); what follows is ours, and the same
for all formats. The peak is in one of three phases: decoding, shrinking, encoding. The figures are those of Pillow, of
libjpeg-turbo, libwebp and lcms, measured; a test compares them with what processes really need. An estimate that is
too high lets a few pictures wait; one that is too low is a process that the system ends.
"""

import functools
import math
from collections.abc import Callable

from userimages.processing.engine import decoded_pixels
from userimages.processing.header import Header
from userimages.processing.recipes import Recipe

_SURPLUS = 1.02
_BUFFERS = 3 << 20
# Bytes for each pixel, by the mode that the decoder gives: as it comes; while it becomes plain gray, RGB or RGBA; while
# it is shrunk, where transparency takes a second copy.
_MODES = {
    "L": (1, 2, 1),
    "RGB": (4, 4, 4),
    "CMYK": (4, 4, 4),
    "RGBA": (4, 8, 8),
    "LA": (4, 12, 8),
    "P": (1, 9, 8),
    "I;16": (2, 6, 1),
}
_PLANES = 6.5  # for each pixel of a photograph that is taken apart into luma and chroma
# For each pixel of what is encoded, beside the picture.
_ENCODER = {"jpeg": 4, "webp": 13, "avif": 30}
_FEW = 2_000_000  # bytes that an animation may be stored in, if its file has less
_TRANSPARENCY = 10  # more for WebP: it is compressed by itself


LARGE = 100_000_000
"""The estimate from which on memory is given back: below it that would cost more than it is worth."""


def give_back() -> None:
    """Let the allocator return what it keeps for later, because glibc keeps it for each of many threads."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    import ctypes

    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # only glibc has it, and only glibc needs it
        return lambda _: None


def estimate(header: Header, recipe: Recipe) -> int:
    """Return how many bytes of memory are needed to make of this file what *recipe* asks for."""
    animated = header.frames > 1 and recipe.format != "jpeg"
    wide, high = recipe.main.place(header.upright)[1]
    out, pixels = wide * high, decoded_pixels(header, recipe)
    decoded, converting, shrinking = _MODES[header.mode]
    color = 1 if header.mode in ("L", "I;16") else 4
    scale = math.sqrt(pixels / (header.width * header.height))
    strip = max(wide * header.upright[1], high * header.upright[0]) * scale  # shrunk in one direction
    planes = _PLANES * pixels if header.format == "JPEG" and color == 4 else 0
    canvas = 4 * pixels if header.parts and not animated else 0  # on which a still is drawn that does not cover it
    twice = decoded * pixels if header.unended else 0
    peak = max(
        header.copied_bytes,
        header.decoder_bytes + decoded * pixels + canvas + twice,
        converting * pixels + canvas,
        shrinking * pixels + color * (strip + 3 * out),
        planes,
        _encoding(header, recipe, out, color, (wide, high), animated=animated),
    )
    return _BUFFERS + int(_SURPLUS * (header.copied_bytes + peak))


def _encoding(header: Header, recipe: Recipe, out: int, color: int, size: tuple[int, int], *, animated: bool) -> float:
    transparent = _TRANSPARENCY if header.mode in ("RGBA", "LA", "P") else 0
    format = recipe.format or ("webp" if transparent or animated else "jpeg")
    variants = [math.prod(shape.place(size)[1]) for shape in recipe.variants.values()]
    costs = [float(out * (_ENCODER[format] + transparent))]
    costs += [each * (_ENCODER[recipe.variant_format] + transparent) for each in variants]
    if animated:
        # Frames come one at a time: the canvas, what of it is shown, one frame as it comes and as RGBA, what comes back
        # after it; and the encoded ones, which wait in two copies until the last is there.
        canvases, decoder = (5, header.decoder_bytes) if header.parts else (3, 0)
        costs[0] += 4 * canvases * header.width * header.height + decoder
        costs[0] += min(1.5 * header.frames * out, 4 * max(header.size_bytes, _FEW))
    return 2 * color * out + color * sum(variants) + max(costs)
