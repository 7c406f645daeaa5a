"""What a file costs: no more processor time and memory than its size and its header allow, whatever it says.

``USERIMAGES_TORTURE`` draws 200,000 files instead of some hundreds.
"""

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path

import hostile
import inflate
import pytest
from PIL import Image

from userimages import BrokenImageError, LimitExceededError
from userimages.errors import RejectedImageError
from userimages.processing import Fit, Limits, PillowProcessor, Recipe
from userimages.processing.color import Profile
from userimages.processing.icc import rebuilt
from userimages.processing.intake import examine
from userimages.processing.memory import estimate
from userimages.testing import make_image
from userimages.testing.images import make_icc, make_pixels

TORTURE = bool(os.environ.get("USERIMAGES_TORTURE"))
FILES = 200_000 if TORTURE else 300
CORPUS = Path(os.environ.get("USERIMAGES_CORPUS", "/nonexistent"))
RECIPE = Recipe(variants={"320": Fit(320)})
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not tell a peak")


def resident(name):
    """Bytes of resident memory, now (VmRSS) or at most since the last reset (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def cost(data, processor, *, heic=False):
    """Process a file; return its seconds, its bytes of memory, and what of both it may cost.

    The walk over its parts may take 0.1 s, and twice that on a machine that does other work.
    """
    started = time.process_time()
    try:
        header = examine(data, processor.limits, heic=heic)
        allowed, needs = allowed_seconds(header), estimate(header, RECIPE)
    except RejectedImageError:
        allowed, needs = 0.2, 0
    if (walk := time.process_time() - started) > 0.2:
        return walk, 0, 0.2, 0
    Path("/proc/self/clear_refs").write_text("5")
    before, started = resident("VmRSS"), time.process_time()
    with contextlib.suppress(RejectedImageError):
        processor(data, "cover")
    seconds, taken = time.process_time() - started, resident("VmHWM") - before
    return seconds, taken, allowed, 1.15 * needs + len(data) + 16_000_000


def allowed_seconds(header):
    """Return what a picture may cost: a small one 1 s, the largest still 2 s, the largest animation 5 s."""
    pixels = header.width * header.height * header.frames
    return min(2, 1 + pixels / 25_000_000) if header.frames == 1 else 1 + 4 * pixels / 25_000_000


_MANY_THREADS = """
import sys, threading
from pathlib import Path
from userimages.processing import Limits, PillowProcessor
from userimages.testing import make_image

def resident():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024

