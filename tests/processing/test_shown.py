"""What browsers show, as it must be stored: the same kinds as in test_browser.py, where there is no browser."""

import base64
import io
import itertools
import struct
import zlib
from types import SimpleNamespace

import drawn
import hostile
import pytest
from drawn import SIZE, TABLE
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from userimages.errors import BrokenImageError, LimitExceededError
from userimages.processing import Fit, Limits, PillowProcessor, Recipe
from userimages.processing.color import Profile
from userimages.processing.encode import subsampling_of
from userimages.processing.graphics import is_graphic
from userimages.processing.intake import examine, sniff
from userimages.processing.jpeg_end import end_of_scans
from userimages.processing.matrix_profile import coded_profile, gray_profile, rgb_profile
from userimages.testing import make_image
from userimages.testing.images import make_exif, make_icc, make_pixels

WEBP = Recipe(format="webp", variants={"1280": Fit(1280)})
RED, GREEN, BLUE = ((*TABLE[at : at + 3], 255) for at in (0, 3, 6))
NOTHING = (0, 0, 0, 0)
PART = (7, 5)


def stored(data, recipe=WEBP):
    image = Image.open(io.BytesIO(PillowProcessor(recipes={"gallery": recipe})(data, "gallery").main.data))
    image.load()
    return image


def frames(data, recipe=WEBP):
    """The frames as RGBA, and how often and how long they play."""
    image = stored(data, recipe)
    shown, durations = [], []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        image.load()
        shown.append(image.convert("RGBA"))
        durations.append(image.info.get("duration"))
    return shown, image.info.get("loop"), durations


def full(index, size=SIZE):
    return [index] * (size[0] * size[1])


def tile(index, place=(0, 0), **options):
    return drawn.gif_frame(full(index, PART), PART, place, **options)


# Frames


@pytest.mark.parametrize("key", [None, 3])
def test_gif_what_no_frame_covers_is_nothing(key):
    """A still and an animation, with and without a transparent color: it is not filled with a color of the table."""
    image = stored(drawn.gif([tile(0, (2, 1), key=key)], background=1)).convert("RGBA")
    assert image.size == SIZE
    assert [image.getpixel(place) for place in ((0, 0), (3, 2), (12, 9))] == [NOTHING, RED, NOTHING]
    first, second = frames(drawn.gif([tile(0, (2, 1), key=key), tile(1, (8, 6), key=key)]))[0]
    assert [each.getpixel((9, 7)) for each in (first, second)] == [NOTHING, GREEN]


@pytest.mark.parametrize(("disposal", "left"), [(0, RED), (1, RED), (2, NOTHING), (3, NOTHING), (4, NOTHING), (5, RED)])
def test_gif_what_becomes_of_a_first_frame(disposal, left):
    """Disposal 2 clears to nothing; what the first frame restores (3, and 4 as some write it) is the empty canvas."""
    second = frames(drawn.gif([tile(0, dispose=disposal), tile(1, (8, 6))]))[0][1]
    assert second.getpixel((2, 2)) == left
    assert second.getpixel((9, 7)) == GREEN


def test_gif_a_later_frame_is_restored():
    """Disposal 3 of a later frame brings back what was below it."""
    third = frames(drawn.gif([tile(0), tile(1, (3, 2), dispose=3), tile(2, (9, 7))]))[0][2]
    assert [third.getpixel(place) for place in ((4, 3), (8, 5), (10, 8))] == [RED, NOTHING, BLUE]


def test_gif_the_canvas_is_the_screen():
    """Later frames are clipped to it; a first frame that is larger widens it; a tile far away is not decoded."""
    whole = drawn.gif_frame(full(0), SIZE)
    for place in ((12, 9), (26020, 28016)):
        clear = drawn.gif_frame(full(3, PART), PART, place, key=3)
        assert stored(drawn.gif([whole, tile(1, place), clear, tile(2)])).size == SIZE
    assert stored(drawn.gif([tile(0, (12, 9)), tile(1, (30, 30))])).size == (19, 14)


def test_gif_frames_count_by_their_own_size():
    """A small screen is no way around the limit: what lies outside of it is decoded too."""
    large = [drawn.gif_frame([0], (4000, 3000)) for _ in range(3)]
    with pytest.raises(LimitExceededError) as refused:
        examine(drawn.gif([tile(0), *large], screen=(8, 8)), Limits())
    assert refused.value.code == "too_many_pixels"


