"""Fidelity: the picture comes out upright, in the right colors, with its transparency and its frames; nothing else."""

import io
from types import SimpleNamespace

import hostile
import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat
from PIL.JpegImagePlugin import get_sampling

from userimages import ImageType
from userimages.processing import Fill, Fit, PillowProcessor, Recipe
from userimages.processing.encode import encode, subsampling_of
from userimages.testing import make_image
from userimages.testing.images import make_exif, make_icc, make_pixels

XMP = b"<x:xmpmeta>" + hostile.SCRIPT + b"</x:xmpmeta>"
WHOLE = Recipe(Fit(4000), quality=95)


def process(data, recipe=WHOLE):
    return PillowProcessor(recipes={ImageType.GALLERY: recipe})(data, ImageType.GALLERY)


def opened(rendition):
    image = Image.open(io.BytesIO(rendition.data))
    image.load()
    assert image.size == (rendition.width, rendition.height)
    assert Image.MIME[image.format] == rendition.mime_type
    return image


def output(data, recipe=WHOLE):
    return opened(process(data, recipe).main)


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def distance(one, other):
    """The mean difference of two pictures, over all channels, from 0 to 255."""
    difference = ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))
    return sum(ImageStat.Stat(difference).mean) / 4


def quarters(width, height):
    """Four colors in four corners, so that every turn shows."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


TURNED = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_270],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_90],
}


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.contract("C26")
def test_every_orientation_comes_out_upright(format, orientation):
    """Every orientation comes out upright."""
    stored = quarters(96, 64)
    upright = stored
    for turn in TURNED[orientation]:
        upright = upright.transpose(turn)
    data = encoded(stored, format, exif=make_exif(orientation=orientation), quality=95)
    assert distance(output(data), upright) < 6


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("scale", [1, 20])
def test_every_orientation_is_right_when_shrunk(orientation, scale):
    """Every orientation is right after shrinking and cropping too."""
    stored = quarters(96 * max(10, scale + 5), 64 * max(10, scale + 5))
    upright = stored
    for turn in TURNED[orientation]:
        upright = upright.transpose(turn)
    data = encoded(stored, "JPEG", exif=make_exif(orientation=orientation), quality=95)
    small = output(data, Recipe(Fit(90 * scale, 90 * scale), quality=95))
    assert distance(small, upright.resize(small.size, Image.Resampling.LANCZOS)) < 3
    corner = output(data, Recipe(Fill(60 * scale, 40 * scale, focus=(1.0, 0.0)), quality=95))
    box, size = Fill(60 * scale, 40 * scale, focus=(1.0, 0.0)).place(upright.size)
    assert distance(corner, upright.crop(box).resize(size, Image.Resampling.LANCZOS)) < 4


@pytest.mark.parametrize(
    ("size", "wide", "subsampling"), [((3201, 2401), 396, 0), ((2401, 3201), 296, 2), ((3601, 2701), 1796, 2)]
)
def test_a_drafted_decode_is_not_shifted(size, wide, subsampling):
    """A drafted decode is not shifted by a fraction of a pixel."""
    data = encoded(make_pixels(size, seed=3), "JPEG", quality=97, subsampling=subsampling)
    small = output(data, Recipe(Fit(wide), quality=97))
    expected = Image.open(io.BytesIO(data)).resize(small.size, Image.Resampling.LANCZOS)
    drafted = Image.open(io.BytesIO(data))
    drafted.draft(None, small.size)
    careless = drafted.resize(small.size, Image.Resampling.LANCZOS)
    assert drafted.width * small.size[1] != drafted.height * small.size[0]
    edge = small.width * 7 // 8, small.height * 7 // 8, small.width, small.height
    ours, right, wrong = (each.convert("L").crop(edge) for each in (small, expected, careless))
    assert distance(ours, right) < 0.85 * distance(wrong, right)


@pytest.mark.parametrize("size", [(2000, 1400), (2001, 1401)])
@pytest.mark.parametrize("options", [{"subsampling": 2}, {"subsampling": 0}, {"keep_rgb": True, "subsampling": 0}])
def test_a_photo_keeps_its_colors_in_every_jpeg(size, options):
    """A photo keeps its colors whichever way its JPEG holds them."""
    picture = quarters(*size)
    picture.paste("white", (size[0] // 2, size[1] // 2, *size))
    data = encoded(picture, "JPEG", quality=95, **options)
    variants = {"800": Fit(800), "100": Fit(100), "fill": Fill(50, 50)}
    processed = process(data, Recipe(Fit(1301, 1301), variants=variants))
    for rendition in (processed.main, processed.variants["800"], processed.variants["100"]):
        stored = opened(rendition)
        assert distance(stored, picture.resize(stored.size, Image.Resampling.LANCZOS)) < 4
    square = picture.crop(Fill(50, 50).place(picture.size)[0]).resize((50, 50), Image.Resampling.LANCZOS)
    assert distance(opened(processed.variants["fill"]), square) < 5
    del variants["800"]
    small = process(data, Recipe(Fit(1301, 1301), variants=variants))
    assert distance(opened(small.variants["100"]), opened(processed.variants["100"])) < 2
    assert distance(opened(small.variants["fill"]), opened(processed.variants["fill"])) < 2


def test_a_jpeg_that_says_it_is_rgb_is_believed():
    """A JPEG that says that it is of red, green and blue is taken at its word."""
    plain = make_image("JPEG", (2000, 1400), subsampling=2)
    rgb = plain[:2] + hostile.segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + plain[20:]
    shown = Image.open(io.BytesIO(rgb)).convert("RGB")
    assert distance(shown, Image.open(io.BytesIO(plain))) > 10
    small = output(rgb, Recipe(Fit(1300), quality=95))
    assert distance(small, shown.resize(small.size, Image.Resampling.LANCZOS)) < 5


@pytest.mark.contract("C26")
def test_a_photo_fits_the_bounds_as_a_jpeg(processor):
    """A photo fits 1920x1920, as a JPEG of quality 85."""
    processed = processor(make_image("JPEG", (3000, 2000), quality=95), ImageType.GALLERY)
    assert (processed.main.width, processed.main.height, processed.main.mime_type) == (1920, 1280, "image/jpeg")
    reference = Image.open(io.BytesIO(encoded(Image.new("RGB", (8, 8)), "JPEG", quality=85)))
    assert opened(processed.main).quantization == reference.quantization


@pytest.mark.parametrize("name", ["display-p3", "adobe-rgb"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.contract("C26")
def test_a_wide_gamut_is_converted_by_its_profile(name, format):
    """A wide gamut is converted through its profile."""
    profile = make_icc(name)
    wide = quarters(96, 64).point([value // 2 + 40 for value in range(256)] * 3)
    srgb = ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(wide, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, 1)
    options = {"subsampling": 0} if format == "JPEG" else {"lossless": True} if format == "WEBP" else {}
    result = output(encoded(wide, format, icc_profile=profile, quality=97, **options))
    assert "icc_profile" not in result.info
    assert distance(result, expected) < 1.5
    assert distance(wide, expected) > 3, "the profile changes nothing, so nothing was tested"


def test_a_large_photo_of_a_wide_gamut_is_converted():
    """A large photo of a wide gamut is converted too."""
    profile = make_icc("display-p3")
    wide = quarters(2000, 1400).point([value // 2 + 40 for value in range(256)] * 3)
    stored = output(encoded(wide, "JPEG", icc_profile=profile, quality=95), Recipe(Fit(1300), quality=95))
    small = wide.resize(stored.size, Image.Resampling.LANCZOS)
    srgb = ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(small, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, 1)
    assert distance(stored, expected) < 1.5 < distance(stored, small)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_no_format_takes_metadata_over_from_its_source(format):
    """No format takes metadata over from its source."""
    data = make_image("WEBP", (96, 64), gps=True, xmp=XMP, icc=make_icc("display-p3"))
    processed = process(data, Recipe(format=format, variants={"64": Fit(64)}, variant_format=format))
    for rendition in (processed.main, processed.variants["64"]):
        for trace in (b"Camera of the tests", b"xmpmeta", b"display-p3"):
            assert trace not in rendition.data


def test_a_comment_left_by_a_decoder_is_not_written():
    """A comment that a decoder left with the pixels is not written."""
    image = make_pixels((48, 32))
    image.info["comment"] = hostile.SCRIPT
    assert hostile.SCRIPT in encoded(image, "JPEG")
    assert hostile.SCRIPT not in encode(image, "jpeg", 85).data


def test_display_p3_green_becomes_the_nearest_srgb():
    """Pure Display P3 green becomes the nearest sRGB."""
    green = Image.new("RGB", (32, 32), (60, 200, 60))
    red, lime, blue = output(encoded(green, "PNG", icc_profile=make_icc("display-p3"))).getpixel((16, 16))
    assert red < 30
    assert lime > 195
    assert blue < 60


@pytest.mark.contract("C26")
def test_cmyk_is_read():
    """CMYK is read."""
    picture = quarters(96, 64)
    assert distance(output(encoded(picture.convert("CMYK"), "JPEG", quality=95)), picture) < 6


@pytest.mark.parametrize(
    "profile",
    [
        b"\xff" * 500,
        b"x",
        make_icc("display-p3")[:150],
        make_icc("gray-2.2"),
        make_icc("display-p3").replace(b"XYZ ", b"ABC "),
    ],
)
def test_a_profile_that_does_not_work_is_dropped(profile):
    """A profile that does not work is dropped, and the picture is kept."""
    picture = quarters(96, 64)
    for format in ("JPEG", "PNG", "WEBP"):
        assert distance(output(encoded(picture, format, icc_profile=profile, quality=95)), picture) < 6


def test_a_profile_with_a_missing_part_is_dropped():
    """A profile in parts of which one is missing is dropped."""
    part = hostile.segment(0xE2, b"ICC_PROFILE\0\2\3" + make_icc("display-p3"))
    assert output(hostile.jpeg_with(part)).size == (48, 32)


def test_a_profile_in_parts_out_of_order_is_joined():
    """A profile in parts out of order is joined."""
    whole = make_icc("adobe-rgb")
    parts = [
        hostile.segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 2)) + each)
        for n, each in ((2, whole[200:]), (1, whole[:200]))
    ]
    picture = make_image("JPEG", (48, 32))
    assert distance(output(hostile.jpeg_with(*parts)), output(make_image("JPEG", (48, 32), icc=whole))) == 0
    assert distance(output(hostile.jpeg_with(*parts)), output(picture)) > 1


def test_a_gray_profile_keeps_gray_gray():
    """A gray profile keeps gray gray."""
    gray = make_pixels((96, 64), mode="L")
    result = output(encoded(gray, "JPEG", icc_profile=make_icc("gray-2.2"), quality=95))
    assert result.mode == "L"
    assert distance(result, gray) < 4


@pytest.mark.contract("C26")
def test_sixteen_bit_gray_is_scaled_and_not_clipped():
    """Gray of sixteen bits is scaled, not clipped."""
    ramp = b"".join((at * 257).to_bytes(2, "little") for at in range(256))
    gray = Image.frombytes("I;16", (256, 8), ramp * 8)
    expected = Image.frombytes("L", (256, 8), bytes(range(256)) * 8)
    assert distance(output(encoded(gray, "PNG")), expected) < 1.5


def test_sixteen_bit_rgb_and_alpha_are_scaled():
    """Sixteen bit RGB and alpha are scaled."""
    row = b"".join((at * 257).to_bytes(2) * 3 for at in range(0, 256, 4))
    rgb = hostile.png(64, 4, depth=16, color=2, rows=(b"\0" + row) * 4)
    assert distance(output(rgb), Image.frombytes("L", (64, 4), bytes(range(0, 256, 4)) * 4)) < 2
    row = b"".join((40_000).to_bytes(2) * 3 + (at * 257).to_bytes(2) for at in range(0, 256, 4))
    rgba = output(hostile.png(64, 4, depth=16, color=6, rows=(b"\0" + row) * 4))
    assert rgba.getchannel("A").getpixel((0, 0)) == 0
    assert rgba.getchannel("A").getpixel((63, 0)) > 245


def test_a_transparent_sixteen_bit_gray_stays_so():
    """A transparent value of sixteen bit gray is transparent."""
    row = b"".join(value.to_bytes(2) for value in (0x1234, 0x1235, 0x1334, 0x1234) * 4)
    key = hostile.chunk(b"tRNS", (0x1234).to_bytes(2))
    alpha = output(hostile.png(16, 2, depth=16, color=0, extra=key, rows=(b"\0" + row) * 2)).getchannel("A")
    assert list(alpha.get_flattened_data())[:4] == [0, 255, 255, 0]


def test_a_transparent_sixteen_bit_color_stays_so():
    """A transparent color of sixteen bit RGB is transparent."""
    row = b"".join(value.to_bytes(2) for value in (0x12FF, 0x3400, 0x5600, 0xFFFF, 0xFFFF, 0xFFFF) * 4)
    key = hostile.chunk(b"tRNS", bytes.fromhex("12FF34005600"))
    alpha = output(hostile.png(8, 2, depth=16, color=2, extra=key, rows=(b"\0" + row) * 2)).getchannel("A")
    assert list(alpha.get_flattened_data())[:4] == [0, 255, 0, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.contract("C26")
def test_transparency_is_kept_as_webp(mode, format):
    """Transparency is kept as WebP."""
    picture = make_pixels((96, 64), mode=mode)
    result = output(encoded(picture, format, **({"lossless": True} if format == "WEBP" else {})))
    assert (result.format, result.mode) == ("WEBP", "RGBA")
    assert distance(result.getchannel("A"), picture.getchannel("A")) < 1.5


def test_hidden_colors_do_not_bleed_when_shrunk():
    """Hidden colors do not bleed where a transparent picture is shrunk."""
    picture = Image.new("RGBA", (640, 640), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (160, 160, 480, 480))
    small = output(encoded(picture, "PNG"), Recipe(Fit(50, 50), quality=95))
    red, _, blue, alpha = small.getpixel((25, 25))
    assert alpha == 255
    assert blue > 200
    assert red < 40
    seen = [pixel for pixel in small.get_flattened_data() if pixel[3] > 60]
    assert max(pixel[0] for pixel in seen) < 110


def test_a_picture_with_opaque_alpha_is_a_jpeg():
    """A picture whose alpha is opaque everywhere is a JPEG."""
    opaque = make_pixels((96, 64))
    opaque.putalpha(255)
    assert output(encoded(opaque, "PNG")).format == "JPEG"


def test_palettes_keep_colors_and_transparency():
    """Palettes keep colors and transparency."""
    picture = quarters(96, 64).quantize(8)
    assert distance(output(encoded(picture, "PNG")), picture.convert("RGB")) < 3
    assert distance(output(encoded(picture, "GIF")), picture.convert("RGB")) < 3
    index = picture.getpixel((0, 0))
    for key in (index, bytes(0 if at == index else 255 for at in range(8))):
        alpha = output(encoded(picture, "PNG", transparency=key)).getchannel("A")
        assert alpha.getpixel((2, 2)) == 0
        assert alpha.getpixel((90, 2)) == 255
    gif = output(encoded(picture, "GIF", transparency=index)).getchannel("A")
    assert (gif.getpixel((2, 2)), gif.getpixel((90, 2))) == (0, 255)


def test_a_color_key_and_one_bit_are_read():
    """A color key and one bit are read."""
    keyed = output(encoded(quarters(96, 64), "PNG", transparency=(255, 0, 0)))
    assert (keyed.getchannel("A").getpixel((2, 2)), keyed.getchannel("A").getpixel((90, 2))) == (0, 255)
    bits = make_pixels((96, 64), mode="1")
    assert distance(output(encoded(bits, "PNG")), bits) < 12


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.contract("C26")
def test_an_animation_keeps_frames_durations_and_loops(format):
    """An animation keeps its frames, their durations and its loops."""
    data = make_image(format, (120, 80), frames=4, durations=[50, 120, 300, 80], loop=3, lossless=True)
    result = output(data, Recipe(Fit(60, 60)))
    assert (result.format, result.size, result.n_frames) == ("WEBP", (60, 40), 4)
    durations = []
    for number in range(4):
        result.seek(number)
        result.load()
        durations.append(result.info["duration"])
        expected = make_pixels((120, 80), seed=number).resize((60, 40), Image.Resampling.LANCZOS)
        assert distance(result, expected) < 12, f"frame {number}"
    assert durations == [50, 120, 300, 80]
    # A GIF states how often it is repeated, the others how often it is played.
    assert result.info["loop"] == (4 if format == "GIF" else 3)


def test_an_animation_loops_as_its_file_says():
    """An animation without an end has none, and one without a loop plays once."""
    assert output(make_image("GIF", (48, 32), frames=2, loop=0)).info["loop"] == 0
    frames = [hostile.gif_frame(8, 8, delay=7), hostile.gif_frame(4, 4, delay=9, transparent=True)]
    assert output(hostile.gif(8, 8, frames)).info["loop"] in (0, 1)


def test_the_fallback_of_an_apng_is_not_a_frame():
    """The picture that an APNG shows where it cannot play is not a frame."""
    first, second, third = (make_pixels((48, 32), seed=seed) for seed in range(3))
    data = encoded(first, "PNG", save_all=True, default_image=True, append_images=[second, third], duration=50)
    result = output(data)
    assert result.n_frames == 2
    assert distance(result, second) < 12


def test_variants_of_an_animation_are_still():
    """Variants of an animation are still."""
    data = make_image("GIF", (120, 80), frames=3)
    variant = opened(process(data, Recipe(variants={"60": Fit(60)})).variants["60"])
    assert getattr(variant, "n_frames", 1) == 1


def test_a_still_format_keeps_the_first_frame():
    """A still format keeps the first frame."""
    result = output(make_image("WEBP", (120, 80), frames=3), Recipe(format="jpeg"))
    assert (result.format, result.size) == ("JPEG", (120, 80))
    assert distance(result, make_pixels((120, 80))) < 12


@pytest.mark.parametrize("quality", [20, 40, 60, 75, 84])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.contract("C26")
def test_a_jpeg_of_low_quality_is_not_blown_up(processor, quality, orientation):
    """A JPEG below quality 85 is not blown up."""
    data = make_image("JPEG", (800, 600), quality=quality, orientation=orientation)
    assert len(processor(data, ImageType.GALLERY).main.data) <= len(data) * 1.02


def test_a_shrunk_jpeg_gets_the_usual_quality(processor):
    """A JPEG of low quality that is shrunk is stored at 85, because it does not grow."""
    data = make_image("JPEG", (3840, 2880), quality=60)
    image = opened(processor(data, ImageType.GALLERY).main)
    reference = Image.open(io.BytesIO(encoded(Image.new("RGB", (8, 8)), "JPEG", quality=85)))
    assert image.quantization == reference.quantization


def test_a_small_photo_is_shrunk_as_from_a_full_decode():
    """A small photo is shrunk as from a full decode."""
    data = make_image("JPEG", (1300, 1000), quality=95)
    stored = output(data, Recipe(Fit(500, 500)))
    expected = Image.open(io.BytesIO(data)).resize(stored.size, Image.Resampling.LANCZOS)
    recoded = Image.open(io.BytesIO(encoded(expected, "JPEG", quality=85, subsampling=2)))
    assert distance(stored, expected) < 1.05 * distance(recoded, expected)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_keeps_its_subsampling(processor, subsampling):
    """A JPEG keeps its subsampling."""
    data = make_image("JPEG", (96, 64), subsampling=subsampling)
    assert get_sampling(opened(processor(data, ImageType.GALLERY).main)) == subsampling


@pytest.mark.parametrize(
    ("factors", "subsampling"),
    [
        ([(1, 1)], 0),
        ([(1, 1), (1, 1), (1, 1)], 0),
        ([(1, 2), (1, 1), (1, 1)], 0),
        ([(2, 1), (1, 1), (1, 1)], 1),
        ([(4, 1), (1, 1), (1, 1)], 1),
        ([(2, 2), (1, 1), (1, 1)], 2),
        ([(2, 2), (2, 1), (1, 2)], 0),
        ([(1, 1)] * 4, 0),
        ([(2, 2), (1, 1), (1, 1), (2, 2)], 2),
    ],
)
def test_rare_samplings_keep_their_color(factors, subsampling):
    """A rare sampling becomes the one that keeps its color."""
    image = SimpleNamespace(layer=[(number, *factor, 0) for number, factor in enumerate(factors, 1)])
    assert subsampling_of(image) == subsampling


@pytest.mark.parametrize("size", [(96, 64), (2400, 1600)])
@pytest.mark.parametrize(
    ("format", "options", "subsampling"),
    [
        ("WEBP", {}, 2),
        ("WEBP", {"lossless": True, "method": 0, "quality": 0}, 0),
        ("WEBP", {"frames": 2, "method": 0}, 0),
        ("PNG", {"compress_level": 1}, 0),
    ],
)
def test_another_format_keeps_color_at_every_pixel(size, format, options, subsampling):
    """A lossy WebP is the exception."""
    data = make_image(format, size, **options)
    recipe = Recipe(Fill(1200, 900), format="jpeg", variants={"300": Fit(300)})
    processed = process(data, recipe)
    stored, small = opened(processed.main), opened(processed.variants["300"])
    assert get_sampling(stored) == subsampling
    box, _ = recipe.main.place(size)
    picture = Image.open(io.BytesIO(data)).convert("RGB").crop(box)
    for each in (stored, small):
        assert distance(each, picture.resize(each.size, Image.Resampling.LANCZOS)) < 7


LOADED = {
    "jpeg": {
        "format": "JPEG",
        "orientation": 6,
        "gps": True,
        "comment": hostile.SCRIPT,
        "xmp": XMP,
        "icc": make_icc("adobe-rgb"),
    },
    "jpeg-same-size": {"format": "JPEG", "comment": hostile.SCRIPT},
    "gif": {"format": "GIF", "comment": hostile.SCRIPT, "mode": "P"},
    "gif-animated": {"format": "GIF", "comment": hostile.SCRIPT, "frames": 3},
    "png": {"format": "PNG", "gps": True, "icc": make_icc("display-p3")},
    "png-alpha": {"format": "PNG", "mode": "RGBA", "gps": True, "icc": make_icc("display-p3")},
    "webp": {"format": "WEBP", "gps": True, "xmp": XMP, "orientation": 8},
    "webp-animated": {"format": "WEBP", "gps": True, "xmp": XMP, "frames": 3, "icc": make_icc("display-p3")},
}


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.contract("C26")
def test_nothing_but_the_picture_is_stored(processor, name):
    """Nothing but the picture is stored."""
    data = make_image(size=(96, 64), trailing=b"PK\x03\x04 secret" + hostile.SCRIPT, **LOADED[name])
    assert any(word in data for word in hostile.FORBIDDEN)
    processed = processor(data, ImageType.GALLERY)
    for rendition in (processed.main, *processed.variants.values()):
        assert not hostile.traces(rendition)


@pytest.mark.parametrize("place", ["tEXt", "zTXt", "iTXt", "eXIf", "prVt"])
def test_no_chunk_of_a_png_survives(processor, place):
    """No chunk of a PNG survives."""
    data = hostile.png(40, 20, color=2, extra=hostile.chunk(place.encode(), b"Comment\0" + hostile.SCRIPT))
    assert not hostile.traces(processor(data, ImageType.GALLERY).main)


def test_iptc_and_a_second_picture_are_gone(processor):
    """IPTC and a second picture are gone."""
    iptc = hostile.segment(
        0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x1a\x1c\x02\x78\0\x15secret home address!!"
    )
    processed = processor(hostile.jpeg_with(iptc) + make_image("JPEG", (24, 24)), ImageType.GALLERY)
    assert not hostile.traces(processed.main)
    assert processed.main.data.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (make_image("PNG", (40, 30)), "image/jpeg"),
        (make_image("PNG", (40, 30), mode="RGBA"), "image/webp"),
        (make_image("GIF", (40, 30), frames=2), "image/webp"),
        (make_image("JPEG", (40, 30)), "image/jpeg"),
        (make_image("WEBP", (40, 30)), "image/jpeg"),
    ],
)
@pytest.mark.contract("C11")
def test_the_content_type_is_that_of_the_bytes(processor, data, mime_type):
    """The content type is that of the bytes that were written."""
    assert opened(processor(data, ImageType.GALLERY).main).get_format_mimetype() == mime_type


@pytest.mark.contract("C11")
def test_a_png_is_never_called_what_it_is_not(processor):
    """A PNG under any name is never called what it is not."""
    for format in ("JPEG", "PNG", "GIF", "WEBP"):
        processed = processor(make_image(format, (400, 300)), ImageType.COVER)
        for rendition in (processed.main, *processed.variants.values()):
            opened(rendition)
