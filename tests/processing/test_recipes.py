"""Recipes: which part of a picture is taken, how large it becomes, and in which format."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from userimages import ConfigurationError, ImageType
from userimages.keys import VARIANT_NAME
from userimages.processing import Fill, Fit, Limits, PillowProcessor, Recipe
from userimages.processing.recipes import RECIPES
from userimages.testing import make_image

SIDES = st.integers(1, 5000)
SHAPES = st.builds(Fit, SIDES, st.none() | SIDES) | st.builds(
    Fill, SIDES, SIDES, focus=st.tuples(st.floats(0, 1), st.floats(0, 1))
)


@given(SHAPES, st.tuples(SIDES, SIDES))
def test_a_shape_stays_within_the_picture(shape, size):
    """A shape never enlarges and never leaves the picture."""
    (left, top, right, bottom), (width, height) = shape.place(size)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert 1 <= width <= min(right - left, shape.width)
    assert 1 <= height <= min(bottom - top, shape.height or size[1])


@given(st.builds(Fit, SIDES, st.none() | SIDES), st.tuples(st.integers(100, 5000), st.integers(100, 5000)))
def test_fit_keeps_the_shape_up_to_a_pixel(shape, size):
    """Fit keeps the shape up to a pixel."""
    box, (width, height) = shape.place(size)
    assert box == (0, 0, *size)
    assert abs(width * size[1] - height * size[0]) <= max(*size, width, height)


@pytest.mark.parametrize(
    ("focus", "box"),
    [
        ((0.5, 0.5), (50, 0, 350, 300)),
        ((0.0, 0.0), (0, 0, 300, 300)),
        ((1.0, 0.5), (100, 0, 400, 300)),
        ((0.4, 0.9), (10, 0, 310, 300)),
    ],
)
def test_fill_keeps_the_focus_near_the_middle(focus, box):
    """Fill keeps the focus as near to the middle as it can."""
    assert Fill(256, 256, focus=focus).place((400, 300)) == (box, (256, 256))


def test_fill_of_a_small_picture_keeps_the_shape():
    """Fill of a picture that is too small keeps the shape."""
    assert Fill(400, 200).place((100, 100)) == ((0, 25, 100, 75), (100, 50))


def test_a_focus_is_that_of_the_upright_picture():
    """A focus is that of the upright picture."""
    picture = Image.new("RGB", (300, 200), "blue")
    picture.paste("red", (200, 0, 300, 200))  # to the right as stored: at the bottom when turned by orientation 6
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(file, "JPEG", quality=95, exif=exif)
    recipe = Recipe(variants={"end": Fill(80, 80, focus=(0.5, 1.0))})
    processed = PillowProcessor(recipes={ImageType.COVER: recipe})(file.getvalue(), ImageType.COVER)
    red, _, blue = Image.open(io.BytesIO(processed.variants["end"].data)).convert("RGB").getpixel((40, 60))
    assert red > 200
    assert blue < 60


@pytest.mark.parametrize(
    ("image_type", "sizes"),
    [
        ("profile", {"64": (64, 64), "128": (128, 128), "256": (256, 256), "512": (512, 512)}),
        ("gallery", {"320": (320, 240), "640": (640, 480), "1280": (1280, 960)}),
        ("cover", {"640": (640, 480), "1280": (1280, 960)}),
    ],
)
def test_the_default_variants(processor, image_type, sizes):
    """The default variants."""
    processed = processor(make_image("JPEG", (1600, 1200)), ImageType(image_type))
    assert (processed.main.width, processed.main.height) == (1600, 1200)
    assert {name: (each.width, each.height) for name, each in processed.variants.items()} == sizes
    assert {each.mime_type for each in processed.variants.values()} == {"image/webp"}


def test_the_widths_of_a_gallery_hold_for_a_portrait(processor):
    """The widths of a gallery are widths of a portrait too."""
    processed = processor(make_image("JPEG", (1080, 1920)), ImageType.GALLERY)
    assert {name: each.width for name, each in processed.variants.items()} == {"320": 320, "640": 640, "1280": 720}


def test_a_variant_stops_at_the_size_of_its_source(processor):
    """A variant stops at the size of its source."""
    for image_type in ImageType:
        for variant in processor(make_image("PNG", (50, 40)), image_type).variants.values():
            assert variant.width <= 50
            assert variant.height <= 40


def test_a_recipe_is_replaced_in_one_line():
    """A recipe is replaced in one line."""
    processor = PillowProcessor(
        recipes={ImageType.PROFILE: Recipe(Fit(300, 300), variants={"wide": Fill(160, 90)}, format="webp")}
    )
    processed = processor(make_image("JPEG", (640, 480)), ImageType.PROFILE)
    assert (processed.main.width, processed.main.mime_type) == (300, "image/webp")
    assert [(name, each.width, each.height) for name, each in processed.variants.items()] == [("wide", 160, 90)]
    assert processor(make_image("JPEG", (640, 480)), ImageType.GALLERY).main.width == 640


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_the_format_is_chosen(format):
    """The format is chosen."""
    recipe = Recipe(variants={"64": Fit(64)}, format=format, variant_format=format)
    for data in (
        make_image("JPEG", (96, 64)),
        make_image("PNG", (96, 64), mode="RGBA"),
        make_image("PNG", (96, 64), mode="L"),
    ):
        processed = PillowProcessor(recipes={"cover": recipe})(data, ImageType.COVER)
        for rendition in (processed.main, processed.variants["64"]):
            assert rendition.mime_type == f"image/{format}"
            assert Image.open(io.BytesIO(rendition.data)).format == format.upper()


def test_transparency_is_flattened_for_jpeg():
    """Transparency is put on white where JPEG is asked for."""
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    file = io.BytesIO()
    clear.save(file, "PNG")
    processed = PillowProcessor(recipes={"cover": Recipe(format="jpeg")})(file.getvalue(), ImageType.COVER)
    assert Image.open(io.BytesIO(processed.main.data)).getpixel((32, 32)) == (255, 255, 255)


def test_an_animation_is_kept_as_avif_too():
    """An animation is kept as AVIF too."""
    recipe = Recipe(format="avif")
    data = make_image("GIF", (64, 48), frames=3)
    processed = PillowProcessor(recipes={"cover": recipe})(data, ImageType.COVER)
    assert Image.open(io.BytesIO(processed.main.data)).n_frames == 3


def test_the_quality_is_chosen(processor):
    """The quality is chosen."""
    data = make_image("JPEG", (640, 480), quality=95)
    small = PillowProcessor(recipes={"gallery": Recipe(quality=30, variants={"320": Fit(320)}, variant_quality=20)})
    ours, theirs = small(data, ImageType.GALLERY), processor(data, ImageType.GALLERY)
    assert len(ours.main.data) < len(theirs.main.data) / 2
    assert len(ours.variants["320"].data) < len(theirs.variants["320"].data) / 1.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fit(0),
        lambda: Fit(5, 0),
        lambda: Fill(-1, 5),
        lambda: Fill(5, 5, focus=(0.5, 1.1)),
        lambda: Recipe(variants={"Large": Fit(5)}),
        lambda: Recipe(variants={"a/b": Fit(5)}),
        lambda: Recipe(variants={"": Fit(5)}),
        lambda: Recipe(format="png"),
        lambda: Recipe(variant_format="bmp"),
        lambda: Recipe(quality=0),
        lambda: Recipe(variant_quality=101),
        lambda: PillowProcessor(recipes={"Banner": Recipe()}),
        lambda: PillowProcessor(recipes={"cover": Fit(5)}),
        lambda: PillowProcessor(recipes=[Recipe()]),
        lambda: PillowProcessor(limits=None),
        lambda: Fit("640"),
        lambda: Fit(None),
        lambda: Fit(640.5),
        lambda: Fill(5, None),
        lambda: Fill(5, 5, focus="top"),
        lambda: Fill(5, 5, focus=0.5),
        lambda: Fill(5, 5, focus=("0", "1")),
        lambda: Recipe((640, 640)),
        lambda: Recipe(variants={"64": 64}),
        lambda: Recipe(variants={64: Fit(64)}),
        lambda: Recipe(variants=["64"]),
        lambda: Recipe(format=["webp"]),
        lambda: Recipe(quality="85"),
        lambda: Limits(max_bytes="10 MB"),
        lambda: Limits(max_pixels=None),
        lambda: Limits(max_side=-1),
        lambda: Limits(wait_seconds=float("nan")),
        lambda: Limits(wait_seconds=float("inf")),
        lambda: Limits(max_bytes=1e6),
        lambda: Limits(max_bytes=True),
        lambda: Fit(True),
        lambda: Fit(10**400),
        lambda: Fill(5, 5, focus={0.1, 0.2}),
        lambda: Recipe(quality=True),
        lambda: Recipe(format=""),
    ],
    ids=range(40),
)
def test_a_setting_that_cannot_work_is_refused_early(make):
    """A setting that cannot work is refused when it is written."""
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert refused.value.hint


def test_names_of_default_variants_can_stand_in_a_key():
    """The names of the default variants can stand in a key."""
    assert set(RECIPES) == set(ImageType)
    for recipe in RECIPES.values():
        assert all(VARIANT_NAME.fullmatch(name) for name in recipe.variants)