@pytest.mark.parametrize("label", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
@pytest.mark.parametrize(("repeats", "plays"), [(None, 1), (0, 0), (1, 2), (65534, 65535), (65535, 0)])
def test_gif_plays(repeats, plays, label):
    """A GIF states how often it is repeated, up to 65,535 times; one more does not fit into a WebP and is for ever."""
    assert frames(drawn.gif([tile(0), tile(1)], repeats=repeats, label=label))[1] == plays


@pytest.mark.parametrize(("plays", "kept"), [(0, 0), (1, 1), (65535, 65535), (65536, 0), (70000, 0), (0x7FFFFFFF, 0)])
def test_apng_plays(plays, kept):
    """More plays than WebP can hold are for ever."""
    assert frames(moving(0, 1, plays=plays))[1] == kept


def test_delays_are_those_that_browsers_play():
    """At most 10 ms are played as 100, by every browser."""
    data = drawn.gif([drawn.gif_frame(full(at), SIZE, delay=delay) for at, delay in enumerate((0, 1, 2, 30))])
    assert frames(data)[2] == [100, 100, 20, 300]
    data = moving(*(color(40 * at, 9, 9, 255, delay=delay) for at, delay in enumerate(((0, 1), (1, 0), (65535, 1)))))
    assert frames(data)[2] == [100, 100, 0xFFFFFF]  # without a divisor hundredths of a second; WebP has 24 bits


def color(*samples, size=SIZE, place=(0, 0), **options):
    return drawn.flat(samples, size), size, place, options


def moving(*given, **options):
    """An APNG of frames of one color each."""
    shades = [color(60 * each, 200, 30, 255) if isinstance(each, int) else each for each in given]
    return drawn.apng(shades, **options)


@pytest.mark.parametrize(("alpha", "below"), [(1, 255), (90, 255), (128, 128), (254, 40), (255, 255)])
def test_apng_over_is_compositing(alpha, below):
    """The alpha of both counts: a frame that is partly transparent over an opaque one gives an opaque one."""
    data = moving(color(10, 20, 200, below), color(200, 10, 20, alpha, size=PART, blend=1))
    pixel = frames(data)[0][1].getpixel((2, 2))
    out = alpha + below * (255 - alpha) / 255
    expected = [
        (top * alpha + low * below * (255 - alpha) / 255) / out for top, low in ((200, 10), (10, 20), (20, 200))
    ]
    assert pixel == pytest.approx((*expected, out), abs=2)


@pytest.mark.parametrize(("dispose", "left"), [(0, (9, 9, 9, 255)), (1, NOTHING), (2, NOTHING)])
def test_apng_what_becomes_of_a_first_frame(dispose, left):
    """What the first frame restores is the empty canvas."""
    second = frames(moving(color(9, 9, 9, 255, dispose=dispose), color(200, 10, 20, 255, size=PART)))[0][1]
    assert second.getpixel((14, 10)) == left


def test_apng_one_frame_beside_a_hidden_picture():
    """It is the picture; where the frame is the picture of the PNG itself there is no other."""
    hidden = drawn.flat((9, 9, 9, 255))
    image = stored(moving(color(10, 200, 20, 255, size=PART, place=(2, 1)), hidden=hidden)).convert("RGBA")
    assert [image.getpixel(place) for place in ((0, 0), (3, 2))] == [NOTHING, (10, 200, 20, 255)]
    assert stored(moving(1)).convert("RGB").getpixel((2, 2)) == (60, 200, 30)


@pytest.mark.parametrize(
    "bad", [{"dispose": 3}, {"blend": 2}, {"place": (12, 9)}, {"size": (0, 0)}, {"size": (200, 1)}]
)
def test_apng_ends_before_a_frame_that_cannot_be(bad):
    """Browsers play what comes before it."""
    options = {"size": PART, **bad}
    assert len(frames(moving(0, 1, color(9, 9, 9, 255, **options), 2))[0]) == 2


@pytest.mark.parametrize(("stated", "played"), [(0, 1), (1, 1), (2, 2), (3, 3), (300, 3)])
def test_apng_plays_as_many_frames_as_it_states(stated, played):
    """And no more than there are."""
    assert len(frames(moving(0, 1, 2, claimed=stated))[0]) == played


def test_the_number_of_frames_is_that_which_is_stored():
    """An encoder joins frames that are equal, and an animation of equal frames is a still."""
    process = PillowProcessor()
    assert process(drawn.gif([tile(0), tile(0), tile(1)]), "gallery").frames == 2
    assert process(drawn.gif([tile(0), tile(0)]), "gallery").frames == 1
    assert process(make_image("WEBP", (40, 30), frames=3), "gallery").frames == 3
    assert (
        PillowProcessor(recipes={"gallery": Recipe(format="jpeg")})(drawn.gif([tile(0), tile(1)]), "gallery").frames
        == 1
    )
    assert (
        PillowProcessor(recipes={"gallery": Recipe(format="avif")})(drawn.gif([tile(0), tile(1)]), "gallery").frames
        == 2
    )


# Color and transparency


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 6])
@pytest.mark.parametrize("depth", [8, 16])
def test_png_gamma_is_read(kind, depth):
    """Linear light of 128 is 188 in sRGB, in every kind of pixel that has this depth."""
    value = 128 if depth == 8 else 128 * 257
    samples = [[value] * (drawn.CHANNELS[kind] - (kind > 3)) + [255 if depth == 8 else 65535] * (kind > 3)] * 192
    if kind == 3:
        depth, samples = 8, [[0]] * 192
    data = drawn.png(
        samples, depth=depth, color=kind, palette=b"\x80" * 3, before=[(b"gAMA", struct.pack(">I", 100_000))]
    )
    assert stored(data).convert("RGB").getpixel((3, 3)) == pytest.approx((188, 188, 188), abs=1)


