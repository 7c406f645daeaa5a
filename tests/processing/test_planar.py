"""Pictures in luma and chroma: both shrink alike, and color keeps its place and its detail."""

import io
import math

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from userimages import ImageType
from userimages.processing import Fit, PillowProcessor, Recipe
from userimages.processing.planar import Planes

pytestmark = pytest.mark.usefixtures("without_fast")  # which takes no picture apart


def test_luma_and_chroma_are_cut_and_shrunk_alike():
    """Luma and chroma are cut and shrunk alike."""
    ramp = Image.linear_gradient("L").rotate(90).resize((400, 300))
    decoded = Planes.of(Image.merge("YCbCr", (ramp, ramp, ramp)))
    once = decoded.shrunk((301, 225), (0, 0, 400, 300))
    for planes, left, right in (
        (decoded.shrunk((101, 151), (100, 0, 300, 300)), 100, 300),
        (once.shrunk((101, 151), (75, 0, 226, 225)), 100, 300),
    ):
        assert planes.size == planes.whole().size == (101, 151)
        assert planes.blue.size == planes.red.size == (51, 76)
        middle = ramp.crop((left, 0, right, 300)).getextrema()
        for plane in (planes.luma, planes.blue, planes.red):
            assert all(abs(ours - right) < 6 for ours, right in zip(plane.getextrema(), middle, strict=True))


def test_color_stays_where_it_is_through_odd_sizes():
    """A chroma of half an odd size stands for all of the picture, not for a pixel more."""
    edge = Image.new("L", (1919, 1279), 64)
    edge.paste(192, (1727, 0, 1919, 1279))
    planes = Planes.of(Image.merge("YCbCr", (Image.new("L", edge.size, 128), edge, edge)))
    for size in ((1279, 853), (639, 427), (319, 213)):
        planes = planes.shrunk(size, (0, 0, *planes.size))
        row = list(planes.whole().getchannel("Cb").crop((0, 100, size[0], 101)).tobytes())
        place = sum(192 - value for value in row) / 128
        assert abs(place - 1727 * size[0] / 1919) < 0.4, size


def striped(size, period):
    """Make a picture of one brightness, of stripes in two colors along both sides."""
    across, down = (
        bytes(128 + round(100 * math.sin(math.tau * place / period)) for place in range(length)) for length in size
    )
    blue, red = Image.frombytes("L", (size[0], 1), across), Image.frombytes("L", (1, size[1]), down)
    return Image.merge("YCbCr", (Image.new("L", size, 128), blue.resize(size), red.resize(size)))


def test_color_keeps_its_detail_through_odd_sizes():
    """Where a chroma is stretched over an odd size, the encoder averages it away from the middle on."""
    planes = Planes.of(striped((3000, 2000), 14)).shrunk((1279, 853), (0, 0, 3000, 2000))
    for chroma, steps in ((planes.whole().getchannel(1), (80, 0)), (planes.whole().getchannel(2), (0, 80))):
        stored = chroma.reduce(2)
        parts = [stored.crop((n * steps[0], n * steps[1], n * steps[0] + 80, n * steps[1] + 80)) for n in range(5)]
        detail = [ImageStat.Stat(part).stddev[0] for part in parts]
        assert min(detail) > 0.9 * max(detail) > 20


@pytest.mark.parametrize("size", [(2400, 1600), (4001, 3001)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_of_odd_size_is_not_shifted(size, orientation):
    """Half a pixel that a drafted decode leaves over lies on another side once the picture is turned."""
    picture = striped(size if orientation < 5 else size[::-1], 40)
    picture = Image.merge("YCbCr", [picture.getchannel(band) for band in (1, 1, 2)])
    recipes = {ImageType.COVER: Recipe(Fit(1279, 1279))}
    picture.getexif()[0x0112] = orientation
    upright, turned = (
        Image.open(io.BytesIO(PillowProcessor(recipes=recipes)(data, ImageType.COVER).main.data))
        for data in (encoded(ImageOps.exif_transpose(picture)), encoded(picture, exif=picture.getexif()))
    )
    assert upright.size == turned.size
    difference = ImageChops.difference(*(each.convert("YCbCr") for each in (upright, turned)))
    assert max(ImageStat.Stat(difference).mean) < 1


def encoded(picture, **options):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95, subsampling=2, **options)
    return file.getvalue()
