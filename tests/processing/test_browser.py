"""What Chromium shows of the stored picture is what it showed of the uploaded one.

Each test makes many files of one kind, and one page of Chromium compares them all.
"""

import io
import itertools
import os
import struct
import zlib
from pathlib import Path

import attrs
import drawn
import hostile
import oracle as browser
import pytest
from drawn import SIZE
from PIL import Image

from userimages.errors import RejectedImageError
from userimages.processing import Fit, PillowProcessor, Recipe
from userimages.processing.graphics import is_graphic
from userimages.testing import make_image
from userimages.testing.images import make_exif, make_icc, make_pixels

CORPUS = Path(os.environ.get("USERIMAGES_CORPUS", "/nonexistent"))
PHOTOGRAPH, GRAPHIC = 6, 2  # the mean difference of a channel, 0 to 255, that nobody sees
PART = (7, 5)
WEBP = Recipe(format="webp", quality=100)  # what has at most 256 colors is stored without loss


@pytest.fixture(scope="module")
def oracle():
    with browser.opened() as found:
        yield found


@pytest.fixture
def alike(oracle, tmp_path):
    """Return a function that processes files (by name) and compares what Chromium shows."""

    def compare(files, most=1, *, moves=False, recipe=WEBP, variant=None):
        processor = PillowProcessor(recipes={"gallery": recipe})
        wrong = []
        for name, data in files.items():
            made = processor(data, "gallery")
            after = made.variants[variant] if variant else made.main
            found = oracle.compare(data, after.data, moves=moves)
            facts = differences(found, moves=moves)
            if found.difference > (most(data) if callable(most) else most) or facts:
                picture = tmp_path / f"{name.replace('/', ' ')}.png"
                picture.write_bytes(found.pictures)
                wrong.append(f"{name}: {found.difference:.1f} at {found.at} ms {facts}: {picture}")
        assert not wrong, "\n".join(wrong)

    return compare


def differences(found, *, moves):
    """What differs of two files but their pixels. An encoder may join frames that are equal, even all of them."""
    before, after = found.before, found.after
    facts = [] if list(Fit(1920, 1920).place(before["size"])[1]) == after["size"] else ["size"]
    if moves and min(before["frames"], after["frames"]) > 1:
        facts += ["plays"] * (before["plays"] != after["plays"])
        facts += ["duration"] * (abs(before["ms"] - after["ms"]) > 1 + before["ms"] * 0.001)
    return facts


def full(index, size=SIZE):
    return [index] * (size[0] * size[1])


# GIF


def test_gif_disposal(alike):
    """Each disposal of a first and a second frame, with and without a transparent color."""
    files = {}
    for first, second, key in itertools.product(range(8), (0, 1, 2, 3, 4), (None, 2)):
        stripes = [1 + at % 2 for at in range(PART[0] * PART[1])]
        frames = [
            drawn.gif_frame(full(0, PART), PART, (1, 1), dispose=first, key=key),
            drawn.gif_frame(stripes, PART, (4, 3), dispose=second, key=key),
            drawn.gif_frame(full(3, PART), PART, (8, 6), key=key),
        ]
        files[f"{first} {second} {key}"] = drawn.gif(frames, repeats=0, background=first % 4)
    alike(files, moves=True)


def test_gif_what_no_frame_covers(alike):
    """It is transparent, whatever the background color says."""
    for moves, rest in ((False, []), (True, [drawn.gif_frame(full(1, PART), PART, (8, 6))])):
        files = {
            f"{background} {key}": drawn.gif(
                [drawn.gif_frame(full(0, PART), PART, (2, 1), key=key), *rest], background=background
            )
            for background in range(4)
            for key in (None, 0, 1)
        }
        alike(files, moves=moves)


