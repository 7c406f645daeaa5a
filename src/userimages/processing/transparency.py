"""The one color that a PNG makes transparent, compared as its file states it: before 16 or 2 bits become 8."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import BinaryIO

from PIL import Image, ImageChops, PngImagePlugin

# By Pillow's name of how the file keeps a pixel: the largest gray.
_MOST = {"1": 1, "L;2": 3, "L;4": 15, "L": 255}


def load_png(source: PngImagePlugin.PngImageFile, key: Sequence[int], open: Callable[[], BinaryIO]) -> Image.Image:
    """Decode a PNG to 1, L, LA, P, RGB or RGBA; 16 bits become the higher 8 of them.

    *key* is the transparent gray (one number) or color (three), as its file states it; empty where none is. *open*
    opens the file once more.
    """
    raw = str(source.tile[0][3]) if source.tile else ""
    source.load()
    if raw == "I;16B":
        pixels = source.tobytes()  # low byte first, whatever the machine
        high = Image.frombytes("L", source.size, pixels[1::2])
        low = Image.frombytes("L", source.size, pixels[::2])
        return _without(high, [*_equals(high, [part >> 8 for part in key]), *_equals(low, key)])
    if raw == "LA;16B":
        return Image.merge("LA", (source.getchannel("R"), source.getchannel("A")))
    if not key:
        return source
    if raw == "RGB;16B":
        # The same pixels with their bytes swapped: so the lower ones come through.
        swapped = PngImagePlugin.PngImageFile(open())
        swapped.tile = [each._replace(args="RGB;16L") for each in swapped.tile]
        swapped.load()
        return _without(source, [*_equals(source, [part >> 8 for part in key]), *_equals(swapped, key)])
    if raw == "RGB":
        return _without(source, _equals(source, key))
    gray, most = source.convert("L"), _MOST[raw]
    # Of 8 bits browsers compare the lower ones of the key; of fewer, one that is too large is nowhere.
    return _without(gray, _equals(gray, [key[0] * 255 // most])) if key[0] <= most or most == 255 else gray


def _equals(image: Image.Image, key: Sequence[int]) -> list[Image.Image]:
    """Return for each channel 255 where it has the lower 8 bits of its part of *key*, else 0."""
    lowest = [part & 255 for part in key]
    return [
        channel.point([255 * (value == part) for value in range(256)])
        for channel, part in zip(image.split(), lowest, strict=False)
    ]


def _without(image: Image.Image, matches: list[Image.Image]) -> Image.Image:
    """Return *image* with those pixels transparent where all of *matches* are 255."""
    if not matches:
        return image
    alpha = ImageChops.invert(reduce(ImageChops.multiply, matches))
    return Image.merge(f"{image.mode}A", (*image.split(), alpha))