P3_GREEN = (96, 160, 120)


@pytest.mark.parametrize(
    "stated",
    [
        [(b"cICP", b"\x0c\x0d\0\1")],
        [(b"iCCP", b"p\0\0" + zlib.compress(make_icc("adobe-rgb"))), (b"cICP", b"\x0c\x0d\0\1")],
        [(b"sRGB", b"\0"), (b"iCCP", b"p\0\0" + zlib.compress(make_icc("display-p3")))],
        [(b"cICP", b"\x09\x10\0\1"), (b"iCCP", b"p\0\0" + zlib.compress(make_icc("display-p3")))],
    ],
)
def test_png_the_first_that_states_color_decides(stated):
    """The order is cICP, iCCP, sRGB, gAMA, wherever they stand; HDR is taken as the rest of the file says."""
    data = drawn.png(drawn.flat(P3_GREEN), before=[*stated, (b"gAMA", struct.pack(">I", 100_000))])
    assert stored(data).convert("RGB").getpixel((3, 3)) == pytest.approx((69, 162, 117), abs=4)


@pytest.mark.parametrize(
    "stated",
    [
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"gAMA", struct.pack(">I", 45_455))],
        [(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))],
        [(b"gAMA", bytes(4))],
        [(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(32))],
        [(b"cICP", b"\x0c\x0d\0\0")],
        [(b"cICP", b"\x0c\x0d\0")],
        [(b"cICP", b"\x09\x10\0\1")],
        [(b"cICP", b"\x02\x02\0\1")],
    ],
)
def test_png_color_that_says_nothing(stated):
    """sRGB, what is as good as sRGB, primaries alone, what cannot be, limited range and HDR change nothing."""
    assert stored(drawn.png(drawn.flat(P3_GREEN), before=stated)).convert("RGB").getpixel((3, 3)) == P3_GREEN


def test_png_primaries_that_cannot_be_cost_the_gamma():
    """Also of gray, which has no use for them."""
    stated = [(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(32))]
    assert stored(drawn.png([[128]] * 192, color=0, before=stated)).convert("L").getpixel((3, 3)) == 128


@pytest.mark.parametrize("kind", ["alpha", "key", "plain", "16 bits"])
def test_png_gray_goes_through_its_gray_profile(kind):
    """Before alpha is added: 128 of linear light is 188, and what is transparent stays so."""
    linear = make_icc("gray-2.2").replace(struct.pack(">IIH", 0, 1, 563), struct.pack(">IIH", 0, 1, 256))
    icc = [(b"iCCP", b"p\0\0" + zlib.compress(linear))]
    options = {
        "alpha": {"samples": [[128, 200]] * 192, "color": 4},
        "key": {"samples": [[128], [7]] * 96, "color": 0, "before": [(b"tRNS", b"\0\7")]},
        "plain": {"samples": [[128]] * 192, "color": 0},
        "16 bits": {"samples": [[128 * 257, 200 * 257]] * 192, "color": 4, "depth": 16},
    }[kind]
    image = stored(drawn.png(**{**options, "before": [*icc, *options.get("before", [])]})).convert("RGBA")
    assert image.getpixel((2, 2))[:3] == pytest.approx((188, 188, 188), abs=1)
    assert image.getpixel((2, 2))[3] == (200 if "color" in options and options["color"] == 4 else 255)
    assert image.getpixel((3, 2))[3] == (0 if kind == "key" else image.getpixel((2, 2))[3])


