"""Shrink a picture by Lanczos: with the SIMD of the extra ``fast`` where it is installed, else with Pillow.

Both give the same pixels, within 2 of 255. Therefore ``fast`` does in two steps what it could do in one: Pillow
shrinks across, rounds, and then shrinks down, or the other way round, and where contrasts are sharp the order shows.
"""

import math
from functools import cache
from importlib import import_module
from types import ModuleType

import PIL
from PIL import Image

from userimages.processing.recipes import Size

Region = tuple[float, float, float, float]

# cykooz-resizer reads the memory of Pillow's pictures, whose layout a major version may change. The tests have run
# with these; with any other, Pillow itself shrinks.
PILLOW_MAJORS = frozenset({13})
_MODES = frozenset({"L", "RGB", "RGBa", "CMYK"})
_REACH = 2.5  # pixels of the result, to either side of one, that Lanczos takes into account


@cache
def fast() -> ModuleType | None:
    """Return cykooz-resizer, None where it is not installed or does not know this Pillow."""
    if int(PIL.__version__.partition(".")[0]) not in PILLOW_MAJORS:
        return None
    try:
        return import_module("cykooz_resizer")
    except ImportError:
        return None


def resized(image: Image.Image, size: Size, region: Region, *, gap: float) -> Image.Image:
    """Cut *region* out of a picture and shrink it to *size*.

    It is halved by plain averages first, or divided by more, as long as it stays *gap* times as large as *size*.
    """
    library = fast()
    if library is None or image.mode not in _MODES | {"RGBA"}:
        return image.resize(size, Image.Resampling.LANCZOS, region, reducing_gap=gap)
    if image.mode == "RGBA":
        return resized(image.convert("RGBa"), size, region, gap=gap).convert("RGBA")
    image.load()
    image, (left, top, right, bottom) = _reduced(image, size, region, gap)
    nearest, first, farthest, last = _safe(image, size, (left, top, right, bottom))
    if 2 * (image.width - size[0]) < image.height - size[1]:  # then Pillow shrinks down first
        down = _one_step(library, image, (farthest - nearest, size[1]), (nearest, top, farthest, bottom))
        return _one_step(library, down, size, (left - nearest, 0, right - nearest, size[1]))
    across = _one_step(library, image, (size[0], last - first), (left, first, right, last))
    return _one_step(library, across, size, (0, top - first, size[0], bottom - first))


def _reduced(image: Image.Image, size: Size, region: Region, gap: float) -> tuple[Image.Image, Region]:
    """Do what Pillow does for ``reducing_gap``; return the smaller picture, and where the region lies in it."""
    left, top, right, bottom = region
    factors = int((right - left) / size[0] / gap) or 1, int((bottom - top) / size[1] / gap) or 1
    if factors == (1, 1):
        return image, region
    box = _safe(image, size, region)
    image = image.reduce(factors, box)
    across, down = factors
    return image, (
        (left - box[0]) / across,
        (top - box[1]) / down,
        (right - box[0]) / across,
        (bottom - box[1]) / down,
    )


def _safe(image: Image.Image, size: Size, region: Region) -> tuple[int, int, int, int]:
    """Return the whole pixels that count for *region* when it becomes *size*."""
    left, top, right, bottom = region
    across, down = _REACH * (right - left) / size[0], _REACH * (bottom - top) / size[1]
    return (
        max(0, int(left - across)),
        max(0, int(top - down)),
        min(image.width, math.ceil(right + across)),
        min(image.height, math.ceil(bottom + down)),
    )


def _one_step(library: ModuleType, image: Image.Image, size: Size, region: Region) -> Image.Image:
    left, top, right, bottom = region
    made = Image.new(image.mode, size)
    options = library.ResizeOptions(
        library.ResizeAlg.convolution(library.FilterType.lanczos3),
        crop_box=library.CropBox(left, top, min(right, image.width) - left, min(bottom, image.height) - top),
    )
    library.Resizer().resize_pil(image, made, options)
    return made


def description() -> str:
    """Return what shrinks pictures here, for an operator."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = f"cykooz-resizer {version('cykooz-resizer')}"
    except PackageNotFoundError:
        return f"Pillow {PIL.__version__}"
    if fast() is None:
        return f"Pillow {PIL.__version__}, because {installed} has not been tried with it"
    return installed
