"""The extra ``fast`` and Pillow shrink alike: what is stored does not depend on what is installed."""

import math
import random
import subprocess
import sys

import hostile
import PIL
import pytest
from PIL import Image, ImageChops, ImageOps
from tests.parts import needs

from userimages.processing import Fill, Fit, PillowProcessor, Recipe, resize
from userimages.processing.engine import _still
from userimages.processing.intake import examine
from userimages.processing.limits import Limits
from userimages.testing import make_image

MODES = ("L", "RGB", "RGBA", "CMYK", "LA")


@pytest.fixture
def fast():
    """The library itself: in CI a Pillow that it does not know is a failure, and a reason to try them together."""
    needs("cykooz_resizer")
    resize.fast.cache_clear()
    library = resize.fast()
    assert library is not None, f"run tests/processing with Pillow {PIL.__version__}, and add it to PILLOW_MAJORS"
    yield library
    resize.fast.cache_clear()


def difference(one, other):
    """Return the most by which two pictures differ, transparent ones as they show over black and over white."""
    if one.mode in ("LA", "RGBA"):
        pairs = [[over(each, shade) for each in (one, other)] for shade in (0, 255)]
    else:
        pairs = [(one, other)]
    return max(band.getextrema()[1] for pair in pairs for band in ImageChops.difference(*pair).split())


def over(image, shade):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (shade, shade, shade, 255)), image)


def drawn(chance):
    """Draw a picture of the hardest kind, noise; a part of it, often all; and a size that is no larger."""
    width, height = chance.choice([(1, 60), (60, 1), (2000, 3), (chance.randrange(1, 300), chance.randrange(1, 300))])
    mode = chance.choice(MODES)
    image = Image.frombytes(
        mode, (width, height), chance.randbytes(width * height * len(Image.new(mode, (1, 1)).getbands()))
    )
    if chance.random() < 0.3:
        image = ImageOps.scale(image, chance.randrange(2, 5), Image.Resampling.NEAREST)
    sides = []
    for side in image.size:
        start, stop = sorted((chance.uniform(0, side - 1), chance.uniform(1, side)))
        start = chance.choice((0, start, int(start)))
        sides.append((start, max(start + 1, chance.choice((side, side, stop)))))
    (left, right), (top, bottom) = sides
    size = tuple(max(1, int((stop - start) * chance.uniform(0.01, 1))) for start, stop in sides)
    return image, size, (left, top, right, bottom), chance.choice((1.4, 2.0))


def by_pillow(image, size, region, gap):
    return image.resize(size, Image.Resampling.LANCZOS, region, reducing_gap=gap)


@pytest.mark.parametrize("seed", range(4))
def test_both_resizers_give_the_same_pixels(fast, seed):
    """Within 2 of 255, whatever the shape; 3 where noise is transparent, because its colors are rounded once more."""
    chance = random.Random(seed)
    for _ in range(100):
        image, size, region, gap = drawn(chance)
        one, other = resize.resized(image, size, region, gap=gap), by_pillow(image, size, region, gap)
        assert (one.mode, one.size) == (other.mode, other.size)
        assert difference(one, other) <= (3 if image.mode == "RGBA" else 2), (image, size, region, gap)


def test_a_picture_over_many_blocks_of_memory(fast):
    """Pillow keeps a large picture in pieces of 16 MB."""
    image = Image.radial_gradient("L").resize((3001, 2001)).convert("RGB")
    whole = (0, 0, *image.size)
    assert difference(resize.resized(image, (997, 665), whole, gap=2.0), by_pillow(image, (997, 665), whole, 2.0)) <= 2


def test_a_region_may_round_beyond_the_picture(fast):
    """The scale of a drafted JPEG is a fraction, and Pillow forgives what 32 bits do not hold."""
    image, beyond = Image.new("RGB", (99, 50)), (0, 0, math.nextafter(99, 100), math.nextafter(50, 51))
    assert by_pillow(image, (33, 17), beyond, 2.0).size == resize.resized(image, (33, 17), beyond, gap=2.0).size


KINDS = {
    "odd": make_image("PNG", (641, 479)),
    "16 bit": make_image("PNG", (300, 201), mode="I;16"),
    "16 bit color": hostile.png(60, 40, depth=16, color=2),
    "alpha": make_image("PNG", (400, 301), mode="RGBA"),
    "gray alpha": make_image("PNG", (400, 301), mode="LA"),
    "palette": make_image("PNG", (301, 200), mode="P", transparency=3),
    "CMYK": make_image("JPEG", (400, 301), mode="CMYK"),
    "turned": make_image("JPEG", (400, 301), orientation=6),
    "strip": make_image("PNG", (5000, 7)),
    "GIF": make_image("GIF", (245, 245)),
    "WebP": make_image("WEBP", (401, 300), lossless=True),
}
SHAPES = {"third": Fit(133), "point": Fit(3), "square": Fill(99, 99, focus=(0.3, 0.1))}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shrinks_alike(kind, fast, monkeypatch):
    """From the file on. (A profile may then stretch a level in the dark to several: that is its own.)"""
    header = examine(KINDS[kind], Limits())
    for shape in SHAPES.values():
        one = _still(header, Recipe(shape)).image
        with monkeypatch.context() as patch:
            forget(patch)
            other = _still(header, Recipe(shape)).image
        resize.fast.cache_clear()
        assert one.size == other.size
        assert difference(one, other) <= 2


def forget(patch):
    patch.setitem(sys.modules, "cykooz_resizer", None)  # its import fails, as where it is not installed
    resize.fast.cache_clear()


def test_pillow_shrinks_where_the_extra_lacks(without_fast):
    """It is an extra: no wheel of it is there for some machines."""
    assert resize.fast() is None
    assert PillowProcessor()(make_image("JPEG", (3000, 2000)), "gallery").main.width == 1920


def test_pillow_shrinks_where_it_is_unknown(fast, monkeypatch):
    """A new major version may keep its pixels in another way, and the library would read past them."""
    assert PillowProcessor().resizer.startswith("cykooz-resizer ")
    monkeypatch.setattr(PIL, "__version__", "99.0.0")
    resize.fast.cache_clear()
    assert resize.fast() is None
    assert PillowProcessor().resizer.startswith("Pillow 99.0.0, because cykooz-resizer ")


def test_the_resizer_is_loaded_when_it_is_needed(fast):
    """Its import takes 40 ms, which an application that only lists images does not pay."""
    script = "import sys, userimages.processing as p; p.PillowProcessor(); print('cykooz_resizer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_the_check_names_the_resizer(fast):
    """Who installed it sees that it is at work."""
    from userimages import ImageService

    lines = {line.name: line for line in ImageService.in_memory().check().checks}
    assert lines["resizer"].ok
    assert lines["resizer"].detail.startswith("Images are shrunk by cykooz-resizer ")