def test_profiles_of_numbers():
    """Their space is what they state; what makes no space makes no profile."""
    image = Image.new("RGB", (1, 1), (64, 129, 97))
    assert Profile(coded_profile(12, 13)).to_srgb(image).getpixel((0, 0)) == pytest.approx((32, 132, 94), abs=1)
    assert Profile(coded_profile(1, 8)).to_srgb(image).getpixel((0, 0)) == pytest.approx((137, 189, 165), abs=1)
    assert Profile(gray_profile((1.0,))).to_srgb(Image.new("L", (1, 1), 128)).getpixel((0, 0)) == 188
    assert coded_profile(1, 13) == coded_profile(2, 2) == coded_profile(9, 16) == b""
    for points in (((0.3, 0.3),) * 4, ((0.3, 0.0), (0.6, 0.3), (0.3, 0.6), (0.1, 0.1))):
        with pytest.raises(ValueError, match="no color space"):
            rgb_profile(*points, (2.2,))
    with pytest.raises(ValueError, match="gray scale"):
        gray_profile((1e9,))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png_transparent_gray_is_compared_in_its_depth(depth):
    """Of all values of up to 8 bits, and of those of 16 that differ in one byte, exactly the key is transparent."""
    most = (1 << depth) - 1
    values = range(most + 1) if depth <= 8 else (0, 1, 255, 256, 257, 0x1234, 0x1235, 0x1334, 0xFF00, 0xFFFF)
    for key in sorted(
        {0, 1, most // 3, most // 2, most, *values} if depth == 16 else {0, 1, most // 3, most // 2, most}
    ):
        samples = [[value] for _, value in zip(range(192), itertools.cycle(values), strict=False)]
        image = stored(drawn.png(samples, depth=depth, color=0, before=[(b"tRNS", struct.pack(">H", key))]))
        alpha = list(image.convert("RGBA").getchannel("A").get_flattened_data())
        assert alpha == [0 if sample == [key] else 255 for sample in samples], key


@pytest.mark.parametrize("key", [(0, 0, 0), (65535,) * 3, (51200, 0, 0), (200, 0, 0), (0x1234, 0x12FF, 0xFF12)])
def test_a_transparent_png_color_is_compared_whole(key):
    """What has the same high bytes, or the same low ones, stays."""
    near = [[part ^ mask for part in key] for mask in (0, 1, 256, 0x8000)]
    near += [
        [key[0] ^ 1, *key[1:]],
        [*key[:2], key[2] ^ 256],
        [part >> 8 for part in key],
        [part << 8 & 65535 for part in key],
    ]
    samples = [near[at % len(near)] for at in range(192)]
    for lace in (False, True):
        data = drawn.png(samples, depth=16, color=2, before=[(b"tRNS", struct.pack(">HHH", *key))], interlaced=lace)
        alpha = stored(data).convert("RGBA").getchannel("A")
        assert list(alpha.get_flattened_data()) == [0 if tuple(each) == key else 255 for each in samples]


def test_png_an_index_beyond_the_palette_is_the_last():
    """With the alpha of that color."""
    data = drawn.png(
        [[at % 16] for at in range(192)],
        depth=4,
        color=3,
        palette=b"\1\2\3\xc8\x64\x32",
        before=[(b"tRNS", b"\xff\x80")],
    )
    image = stored(data).convert("RGBA")
    assert image.getpixel((0, 0)) == (1, 2, 3, 255)
    assert {image.getpixel((at, 0)) for at in range(1, 16)} == {(200, 100, 50, 128)}
    with pytest.raises(BrokenImageError):
        stored(drawn.png([[0]] * 192, color=3).replace(b"PLTE", b"tEXt"))


def test_png_a_damaged_chunk_that_may_be_missing_is():
    """One that may not be missing, and one of a frame, is refused."""
    for kind, body in (
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"iCCP", b"p\0\0x"),
        (b"tEXt", b"a\0b"),
        (b"eXIf", b"II*\0"),
    ):
        assert (
            stored(spoilt(drawn.png(drawn.flat(P3_GREEN), before=[(kind, body)]), kind)).convert("RGB").getpixel((0, 0))
            == P3_GREEN
        )
    for data, kind in (
        (drawn.png(), b"IHDR"),
        (drawn.png(), b"IDAT"),
        (drawn.png(color=3), b"PLTE"),
        (moving(0, 1), b"fcTL"),
        (moving(0, 1), b"fdAT"),
    ):
        with pytest.raises(BrokenImageError):
            stored(spoilt(data, kind))