def test_gif_frames_outside_of_the_screen(alike):
    """The screen is widened by the first frame only, and later frames are clipped."""
    whole = drawn.gif_frame(full(0), SIZE)
    later = {
        "over the edge": [whole, drawn.gif_frame(full(1, PART), PART, (12, 9), dispose=2)],
        "far outside": [whole, drawn.gif_frame(full(1, PART), PART, (26020, 28016))],
        "larger": [whole, drawn.gif_frame(full(1, (30, 20)), (30, 20), dispose=3)],
        "the first over the edge": [drawn.gif_frame(full(1, PART), PART, (12, 9))],
        "the first far outside": [drawn.gif_frame(full(1, PART), PART, (400, 9))],
        "the first larger": [
            drawn.gif_frame(full(1, (60, 40)), (60, 40)),
            drawn.gif_frame(full(2, (30, 20)), (30, 20)),
        ],
        "without pixels": [whole, drawn.gif_frame([], (0, 0))],
    }
    end = drawn.gif_frame(full(3, PART), PART, (2, 2))
    files = {name: drawn.gif([*frames, end], repeats=0) for name, frames in later.items()}
    files["no screen"] = drawn.gif([whole, end], screen=(0, 0), repeats=0)
    alike(files, moves=True)


def test_gif_colors(alike):
    """Tables of every kind: gray, black and white, too short, of the frame, none; interlaced or not."""
    gray = b"".join(bytes((value,)) * 3 for value in range(256))
    tables = {"gray": gray, "two": b"\0\0\0\xff\xff\xff", "four": drawn.TABLE, "none": b""}
    files = {}
    for (name, table), key, laced in itertools.product(tables.items(), (None, 1, 9), (False, True)):
        for bits in (2, 8):
            indices = [at // 3 % (1 << bits) for at in range(SIZE[0] * SIZE[1])]
            frame = drawn.gif_frame(indices, SIZE, key=key, bits=bits, interlaced=laced)
            files[f"{name} {key} {laced} {bits}"] = drawn.gif([frame], table=table)
            own = drawn.gif_frame(indices, SIZE, key=key, bits=bits, interlaced=laced, table=table)
            files[f"{name} {key} {laced} {bits} own"] = drawn.gif([own], table=drawn.TABLE)
    alike(files)


def test_gif_plays_and_delays(alike):
    """Repeats by either block up to 65,535, wherever it stands; delays of nothing and of minutes."""
    two = [drawn.gif_frame(full(index), SIZE) for index in (0, 1)]
    files = {
        f"{repeats} {label}": drawn.gif(two, repeats=repeats, label=label)
        for repeats in (None, 0, 1, 2, 1000, 65533, 65534, 65535)
        for label in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
    }
    loops = drawn.gif([], repeats=3)[13 + len(drawn.TABLE) : -1]
    files |= {
        "behind the first": drawn.gif([two[0], loops, two[1]]),
        "behind all": drawn.gif([*two, loops]),
        "twice": drawn.gif(two, before=loops, repeats=7),
    }
    for delay in (0, 1, 2, 3, 5, 65535):
        frames = [drawn.gif_frame(full(index), SIZE, delay=delay) for index in (0, 1, 2)]
        files[f"delay {delay}"] = drawn.gif(frames, repeats=0)
    alike(files, moves=True)


# APNG


def moving(*frames, **options):
    """An APNG of frames of one color each, or of what is given in their place."""
    made = [
        (drawn.flat([60 * each, 200 - 50 * each, 30 * each, 255]), SIZE, (0, 0), {}) if isinstance(each, int) else each
        for each in frames
    ]
    return drawn.apng(made, **options)


def flat(*color, size=PART, place=(2, 1), **options):
    return drawn.flat(color, size), size, place, options


@pytest.mark.parametrize(
    ("color", "depths"), [(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (2, 8)), (4, (8, 16)), (6, (8, 16))]
)
def test_apng_frames(alike, color, depths):
    """Each disposal and blending, in every kind of pixel, with a transparent color where the kind has one."""
    files = {}
    for depth, dispose, blend in itertools.product(depths, (0, 1, 2), (0, 1)):
        noise = [drawn.noise(PART, depth, drawn.CHANNELS[color], seed) for seed in range(3)]
        frames = [
            (list(drawn.smooth(depth, color)), SIZE, (0, 0), {"dispose": dispose}),
            (noise[0], PART, (2, 1), {"dispose": dispose, "blend": blend}),
            (noise[1], PART, (4, 3), {"dispose": (dispose + 1) % 3, "blend": blend}),
            (noise[2], PART, (9, 7), {"blend": 1 - blend}),
        ]
        key = {0: struct.pack(">H", noise[0][0][0]), 3: b"\0\x80\xff\x1e"}.get(color)
        key = struct.pack(">HHH", *noise[0][0]) if color == 2 else key
        before = [(b"tRNS", key)] if key else []
        files[f"{depth} {dispose} {blend}"] = drawn.apng(frames, depth=depth, color=color, before=before)
    alike(files, moves=True)


def test_apng_hidden_picture(alike):
    """A picture that only those see who cannot play it; one frame beside it is the picture."""
    hidden = drawn.flat((9, 9, 9, 255))
    files = {
        f"{count} {bool(still)}": moving(*range(count), hidden=still) for count in (1, 2, 3) for still in (None, hidden)
    }
    files["a part"] = moving(flat(255, 0, 0, 100), hidden=hidden)
    files["parts"] = moving(flat(255, 0, 0, 100, dispose=1), flat(0, 255, 0, 100, place=(8, 6), blend=1), hidden=hidden)
    alike(files, moves=True)


def test_apng_plays_and_delays(alike):
    """Any number of plays, delays of nothing and without a divisor."""
    counts = (0, 1, 2, 3, 65534, 65535, 65536, 70000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    files = {f"plays {plays}": moving(0, 1, plays=plays) for plays in counts}
    for delay in ((0, 100), (1, 100), (10, 1000), (11, 1000), (0, 0), (1, 0), (3, 0), (1, 3), (65535, 100), (7, 13)):
        files[f"delay {delay}"] = moving(
            *(flat(40 * each, 9, 9, 255, size=SIZE, place=(0, 0), delay=delay) for each in range(3))
        )
    alike(files, moves=True)


def test_apng_with_frames_that_cannot_be(alike):
    """Browsers play what comes before such a frame, and as many frames as are stated."""
    files = {f"states {count}": moving(0, 1, 2, claimed=count) for count in (0, 1, 2, 3, 4, 300)}
    bad = [
        flat(9, 9, 9, 255, dispose=3),
        flat(9, 9, 9, 255, blend=2),
        flat(9, 9, 9, 255, place=(12, 9)),
        flat(9, 9, 9, 255, size=(0, 0)),
    ]
    for number, each in enumerate(bad):
        files[f"second {number}"] = moving(0, each, 2)
        files[f"third {number}"] = moving(0, 1, each)
    alike(files, moves=True)


def test_apng_color_and_orientation(alike):
    """Color is converted before frames are drawn over each other; a frame is turned with the others."""
    frames = flat(200, 100, 30, 90, size=SIZE, place=(0, 0)), flat(20, 200, 30, 90, blend=1)
    stated = {"gamma": [gamma(1)], "P3": [coded(12, 13)], "profile": [profile("adobe-rgb")], "turned": [turned(6)]}
    alike({name: moving(*frames, before=before) for name, before in stated.items()}, moves=True)


# The color of PNG


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def primaries(*points):
    return b"cHRM", struct.pack(">8I", *(round(each * 100_000) for each in points))


def coded(space, transfer, matrix=0, full_range=1):
    return b"cICP", bytes((space, transfer, matrix, full_range))


def profile(name):
    return b"iCCP", b"p\0\0" + zlib.compress(make_icc(name))


def turned(orientation):
    return b"eXIf", make_exif(orientation=orientation).removeprefix(b"Exif\0\0")


BT709 = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
D50 = (0.3457, 0.3585, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SRGB = (b"sRGB", b"\0")
STATED = {
    **{f"gamma {value}": [gamma(value)] for value in (0.01, 0.35, 0.43, 0.45455, 0.47, 0.48, 0.55, 1, 2, 10)},
    "primaries alone": [primaries(*ADOBE)],
    "Adobe RGB": [gamma(0.4547), primaries(*ADOBE)],
    "sRGB by its primaries": [gamma(0.45455), primaries(*BT709)],
    "white of D50": [gamma(0.45455), primaries(*D50)],
    "gamma of nothing": [gamma(0), primaries(*ADOBE)],
    "primaries of nothing": [gamma(1), primaries(*[0] * 8)],
    "sRGB before gamma": [gamma(1), SRGB],
    "profile before sRGB": [SRGB, profile("adobe-rgb"), gamma(1)],
    "no profile": [(b"iCCP", b"p\0\0" + zlib.compress(b"x" * 200)), gamma(1)],
    "profile that is not deflated": [(b"iCCP", b"p\0\0" + b"x" * 200), gamma(1)],
    "coded before profile": [profile("adobe-rgb"), coded(12, 13), gamma(1)],
    "coded in limited range": [coded(12, 13, 0, 0), gamma(1)],
    "coded as sRGB before all": [coded(1, 13), profile("adobe-rgb"), gamma(1)],
    "gray profile": [profile("gray-2.2")],
    "the first of two": [gamma(1), gamma(0.3)],
    "too short": [(b"gAMA", b"\0\0\0"), (b"cICP", b"\x0c\x0d\0")],
}
KINDS = [(0, 2), (0, 8), (0, 16), (2, 8), (2, 16), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]


@pytest.mark.parametrize(("color", "depth"), KINDS)
def test_png_color(alike, color, depth):
    """Gamma, primaries, numbers and profiles, alone and against each other, in every kind of pixel."""
    files = {name: drawn.png(depth=depth, color=color, before=before) for name, before in STATED.items()}
    alike(files)


@pytest.mark.parametrize("color", [0, 2])
def test_png_coded_color(alike, color):
    """Every space and every curve of ITU-T H.273 that is not HDR; what is unknown says nothing."""
    files = {f"space {each}": drawn.png(color=color, before=[coded(each, 13)]) for each in (*range(14), 22)}
    curves = (*range(16), 17, 19)
    files |= {f"curve {each}": drawn.png(color=color, before=[coded(1, each)]) for each in curves}
    alike(files)


def test_png_color_behind_the_palette(alike):
    """Of color behind the palette browsers pass over cICP alone, and behind the pixels over all."""
    plain, files = drawn.png(color=3), {}
    for name, (kind, body) in {"gamma": gamma(1), "coded": coded(12, 13), "profile": profile("adobe-rgb")}.items():
        for place in (b"IDAT", b"IEND"):
            at = plain.index(place) - 4
            files[f"{name} before {place}"] = plain[:at] + hostile.chunk(kind, body) + plain[at:]
    alike(files)


def test_png_orientation(alike):
    """A PNG is turned as its EXIF says, if that stands before the pixels; the first one counts."""
    files = {f"{each}": drawn.png(before=[turned(each)]) for each in range(10)}
    for each in (3, 6):
        files[f"{each} behind"] = drawn.png()[:-12] + hostile.chunk(*turned(each)) + hostile.chunk(b"IEND")
    files["two"] = drawn.png(before=[turned(6), turned(3)])
    files["as in a JPEG"] = drawn.png(before=[(b"eXIf", make_exif(orientation=6))])
    alike(files)


def test_png_damage_that_costs_no_pixel(alike):
    """A chunk that may be missing is missing if its sum is wrong; of the end chunk nothing is needed."""
    files = {}
    for kind, body in (
        gamma(1),
        coded(12, 13),
        profile("adobe-rgb"),
        (b"tRNS", bytes(6)),
        (b"tEXt", b"a\0b"),
        turned(6),
    ):
        data = drawn.png(before=[(kind, body)])
        at = data.index(kind) + 4 + len(body)
        files[kind.decode()] = data[:at] + bytes(4) + data[at + 4 :]
    whole = drawn.png()
    files |= {"end": whole[:-4] + bytes(4), "end cut": whole[:-3], "no end": whole[:-12]}
    alike(files)


# Transparency of PNG


def around(key, depth, seed):
    """Samples of which a third are the key, and a third differ from it by little or in one byte."""
    most, choices = (1 << depth) - 1, drawn.noise(SIZE, 8, 2, seed)
    noise = drawn.noise(SIZE, depth, len(key), seed)
    for (kind, step), other in zip(choices, noise, strict=True):
        near = [min(most, max(0, part + (-1, 1, 256, -256)[step % 4])) for part in key]
        yield list(key) if kind < 85 else near if kind < 170 else other


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png_transparent_gray(alike, depth):
    """The key is compared in the depth of the file; with a color that is converted too."""
    most, files = (1 << depth) - 1, {}
    for key in sorted({0, 1, most // 3, most // 2, most, *((0x00FF, 0xFF00, 0x1234, 200) if depth == 16 else ())}):
        samples = list(around((key,), depth, key))
        for name, stated, more in (("", key, []), ("linear", key, [gamma(1)]), ("too large", key | most + 1, [])):
            chunks = [(b"tRNS", struct.pack(">H", stated & 0xFFFF)), *more]
            files[f"{key} {name}"] = drawn.png(samples, depth=depth, color=0, before=chunks)
    alike(files, GRAPHIC)  # near black, linear light makes much of the last bit


@pytest.mark.parametrize("depth", [8, 16])
def test_png_transparent_color(alike, depth):
    """As for gray, and all three parts have to be equal."""
    keys = [(0, 0, 0), (255, 255, 255), (200, 0, 0), (1, 2, 3), (65535,) * 3, (51200, 0, 0), (0x1234, 0x12FF, 0xFF12)]
    files = {}
    for key in keys:
        samples = list(around(key if depth == 16 else [part & 255 for part in key], depth, key[0]))
        for name, more in (("", []), ("P3", [coded(12, 13)])):
            chunks = [(b"tRNS", struct.pack(">HHH", *key)), *more]
            files[f"{key} {name}"] = drawn.png(samples, depth=depth, color=2, before=chunks)
    alike(files)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_palettes(alike, depth):
    """Alpha for some, all and too many colors; a palette that lacks colors; what has no use for alpha."""
    noise = drawn.noise(SIZE, depth, 1, depth)
    alphas = {
        "none": b"",
        "one": b"\x80",
        "all": bytes(range(0, 256, 256 >> depth)),
        "more": bytes(range(1, 251)),
        "most": bytes(300),
    }
    files = {}
    for (name, alpha), colors in itertools.product(alphas.items(), (1, 2, 1 << depth)):
        palette = drawn.gradient(colors)
        files[f"{name} {colors}"] = drawn.png(
            noise, depth=depth, color=3, palette=palette, before=[(b"tRNS", alpha)] if alpha else []
        )
    for color, key in ((0, b"\0"), (2, b"\0\0"), (4, bytes(2)), (6, bytes(6))):
        files[f"useless {color}"] = drawn.png(depth=8, color=color, before=[(b"tRNS", key)])
    alike(files)


# JPEG


JPEG = Recipe(quality=85)


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def stripes(size, axis):
    """Red and blue lines, one pixel wide."""
    line = Image.new("RGB", (2, 1))
    line.putdata([(220, 40, 40), (40, 40, 220)])
    image = Image.new("RGB", size)
    for at in range(size[axis]):
        image.paste(line.getpixel((at % 2, 0)), (at, 0, at + 1, size[1]) if axis == 0 else (0, at, size[0], at + 1))
    return image


def test_jpeg_turned_keeps_its_color(alike):
    """Color that a file keeps in one direction is kept in that of the upright picture."""
    files = {
        f"{axis} {subsampling} {orientation}": jpeg(
            stripes((160, 120), axis), quality=90, subsampling=subsampling, exif=make_exif(orientation=orientation)
        )
        for axis in (0, 1)
        for subsampling in (0, 1, 2)
        for orientation in range(1, 9)
    }
    alike(files, PHOTOGRAPH, recipe=JPEG)


FILM = b"\0\0\0\x18ftypmp42\0\0\0\0" + b"".join(
    bytes((255, marker, 0, 20)) + bytes(range(40)) for marker in (0xDA, 0xC4, 0xDB, 0xFE, 0xE1, 0xD9, 0xD8, 0xDD)
)
BLOCKS = b"\0\0\1\x0a\x0e\0\0\0Image_UTC_Data1234567890123SEFH\x6a\0\0\0\1\0\0\0\x24\0\0\0SEFT"
BEHIND = {
    "": b"",
    "padding": b"\xff",
    "blocks": BLOCKS,
    "film": FILM,
    "blocks and film": BLOCKS + FILM,
    "zeros": bytes(999),
}
CODINGS = [
    *itertools.product((False, True), (0, 2), ("RGB", "L"), (0, 1)),
    *itertools.product((False, True), (1,), ("CMYK",), (0, 1)),
]


def test_jpeg_without_its_end_marker(oracle):
    """All pixels are there: it is stored as with the marker, whatever a phone put behind it.

    Chromium leaves out the last rows of some, so it is the whole file that is compared.
    """
    for progressive, subsampling, mode, restart in CODINGS:
        picture = make_pixels((100, 75)).resize((200, 150)).convert(mode)
        coding = {"progressive": progressive, "subsampling": subsampling, "restart_marker_rows": restart}
        whole = jpeg(picture, quality=90, **coding)
        made = PillowProcessor()(whole, "gallery").main
        assert oracle.compare(whole, made.data).difference < (PHOTOGRAPH if mode != "CMYK" else 8)
        for name, behind in BEHIND.items():
            assert PillowProcessor()(whole[:-2] + behind, "gallery").main == made, (progressive, mode, restart, name)


def test_jpeg_with_odd_segments(alike):
    """A segment of metadata that is broken costs the metadata, and not the picture."""
    segments = {
        "JFIF of 5 bytes": hostile.segment(0xE0, b"JFIF\0"),
        "JFIF of 7 bytes": hostile.segment(0xE0, b"JFIF\0\1\1"),
        "JFIF without density": hostile.segment(0xE0, b"JFIF\0\1\1\7\0\0\0\0\0\0"),
        "JFIF without anything": hostile.segment(0xE0, b""),
        "Adobe of 5 bytes": hostile.segment(0xEE, b"Adobe"),
        "Adobe of 8 bytes": hostile.segment(0xEE, b"Adobe\0\x64\0"),
        "Photoshop": hostile.segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\xff\xff"),
        "pictures": hostile.segment(0xE2, b"MPF\0" + bytes(3)),
        "profile": hostile.segment(0xE2, b"ICC_PROFILE\0"),
        "EXIF": hostile.segment(0xE1, b"Exif\0\0MM\0*" + b"\xff" * 20),
        "FlashPix": hostile.segment(0xE2, b"FPXR\0"),
        **{
            f"{marker:x} of {size}": bytes((255, marker, 0, size))
            for marker in (0xE0, 0xE1, 0xE2, 0xFE)
            for size in (0, 1)
        },
    }
    plain = jpeg(make_pixels((100, 75)).resize((200, 150)), quality=92, subsampling=0)
    files = {f"{name} first": plain[:2] + segment + plain[2:] for name, segment in segments.items()}
    files |= {f"{name} alone": plain[:2] + segment + plain[20:] for name, segment in segments.items()}
    alike(files, PHOTOGRAPH, recipe=JPEG)


def test_jpeg_profiles(alike):
    """A gray picture may have a profile of gray or of colors; a profile of another space is dropped."""
    picture = make_pixels((100, 75)).resize((200, 150))
    linear = make_icc("adobe-rgb").replace(struct.pack(">IIH", 0, 1, 563), struct.pack(">IIH", 0, 1, 256))
    profiles = {"linear": linear, **{name: make_icc(name) for name in ("gray-2.2", "display-p3", "adobe-rgb")}}
    files = {
        f"{mode} {name}": jpeg(picture.convert(mode), quality=92, icc_profile=icc)
        for mode in ("L", "RGB")
        for name, icc in profiles.items()
    }
    alike(files, PHOTOGRAPH, recipe=JPEG)


@pytest.mark.parametrize("quality", [13, 60])
def test_jpeg_of_low_quality_that_is_shrunk(alike, quality):
    """It is stored well enough that shrinking is all that it loses."""
    alike({"photo": make_image("JPEG", (2100, 1500), quality=quality)}, PHOTOGRAPH, recipe=JPEG)


# WebP and graphics


def test_webp_as_it_is_stored(alike):
    """Browsers pass over the orientation of a WebP."""
    for lossless, most in ((True, 1), (False, PHOTOGRAPH)):
        files = {f"{each}": make_image("WEBP", SIZE, orientation=each, lossless=lossless) for each in range(1, 9)}
        alike(files, most)
    alike({"moves": make_image("WEBP", (60, 40), frames=3, durations=[0, 5, 300], loop=3)}, PHOTOGRAPH, moves=True)


def thin_lines(mode):
    """Red lines and checks of one pixel on white or on nothing."""
    image = Image.new(mode, (200, 80), (255, 255, 255) if mode == "RGB" else (0, 0, 0, 0))
    for at in range(0, 200, 10):
        image.paste("red", (at, 0, at + 1, 60))
        image.paste("blue", (0, at // 3, 200, at // 3 + 1))
    for y, x in itertools.product(range(62, 78), range(200)):
        image.putpixel((x, y), ((255, 0, 0), (0, 0, 255), (0, 255, 0))[(x + y) % 3])
    return image


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_graphics_keep_thin_lines(alike, mode, format):
    """As the image itself, where that is a WebP, and as a variant of the full size."""
    file = io.BytesIO()
    thin_lines(mode).save(file, format, **({"lossless": True} if format == "WEBP" else {}))
    for variant in (None, "1280"):
        alike({format: file.getvalue()}, 0.5, recipe=attrs.evolve(WEBP, variants={"1280": Fit(1280)}), variant=variant)


def test_animated_graphics_keep_thin_lines(alike):
    """Each frame, of GIF and of APNG."""
    files = {}
    for format in ("GIF", "PNG"):
        file, frames = io.BytesIO(), [thin_lines("RGB"), thin_lines("RGB").transpose(Image.Transpose.ROTATE_180)]
        frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=90, loop=0)
        files[format] = file.getvalue()
    alike(files, 0.5, moves=True)


# Files from elsewhere


def limit_of(data):
    """The difference that is allowed: what is lossy before it comes is a photograph."""
    lossy = b"VP8 " in data[:50]
    drawn = data[:3] == b"GIF" or is_graphic(Image.open(io.BytesIO(data)).convert("RGBA"))
    return GRAPHIC if drawn and not lossy else PHOTOGRAPH


@pytest.mark.skipif(not CORPUS.exists(), reason="USERIMAGES_CORPUS names no folder")
def test_files_of_the_corpus(oracle, alike):
    """Whatever is accepted, and Chromium shows, looks the same."""
    files = {}
    for path in sorted(CORPUS.glob("open/*")) + sorted(CORPUS.glob("browser/*")):
        data = path.read_bytes()
        try:
            PillowProcessor()(data, "gallery")
        except RejectedImageError:
            continue
        files[path.name] = data
    assert len(files) > 50
    photos = {name: whole(data) for name, data in files.items() if data[:2] == b"\xff\xd8"}
    alike(photos, PHOTOGRAPH, recipe=JPEG)
    others = {name: data for name, data in files.items() if name not in photos}
    alike(others, limit_of, recipe=Recipe(format="webp"))
    moving = {
        name: data for name, data in others.items() if data[:3] == b"GIF" or b"acTL" in data or b"ANIM" in data[:99]
    }
    alike(moving, limit_of, moves=True)


def whole(data):
    """A file with its end marker: Chromium leaves out the last rows of a JPEG without."""
    return data if data[:2] != b"\xff\xd8" or data.endswith(b"\xff\xd9") else data + b"\xff\xd9"