data = Path(sys.argv[1]).read_bytes()
processor = PillowProcessor(limits=Limits(wait_seconds=300))
processor(make_image("JPEG", (64, 64)), "gallery")
before = resident()
threads = [threading.Thread(target=processor, args=(data, "gallery")) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
print(resident() - before)
"""


@needs_proc
def test_many_threads_keep_no_memory(tmp_path):
    """What large pictures needed is given back, because the allocator would keep a heap for each of many threads."""
    file = tmp_path / "large.webp"
    file.write_bytes(make_image("WEBP", (4600, 3400), quality=50))
    command = [sys.executable, "-c", _MANY_THREADS, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100, "MiB"


@needs_proc
def test_no_file_costs_more_than_it_may():
    """Parts of valid files repeated, emptied, grown, moved and overwritten; a file that costs too much shrinks."""
    heic = find_spec("pi_heif") is not None
    processor, chance = PillowProcessor(recipes={"cover": RECIPE}, heic=heic), random.Random(FILES)
    slowest = 0.0

    def fails(case):
        nonlocal slowest
        for _ in range(3):  # what is over its limit is measured again, because the machine may be at work
            seconds, taken, most_seconds, most_bytes = cost(inflate.built(case), processor, heic=heic)
            if seconds <= most_seconds and taken <= most_bytes:
                slowest = max(slowest, seconds)
                return False
        return True

    for _ in range(FILES):
        case = inflate.drawn(chance)
        if fails(case):
            case = inflate.shrunk(case, fails)
            data = inflate.built(case)
            pytest.fail(f"{case}, {len(data):,} bytes, costs {cost(data, processor, heic=heic)}")
    print(f"{FILES:,} files, slowest {slowest:.2f} s")  # noqa: T201 - for pytest -s


def test_a_case_that_fails_is_shrunk():
    """What the search reports is the step that matters, and not what was drawn beside it."""
    case = "png", [("flip", 9, 9), ("repeat", 2, 6000), ("move", 1, 3)]
    name, steps = inflate.shrunk(case, lambda case: len(inflate.built(case)) > 5_000)
    assert (name, [kind for kind, *_ in steps]) == ("png", ["repeat"])
    assert steps[0][2] < 60


@pytest.mark.parametrize("name", inflate.SEEDS)
def test_the_parts_of_a_seed_are_the_seed(name):
    """A search over parts that do not fit together again would test the first check only."""
    assert inflate.joined(name, inflate.parts_of(name, inflate.SEEDS[name])) == inflate.SEEDS[name]


KINDS = {
    "jpeg": ("JPEG", {}),
    "jpeg-444": ("JPEG", {"subsampling": 0}),
    "jpeg-progressive": ("JPEG", {"progressive": True, "subsampling": 0}),
    "jpeg-gray": ("JPEG", {"mode": "L", "progressive": True}),
    "jpeg-cmyk": ("JPEG", {"mode": "CMYK", "progressive": True}),
    "png": ("PNG", {"compress_level": 1, "icc_profile": make_icc("display-p3")}),
    "png-alpha": ("PNG", {"mode": "RGBA", "compress_level": 1}),
    "png-gray-alpha": ("PNG", {"mode": "LA", "compress_level": 1}),
    "png-palette": ("PNG", {"mode": "P", "transparency": 3, "compress_level": 1}),
    "png-16": ("PNG", {"mode": "I;16", "compress_level": 1}),
    "gif": ("GIF", {"mode": "P"}),
    "webp": ("WEBP", {"method": 0}),
    "webp-alpha": ("WEBP", {"mode": "RGBA", "method": 0}),
    "webp-lossless": ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
}


def pixels(size, mode):
    small = make_pixels((160, 100), mode=mode)
    return small.resize(size, Image.Resampling.NEAREST if mode in ("P", "I;16") else Image.Resampling.BILINEAR)


def uncommon(photo):
    """Return stills that are decoded twice, or drawn on a canvas that they do not cover."""

    def saved(kind, **options):
        file = io.BytesIO()
        photo.save(file, kind, **options)
        return file.getvalue()

    width, height = photo.size
    gif = saved("GIF")
    key = hostile.chunk(b"tRNS", struct.pack(">HHH", 0, 0, 1))
    rows = b"".join(b"\0" + bytes(6 * width) for _ in range(height))
    return {
        "gif-on-a-larger-screen": gif[:6] + struct.pack("<HH", width, height + 1) + gif[10:],
        "jpeg-without-its-end": saved("JPEG", progressive=True, subsampling=0)[:-2],
        "png-of-16-bits-with-a-key": hostile.png(width, height, depth=16, color=2, extra=key, rows=rows),
    }


@needs_proc
@pytest.mark.parametrize("format", [None, "webp"])
def test_the_estimate_is_what_a_process_needs(format, tmp_path):
    """Too high lets a picture wait; too low is a process that the system ends. Each in a child of its own."""
    for name, (kind, options) in KINDS.items():
        picture = pixels((1800, 1200) if kind == "JPEG" else (1300, 800), options.get("mode", "RGB"))
        picture.save(tmp_path / name, kind, **{key: value for key, value in options.items() if key != "mode"})
    frames = [Image.new("RGB", (600, 500), (9 * number, 60, 200)) for number in range(12)]
    photo = pixels((1300, 800), "RGB")
    for name, data in uncommon(photo).items():
        (tmp_path / name).write_bytes(data)
    for kind in ("gif", "png", "webp"):
        frames[0].save(tmp_path / f"animated-{kind}", kind, save_all=True, append_images=frames[1:], duration=40)
    measured = peaks(tmp_path.iterdir(), format)
    assert len(measured) == len(KINDS) + 3 + len(uncommon(photo))
    assert not too_low(measured)


@needs_proc
@pytest.mark.skipif(not CORPUS.exists(), reason="USERIMAGES_CORPUS names no folder")
def test_the_estimate_holds_for_every_real_file():
    """The same for the files of the corpus."""
    assert not too_low(peaks((path for path in CORPUS.rglob("*") if path.is_file()), None))


def peaks(paths, format):
    script = [sys.executable, str(Path(__file__).with_name("peaks.py")), json.dumps(format), *map(str, paths)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def too_low(measured):
    return [each for each in measured if each["peak"] > 1.15 * each["estimate"] + 16_000_000]


def costly_profile(*tags):
    """A profile of these tags."""
    at, table, content = 132 + 12 * len(tags), b"", b""
    for name, body in tags:
        table += name + (at + len(content)).to_bytes(4) + len(body).to_bytes(4)
        content += body
    head = make_icc("display-p3")[4:128]
    return (at + len(content)).to_bytes(4) + head + len(tags).to_bytes(4) + table + content


def table_of(grid, entries=2, kind=b"mft2"):
    curve = b"".join(round(65535 * at / (entries - 1)).to_bytes(2) for at in range(entries))
    matrix = b"".join((65536 * (at % 4 == 0)).to_bytes(4) for at in range(9))
    head = kind + bytes(4) + bytes((3, 3, grid, 0)) + matrix + entries.to_bytes(2) + (2).to_bytes(2)
    return head + curve * 3 + bytes(6 * grid**3) + b"\0\0\xff\xff" * 3


STAGES = b"mpet" + bytes(4) + b"\0\3\0\3" + (50_000).to_bytes(4) + bytes(400_000)
REFUSED_TAGS = {
    "stages": (b"D2B1", STAGES),
    "stages-in-a-known-tag": (b"A2B0", STAGES),
    "unknown-tag": (b"abcd", bytes(100)),
    "large-table": (b"A2B0", table_of(60)),
    "long-curves": (b"A2B0", table_of(9, entries=5000)),
    "table-cut-off": (b"A2B0", table_of(9)[:-1]),
    "long-curve": (b"rTRC", b"curv" + bytes(4) + (4097).to_bytes(4) + bytes(2 * 4097)),
    "curve-cut-off": (b"rTRC", b"curv" + bytes(4) + (4096).to_bytes(4) + bytes(8000)),
    "curve-of-another-kind": (b"rTRC", b"para" + bytes(4) + b"\0\5\0\0" + bytes(40)),
    "to-a-device": (b"B2A0", table_of(9)),
    "large-fact": (b"wtpt", b"XYZ " + bytes(100)),
}


@pytest.mark.parametrize("name", REFUSED_TAGS)
def test_a_tag_that_is_not_understood_is_left_out(name):
    """The profile that lcms sees has no byte of it, and what is left works."""
    tag, body = REFUSED_TAGS[name]
    good = b"A2B1", table_of(9)
    assert rebuilt(costly_profile((tag, body), good)) == rebuilt(costly_profile(good))
    assert rebuilt(costly_profile((tag, body))) == b""


def test_a_table_that_is_understood_is_kept():
    """33 points along each axis, as in real ones, and curves of 4,096 entries."""
    for body in (table_of(33), table_of(9, entries=4096)):
        assert body in rebuilt(costly_profile((b"A2B0", body)))


def test_only_so_many_tags_of_a_profile_are_read():
    """A tag may be named any number of times: the hundred and first is not seen."""
    many = [(b"abcd", b"")] * 100
    assert rebuilt(costly_profile(*many, (b"A2B0", table_of(9)))) == b""
    assert rebuilt(costly_profile(*many[1:], (b"A2B0", table_of(9)))) != b""


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.cost
def test_the_transform_is_built_once_for_all_frames(format, monkeypatch):
    """Its price is the attacker's choice; 250 frames would pay it 250 times."""
    from PIL import ImageCms

    made, build = [], ImageCms.buildTransform
    monkeypatch.setattr(ImageCms, "buildTransform", lambda *given: made.append(1) or build(*given))
    data = make_image(format, (8, 6), frames=5, icc=make_icc("display-p3"))
    assert PillowProcessor()(data, "gallery").main.mime_type == "image/webp"
    assert made == [1]


def test_a_profile_of_stages_alone_is_dropped(processor):
    """It is dropped, like a damaged one, and the picture is not refused."""
    icc = costly_profile((b"D2B1", STAGES))
    data, plain = (make_image("PNG", (20, 10), **options) for options in ({"icc": icc}, {}))
    assert processor(data, "gallery").main == processor(plain, "gallery").main
    assert Profile(icc).is_srgb


def noise(frames, side):
    """An APNG of tiles of noise, each frame another, of too many colors for a graphic: small as PNG, large as WebP."""
    chance, pictures = random.Random(frames), []
    for _ in range(frames):
        band = b"".join(chance.randbytes(3 * 32) * (side // 32) for _ in range(16))
        pictures.append(Image.frombytes("RGB", (side, side), band * (side // 16)))
    file = io.BytesIO()
    pictures[0].save(file, "PNG", save_all=True, append_images=pictures[1:], duration=40)
    return file.getvalue()


@pytest.mark.parametrize(("most", "side"), [(1_000_000, 256), (250_000, 128)])
def test_an_animation_that_grows_is_halved(most, side):
    """At half of its size it is stored; its variants are made of what is stored."""
    data = noise(6, 256)
    assert 2 * len(data) < most
    processor = PillowProcessor(limits=Limits(max_animation_bytes=most))
    processed = processor(data, "gallery")
    assert (processed.main.width, processed.main.height) == (side, side)
    assert len(processed.main.data) <= most
    assert {each.width for each in processed.variants.values()} == {side}


@pytest.mark.parametrize("frames", [2, 9])
def test_an_animation_that_grows_still_is_refused(frames):
    """By its first frame alone, or by all of them."""
    data = noise(frames, 512)
    most = 2 * len(data)
    with pytest.raises(LimitExceededError, match=r"bytes to store.*max_animation_bytes") as refused:
        PillowProcessor(limits=Limits(max_animation_bytes=1))(data, "gallery")
    assert refused.value.code == "animation_too_large"
    assert refused.value.value > refused.value.limit == most


def bits_of(*fields):
    """A lossless stream of these (value, bits), lowest first."""
    value, count = 0, 0
    for number, size in fields:
        value, count = value | number << count, count + size
    return value.to_bytes((count + 7) // 8, "little")


ONE = (1, 1), (0, 1), (0, 1), (0, 1)  # a code of one symbol, 0


def groups(count, side=512):
    """The head of a stream that states *count* Huffman groups, in blocks of 4 x 4 pixels; then nothing."""
    blocks = (side // 4) ** 2
    low, high = (count - 1) & 255, (count - 1) >> 8
    pair = lambda symbol: ((1, 1), (1, 1), (1, 1), (0, 8), (symbol, 8)) if symbol else ONE  # noqa: E731
    codes = (0, 1), *pair(low), *pair(high), *ONE, *ONE, *ONE
    bits = (1 if low else 0) + (1 if high else 0)
    first = ((1, 1),) * bits
    return bits_of((0, 1), (0, 1), (1, 1), (0, 3), *codes, *first, *(((0, 1),) * (bits * (blocks - 1))), (0, 8))


def lossless(stream, side=512):
    return hostile.riff_chunk(b"VP8L", b"\x2f" + (side - 1 | side - 1 << 14).to_bytes(4, "little") + stream)


def in_an_alpha(stream):
    canvas = b"\x10\0\0\0" + (511).to_bytes(3, "little") * 2
    return hostile.riff(hostile.riff_chunk(b"VP8X", canvas), hostile.riff_chunk(b"ALPH", b"\1" + stream))


def in_a_frame(stream):
    canvas = b"\2\0\0\0" + (511).to_bytes(3, "little") * 2
    place = bytes(6) + (511).to_bytes(3, "little") * 2 + bytes(4)
    return hostile.riff(
        hostile.riff_chunk(b"VP8X", canvas),
        hostile.riff_chunk(b"ANIM", bytes(6)),
        hostile.riff_chunk(b"ANMF", place + lossless(stream)),
    )


PLACES = {"still": lambda stream: hostile.riff(lossless(stream)), "alpha": in_an_alpha, "frame": in_a_frame}


@pytest.mark.parametrize("place", PLACES)
def test_huffman_groups_are_counted_wherever_they_are(place):
    """libwebp keeps 8.4 KB for each, and 65,536 fit into 200 KB of file."""
    build = PLACES[place]
    one, many = (examine(build(groups(count)), Limits()).decoder_bytes for count in (1, 3000))
    assert many - one == 2999 * 8400
    with pytest.raises(LimitExceededError, match=r"3,001 Huffman groups.*max_huffman_groups"):
        examine(build(groups(3001)), Limits())


def test_frames_of_a_webp_share_the_limit_of_groups():
    """The tables of a frame are built anew for each: 250 times 3,000 would take seconds."""
    frame = in_a_frame(groups(2000))[12 + 18 + 14 :]
    start = in_a_frame(groups(2000))[: 12 + 18 + 14]
    with pytest.raises(LimitExceededError, match="4,000 Huffman groups"):
        examine(start + frame * 2, Limits())


def test_what_is_before_lossless_pixels_is_bounded():
    """Small pictures of the transforms may be as large as the picture; none is read for longer than the limit."""
    codes = (0, 1), (1, 1), (1, 1), (1, 1), (0, 8), (1, 8), *ONE, *ONE, *ONE, *ONE
    stream = bits_of((1, 1), (0, 2), (0, 3), *codes, *(((0, 1),) * 16_400))
    with pytest.raises(LimitExceededError, match="symbols before its pixels"):
        examine(hostile.riff(lossless(stream)), Limits(max_head_symbols=16_000))
    assert examine(hostile.riff(lossless(stream)), Limits()).width == 512


def test_a_color_cache_that_is_too_large_is_broken():
    """libwebp takes no larger one, whose codes would be read for nothing."""
    for bits, error in ((12, "color cache"), (0, "color cache")):
        with pytest.raises(BrokenImageError, match=error):
            examine(hostile.riff(lossless(bits_of((0, 1), (1, 1), (bits, 4), (0, 8)))), Limits())


def test_a_png_of_empty_blocks_is_refused():
    """Millions of them fit into ten megabytes and cost a second, for a picture of a few pixels."""
    body = b"\x78\x01" + b"\0\0\0\xff\xff" * 2_000_000
    with pytest.raises(LimitExceededError, match="metadata"):
        examine(
            hostile.SIGNATURE + hostile.ihdr(8, 8) + hostile.chunk(b"IDAT", body) + hostile.chunk(b"IEND"), Limits()
        )


def test_a_large_compressed_profile_is_dropped(processor):
    """Its bytes may be empty blocks too; the picture is taken for sRGB."""
    small, large = (
        hostile.png(
            4, 4, color=2, extra=hostile.chunk(b"iCCP", b"p\0\0" + zlib.compress(make_icc("display-p3")) + bytes(n))
        )
        for n in (0, 2**20)
    )
    assert examine(small, Limits()).icc
    assert not examine(large, Limits()).icc
    assert processor(large, "gallery").main.width == 4


def test_tables_that_are_stated_again_and_again():
    """A decoder reads each of them, however many there are."""
    data = make_image("JPEG", (48, 32))
    many = data[:2] + hostile.segment(0xDB, (b"\0" + bytes(range(1, 65))) * 1000) * 17 + data[2:]
    with pytest.raises(BrokenImageError, match="again and again"):
        examine(many, Limits())


def test_scans_without_an_end_count_twice():
    """Such a file is decoded twice."""
    data = make_image("JPEG", (400, 300), progressive=True)
    limits = Limits(max_scan_pixels=400 * 300 * 15)  # it has ten
    assert examine(data, limits).width == 400
    with pytest.raises(LimitExceededError, match="scans"):
        examine(data[:-2], limits)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_lossless_head_that_is_cut_off_is_broken(cut):
    """Read from bytes that are not there, it would tell too few groups."""
    with pytest.raises(BrokenImageError):
        examine(hostile.riff(lossless(groups(3000)[:cut])), Limits())


def test_a_large_progressive_cmyk_needs_too_much():
    """Its decoder keeps 8 bytes for each pixel, at whatever scale it is decoded."""
    layers = b"".join(bytes((number, 0x11, 0)) for number in range(1, 5))
    frame = hostile.segment(0xC2, b"\x08" + (6000).to_bytes(2) + (8000).to_bytes(2) + b"\4" + layers)
    scan = hostile.segment(0xDA, b"\4\1\0\2\0\3\0\4\0\0\0\0")
    data = b"\xff\xd8" + frame + scan + b"\xff\xd9"
    with pytest.raises(LimitExceededError, match=r"bytes of memory.*max_memory"):
        PillowProcessor()(data, "gallery")
    assert examine(data.replace(b"\xff\xc2", b"\xff\xc0"), Limits()).decoder_bytes == 0


ROWS = {1: (0, 1), 2: (0, 2), 4: (0, 4), 8: (2, 8), 16: (6, 16)}


@pytest.mark.parametrize("depth", ROWS)
@pytest.mark.parametrize("lost", [1, 10, 39])
def test_a_png_whose_rows_are_missing_is_refused(processor, depth, lost):
    """Its decoder fills them in with black, and says nothing."""
    color, bits = ROWS[depth]
    rows = hostile.png(16, 40, depth=bits, color=color)
    assert processor(rows, "gallery").main.height == 40
    line = 1 + 16 * bits * {0: 1, 2: 3, 6: 4}[color] // 8
    with pytest.raises(BrokenImageError):
        processor(hostile.png(16, 40, depth=bits, color=color, rows=bytes(line * (40 - lost))), "gallery")


def test_a_jpeg_that_was_cut_and_closed_is_stored(processor):
    """It ends as a whole one does, and browsers show what there is: gray below."""
    whole = make_image("JPEG", (400, 300))
    assert processor(whole[: len(whole) // 2] + b"\xff\xd9", "gallery").main.height == 300


def test_what_looks_like_a_trailer_is_counted(processor):
    """A name that a phone might have put behind a picture is a place to check, and there are only so many."""
    whole = make_image("JPEG", (64, 48))[:-2]
    with pytest.raises(LimitExceededError, match="parts"):
        processor(whole + b"_A" * 30_000, "gallery")