def spoilt(data, kind):
    """The same with a wrong sum of the last chunk of this kind."""
    at = data.rindex(kind)
    end = at + 4 + int.from_bytes(data[at - 4 : at])
    return data[:end] + bytes(part ^ 255 for part in data[end : end + 4]) + data[end + 4 :]


def test_png_is_turned_by_exif_before_its_pixels():
    """As in Chromium: not by one behind them, nor by one that is written as in a JPEG."""
    exif = [hostile.chunk(b"eXIf", make_exif(orientation=each)[6:]) for each in (6, 3)]
    plain = drawn.png()
    start, end = plain.index(b"IDAT") - 4, len(plain) - 12
    assert stored(plain[:start] + exif[0] + exif[1] + plain[start:]).size == SIZE[::-1]
    assert stored(plain[:end] + exif[0] + plain[end:]).size == SIZE
    assert stored(drawn.png(before=[(b"eXIf", make_exif(orientation=6))])).size == SIZE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_webp_is_shown_as_it_is_stored(orientation):
    """Browsers pass over its orientation."""
    assert stored(make_image("WEBP", (60, 40), orientation=orientation)).size == (60, 40)


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAA"
    "EAAQAAAAABoAABAAAAAAAAADYAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVo"
    "dmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4C"
    "GgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf//"
    "/9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAPm1kYXQAAAAyKAGvBjIWZzSJIPC/WBP//pf//8WNrN"
    "bJ64R+gGPH5LeQkZ70X3sYUuU8dCD0nFO5zYA="
)


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [((1, 13), (64, 129, 97)), ((12, 13), (32, 132, 94)), ((9, 16), (64, 129, 97)), ((2, 2), (64, 129, 97))],
)
def test_heic_color_by_numbers(numbers, shown):
    """Without a profile its nclx says which space it is; HDR is taken for sRGB."""
    pytest.importorskip("pi_heif")
    at = HEIC.index(b"nclx") + 4
    data = HEIC[:at] + struct.pack(">HH", *numbers) + HEIC[at + 4 :]
    main = PillowProcessor(heic=True)(data, "gallery").main
    assert Image.open(io.BytesIO(main.data)).convert("RGB").getpixel((8, 8)) == pytest.approx(shown, abs=3)


# JPEG


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


PHOTO = make_pixels((200, 150))
FILM = b"\0\0\0\x18ftypmp42" + b"".join(
    bytes((255, marker, 0, 20)) + bytes(range(40)) for marker in (0xDA, 0xC4, 0xFE, 0xD9)
)
TRAILERS = {
    "nothing": b"",
    "padding": b"\xff\xff",
    "film": FILM,
    "blocks": b"\0\0\1\x0a\x0e\0\0\0Image_UTC_Data1234567890123SEFH\x6a\0\0\0SEFT",
    "another picture": make_image("JPEG", (24, 24))[:-2],
}


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_jpeg_without_its_end_marker(options, trailer):
    """All pixels are there: it is stored as with the marker. Where one is missing it is refused."""
    whole, process = jpeg(PHOTO, quality=90, **options), PillowProcessor()
    assert process(whole[:-2] + TRAILERS[trailer], "gallery").main == process(whole, "gallery").main
    for missing in (9, 50, len(whole) // 4):
        with pytest.raises(BrokenImageError):
            process(whole[: -2 - missing] + TRAILERS[trailer], "gallery")


def test_jpeg_that_is_large_and_has_no_end_marker():
    """It is decoded smaller, once for each filling, and in luma and chroma."""
    whole, process = make_image("JPEG", (4000, 3000), quality=40), PillowProcessor()
    assert process(whole[:-2], "gallery").main == process(whole, "gallery").main
    with pytest.raises(BrokenImageError):
        process(whole[: len(whole) // 2], "gallery")


@pytest.mark.parametrize(
    ("segment", "ends"),
    [
        (hostile.segment(0xC4, b"\0" + bytes(16)), False),
        (hostile.segment(0xC4, b"\x0f" + bytes(16)), True),
        (hostile.segment(0xC4, b""), True),
        (hostile.segment(0xDB, bytes(65)), False),
        (hostile.segment(0xDB, bytes(64)), True),
        (hostile.segment(0xDD, bytes(2)), False),
        (hostile.segment(0xDD, bytes(3)), True),
        (hostile.segment(0xDA, b"\1\1\0\0\x3f\0"), False),
        (hostile.segment(0xDA, b"\5\1\0\0\x3f\0"), True),
        (hostile.segment(0xFE, b"comment") + hostile.segment(0xDD, b"\0\1"), False),
        (hostile.segment(0xFE, b"comment"), True),
        (b"\xff\xd8", True),
        (b"\xff\xd3", False),
        (b"\xff\x01", False),
    ],
)
def test_jpeg_scans_end_at_what_is_no_segment(segment, ends):
    """In a film the bytes of markers occur by chance, and what they begin has another form."""
    data = b"pixels" + segment + b"pixels"
    assert end_of_scans(data, 0, Limits()) == (6 if ends else len(data))
    assert end_of_scans(data + b"\xff\xd9", 0, Limits()) == (6 if ends else None)


ODD = {
    "JFIF of 5 bytes": hostile.segment(0xE0, b"JFIF\0"),
    "JFIF of 7 bytes": hostile.segment(0xE0, b"JFIF\0\1\1"),
    "Adobe of 5 bytes": hostile.segment(0xEE, b"Adobe"),
    "Adobe of 8 bytes": hostile.segment(0xEE, b"Adobe\0\x64\0"),
    "Photoshop": hostile.segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\xff\xff"),
    "without length": b"\xff\xe0\0\0",
    "too short": b"\xff\xe1\0\1",
}


@pytest.mark.parametrize("name", ODD)
def test_jpeg_a_broken_segment_costs_nothing(name):
    """Not the picture, and not its colors."""
    plain, process = jpeg(PHOTO, quality=92), PillowProcessor()
    for data in (plain[:2] + ODD[name] + plain[2:], plain[:20] + ODD[name] + plain[20:]):
        assert (
            Image.open(io.BytesIO(process(data, "gallery").main.data)).tobytes()
            == Image.open(io.BytesIO(process(plain, "gallery").main.data)).tobytes()
        )


def test_jpeg_metadata_that_is_not_read_has_no_limit():
    """Only EXIF and the profile are read; of them what is over the limit is dropped, and the picture stays."""
    noise = [hostile.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000))] * 90
    turned = hostile.segment(0xE1, make_exif(orientation=6))
    data = hostile.jpeg_with(*noise, turned)
    assert stored(data).size == (32, 48)
    less = PillowProcessor(limits=Limits(max_metadata_bytes=10))(data, "gallery").main
    assert (less.width, less.height) == (48, 32)


@pytest.mark.parametrize(
    ("factors", "kept"),
    [([(2, 1), (1, 1), (1, 1)], 0), ([(1, 2), (1, 1), (1, 1)], 1), ([(2, 2), (1, 1), (1, 1)], 2), ([(1, 1)] * 3, 0)],
)
def test_jpeg_subsampling_is_turned_with_the_picture(factors, kept):
    """Color that is halved across is then halved down, which JPEG cannot hold here: it is kept whole."""

    image = SimpleNamespace(layer=[(number, *factor, 0) for number, factor in enumerate(factors, 1)])
    assert subsampling_of(image, turned=True) == kept


@pytest.mark.parametrize(("orientation", "kept"), [(1, 1), (3, 1), (5, 0), (6, 0), (7, 0), (8, 0)])
def test_jpeg_a_turned_picture_keeps_its_color(orientation, kept):
    """4:2:2 that is turned by a quarter becomes 4:4:4."""
    data = jpeg(PHOTO, quality=90, subsampling=1, exif=make_exif(orientation=orientation))
    assert get_sampling(stored(data, Recipe())) == kept


@pytest.mark.parametrize(("quality", "stored_at"), [(95, 85), (75, 85), (60, 70), (8, 55), (2, 55)])
def test_jpeg_that_is_shrunk_is_stored_well(quality, stored_at):
    """At 85, or at 70 and then 55 if it would exceed its file, however bad that was."""
    data = jpeg(make_pixels((2000, 1500)), quality=quality)
    image = stored(data, Recipe(Fit(1500, 1500)))
    assert image.quantization == Image.open(io.BytesIO(jpeg(PHOTO, quality=stored_at))).quantization


# Graphics


def test_graphics_are_flat_or_of_few_colors():
    """Nine of ten pixels equal their neighbor, or there are 256 colors; a photograph is none."""
    photo = make_pixels((200, 150))
    assert not is_graphic(photo)
    few = photo.quantize(256).convert("RGB")
    assert is_graphic(few, 333)
    assert not is_graphic(few, 334)  # of more than 10 million pixels only flat ones are quick to store without loss
    assert is_graphic(Image.new("RGB", (200, 150)), 1000)
    flat = Image.new("RGB", (2000, 150))
    flat.paste(photo.crop((0, 0, 180, 150)))
    assert is_graphic(flat)
    flat.paste(photo, (200, 0))
    assert not is_graphic(flat)
    assert is_graphic(Image.new("RGBA", (1, 500)))


def checks(mode="RGB", size=(90, 80)):
    """Red and blue pixels in turn: what lossy WebP turns to purple."""
    image = Image.new(mode, size, "red")
    for y, x in itertools.product(range(size[1]), range(size[0])):
        if (x + y) % 2:
            image.putpixel((x, y), (0, 0, 255))
    return image


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_graphics_are_stored_without_loss(format):
    """As the image where that is a WebP, as a variant, and as an animation."""
    file = io.BytesIO()
    checks().save(file, format, **({"lossless": True} if format == "WEBP" else {}))
    made = PillowProcessor(recipes={"gallery": WEBP})(file.getvalue(), "gallery")
    for rendition in (made.main, made.variants["1280"]):
        assert Image.open(io.BytesIO(rendition.data)).convert("RGB").tobytes() == checks().tobytes()
    file = io.BytesIO()
    both = [checks(), checks().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    both[0].save(
        file, format, save_all=True, append_images=both[1:], **({"lossless": True} if format == "WEBP" else {})
    )
    assert [each.convert("RGB").tobytes() for each in frames(file.getvalue())[0]] == [each.tobytes() for each in both]


def test_what_was_lossy_is_no_graphic():
    """Whatever it shows, it is not stored without loss: that would keep its faults at many times the bytes."""
    for data in (jpeg(checks(), quality=90), encoded_webp(checks()), encoded_webp(checks(), frames=2)):
        made = PillowProcessor(recipes={"gallery": WEBP})(data, "gallery")
        assert b"VP8L" not in made.main.data + made.variants["1280"].data


def encoded_webp(image, frames=1):
    file = io.BytesIO()
    others = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] * (frames - 1)
    image.save(file, "WEBP", quality=80, save_all=frames > 1, append_images=others)
    return file.getvalue()


# Names


def ftyp(brand, *others):
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others) + b"heic"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (ftyp(b"avif"), "AVIF"),
        (ftyp(b"mif1", b"avif", b"miaf"), "AVIF"),
        (ftyp(b"msf1", b"avis"), "AVIF"),
        (ftyp(b"miaf", b"MA1B", b"avif"), "AVIF"),
        (ftyp(b"mif1", b"heic"), "HEIC"),
        (ftyp(b"mif1", b"avif", b"heic"), "HEIC"),
        (ftyp(b"heic", b"mif1"), "HEIC"),
        (ftyp(b"mif1"), "HEIC"),
        (ftyp(b"mp42", b"isom"), "a video or another ISO file"),
    ],
)
def test_an_avif_is_called_avif(data, name):
    """Also where only the brands behind the first one say so."""
    assert sniff(data) == name


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (hostile.png(20_000, 1), "has 20,000 pixels on one side"),
        (hostile.apng(1, 1, 3000), "has at least 251 frames"),
        (
            hostile.png(8, 8, extra=hostile.chunk(b"tEXt", bytes(5_000_000))),
            "has at least 5,000,0",
        ),
    ],
)
def test_a_limit_says_what_is_too_much(data, said):
    """With the true number, or with how far it was counted."""
    with pytest.raises(LimitExceededError) as refused:
        examine(data, Limits())
    assert said in str(refused.value)
