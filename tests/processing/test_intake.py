"""Intake: the bytes alone decide what a file is, and a header alone whether it may be decoded."""

import io
import struct
import warnings
import zlib

import hostile
import pytest
from PIL import Image

from userimages import (
    BrokenImageError,
    EmptyImageError,
    FileTooLargeError,
    ImageType,
    LimitExceededError,
    RejectedImageError,
    UnsupportedFormatError,
)
from userimages.processing import Limits, PillowProcessor, gif, jpeg
from userimages.processing.header import Spliced, orientation_of
from userimages.processing.intake import examine
from userimages.testing import make_image


def size_of(data):
    processed = PillowProcessor()(data, ImageType.GALLERY)
    return processed.main.width, processed.main.height


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.contract("C25")
def test_four_formats_are_read_by_their_content(processor, format):
    """Four formats are read by their content."""
    processed = processor(make_image(format, (60, 40)), ImageType.PROFILE)
    assert (processed.main.width, processed.main.height) == (60, 40)


NOT_PICTURES = {
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "BMP": b"BM"
    + struct.pack("<IHHI", 1078, 0, 0, 1078)
    + struct.pack("<IiiHHIIiiII", 40, 13000, 13000, 1, 8, 1, 4, 0, 0, 256, 0),
    "TIFF": b"II*\0\x08\0\0\0\0\0",
    "PSD": b"8BPS\0\1" + bytes(40),
    "PDF": b"%PDF-1.4\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "ICO": b"\0\0\1\0\1\0" + bytes(40),
    "ZIP": b"PK\x03\x04" + bytes(40),
    "JPEG XL": b"\xff\x0a" + bytes(40),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(40),
    "a video or another ISO file": b"\0\0\0\x18ftypisom" + bytes(40),
    "unknown": b"P6 10 10 255\n" + bytes(300),
}


@pytest.mark.parametrize("found", NOT_PICTURES)
@pytest.mark.contract("C25")
def test_whatever_else_a_file_is_it_is_refused(processor, found):
    """Whatever else a file is, it is refused by name."""
    with pytest.raises(UnsupportedFormatError) as refused:
        processor(NOT_PICTURES[found], ImageType.PROFILE)
    assert refused.value.found == found
    assert refused.value.allowed == ("JPEG", "PNG", "GIF", "WebP")
    assert "JPEG, PNG, GIF, WebP" in str(refused.value)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_heic_is_refused_with_the_way_to_read_it(processor, brand):
    """HEIC is refused with the way to read it."""
    with pytest.raises(
        UnsupportedFormatError, match=r"HEIC.*userimages\[heic\].*PillowProcessor\(heic=True\)"
    ) as refused:
        processor(b"\0\0\0\x18ftyp" + brand + bytes(40), ImageType.PROFILE)
    assert refused.value.found == "HEIC"


def test_an_empty_file_is_refused(processor):
    """An empty file is refused."""
    with pytest.raises(EmptyImageError):
        processor(b"", ImageType.PROFILE)


@pytest.mark.contract("C24")
def test_ten_mebibytes_pass():
    """Ten mebibytes pass."""
    ten = 10 * 1024 * 1024
    picture = make_image("JPEG", (48, 32))
    processor = PillowProcessor()
    assert processor.max_bytes == ten
    assert processor(picture + bytes(ten - len(picture)), ImageType.PROFILE).main.width == 48


@pytest.mark.contract("C24")
def test_one_byte_over_the_limit_is_refused_unread(processor):
    """One byte more than the limit is refused unread."""
    with pytest.raises(FileTooLargeError, match="10,485,760") as refused:
        processor(bytes(10 * 1024 * 1024 + 1), ImageType.PROFILE)
    assert refused.value.limit == 10 * 1024 * 1024


BOMBS = {
    "png-claims-4-gigapixels": (hostile.SIGNATURE + hostile.ihdr(65535, 65535) + hostile.chunk(b"IEND"), 16_384),
    "png-169-megapixels-in-20-kb": (hostile.png(13000, 13000, depth=1), 25_000_000),
    "png-one-pixel-wide": (hostile.png(1, 20_000), 16_384),
    "gif-claims-4-gigapixels": (hostile.gif(65535, 65535, [hostile.gif_frame(1, 1)]), 16_384),
    "gif-frame-outside-of-its-screen": (hostile.gif(8, 8, [hostile.gif_frame(8, 8, left=60000, top=60000)]), 16_384),
    "gif-large-screen-many-frames": (hostile.gif(1000, 1000, [hostile.gif_frame(1, 1)] * 26), 25_000_000),
    "gif-tiny-screen-many-frames": (hostile.gif(1, 1, [hostile.gif_frame(1, 1)] * 251), 250),
    "webp-169-megapixels-in-34-bytes": (hostile.webp(13000, 13000), 25_000_000),
    "webp-canvas-of-4-gigapixels": (hostile.webp_animation(16777216, 256, 1), 16_384),
    "webp-large-canvas-many-frames": (hostile.webp_animation(4000, 4000, 2), 25_000_000),
    "webp-tiny-canvas-many-frames": (hostile.webp_animation(1, 1, 251), 250),
    "apng-large-canvas-many-frames": (hostile.apng(2000, 2000, 7), 25_000_000),
    "apng-tiny-canvas-many-frames": (hostile.apng(1, 1, 251), 250),
    "jpeg-claims-4-gigapixels": (hostile.jpeg_claiming(65500, 65500), 16_384),
    "jpeg-claims-50-megapixels-and-some": (hostile.jpeg_claiming(10_001, 5_000), 50_000_000),
    "jpeg-65-scans": (hostile.jpeg_of_scans(64, 64, 64), 64),
    "jpeg-36-megapixels-in-28-scans": (hostile.jpeg_of_scans(6000, 6000, 27), 1_000_000_000),
    "png-metadata": (hostile.png(8, 8, extra=hostile.chunk(b"tEXt", bytes(4 * 1024 * 1024))), 4 * 1024 * 1024),
    "png-profile-of-80-mb": (
        hostile.png(8, 8, extra=hostile.chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(80_000_000)))),
        4 * 1024 * 1024,
    ),
    "gif-metadata": (
        hostile.gif(8, 8, [hostile.gif_frame(8, 8)], extra=b"!\xfe" + (b"\xff" + bytes(255)) * 17_000 + b"\0"),
        4 * 1024 * 1024,
    ),
    "webp-metadata": (
        hostile.webp_animation(8, 8, 1, extra=hostile.riff_chunk(b"XMP ", bytes(4 * 1024 * 1024))),
        4 * 1024 * 1024,
    ),
    "gif-one-byte-blocks": (
        hostile.gif(8, 8, [hostile.gif_frame(8, 8)], extra=b"!\xfe" + b"\1\0" * 50_001 + b"\0"),
        50_000,
    ),
    "jpeg-junk": (hostile.jpeg_with(hostile.segment(0xFE, b"c") + bytes(70_000)), 65_536),
    "jpeg-padding": (hostile.jpeg_with(b"\xff" * 70_000), 65_536),
    "jpeg-many-segments-between-scans": (
        hostile.jpeg_of_scans(64, 64, 65).replace(b"\xff\xda", hostile.segment(0xC4, b"") * 100 + b"\xff\xda"),
        5_000,
    ),
}
# What a file may hold any number of: the smallest of each kind, and where it stands.
PARTS = {
    "jpeg-restart": lambda count: hostile.jpeg_with(b"\xff\xd0" * count),
    "jpeg-tables": lambda count: hostile.jpeg_with(hostile.segment(0xC4, b"") * count),
    "jpeg-unknown": lambda count: hostile.jpeg_with(hostile.segment(0xF0, b"") * count),
    "jpeg-comment": lambda count: hostile.jpeg_with(hostile.segment(0xFE, b"") * count),
    "png-text": lambda count: hostile.png(8, 8, extra=hostile.chunk(b"tEXt") * count),
    "png-pixels": lambda count: hostile.png(8, 8, extra=hostile.chunk(b"IDAT") * count),
    "png-unknown": lambda count: hostile.png(8, 8, extra=hostile.chunk(b"abCd") * count),
    "gif-comment": lambda count: hostile.gif(8, 8, [hostile.gif_frame(8, 8)], extra=b"!\xfe\0" * count),
    "gif-control": lambda count: hostile.gif(8, 8, [hostile.gif_frame(8, 8)], extra=b"!\xf9\4\0\0\0\0\0" * count),
    "webp-unknown": lambda count: hostile.webp_animation(8, 8, 1, extra=hostile.riff_chunk(b"JUNK", b"") * count),
    "webp-pixels": lambda count: hostile.webp_animation(8, 8, 1, extra=hostile.riff_chunk(b"VP8 ", b"") * count),
    "webp-within-a-frame": lambda count: hostile.webp_animation(
        8, 8, 1, extra=hostile.riff_chunk(b"ANMF", bytes(16) + hostile.riff_chunk(b"JUNK", b"") * count)
    ),
}
BOMBS |= {name: (build(5_001), 5_000) for name, build in PARTS.items()}


@pytest.mark.parametrize("name", PARTS)
def test_parts_up_to_their_limit_pass(name):
    """A file of parts is refused for their number, and not because such parts are refused as such."""
    assert examine(PARTS[name](4_900), Limits()).width in (8, 48)


def test_a_second_profile_of_a_png_is_not_inflated():
    """Each profile may inflate to megabytes, and a file of 10 MiB may hold thousands: only the first is."""
    profile = hostile.chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(36) + b"acsp" + bytes(3_999_960)))
    cut = hostile.chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(5_000_000)))
    header = examine(hostile.png(8, 8, extra=profile + cut), Limits())
    assert len(header.icc) == 4_000_000


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.contract("C27")
def test_a_bomb_is_refused_before_its_decoder_sees_it(processor, name, monkeypatch):
    """A bomb is refused before its decoder sees it."""
    monkeypatch.setattr("userimages.processing.process", lambda *_: pytest.fail("it was decoded"))
    data, limit = BOMBS[name]
    with pytest.raises(LimitExceededError) as refused:
        processor(data, ImageType.GALLERY)
    assert refused.value.limit == limit
    assert refused.value.value > limit
    assert f"{limit:,}" in str(refused.value)
    assert f"{refused.value.value:,}" in str(refused.value)
    assert "Limits(max_" in refused.value.hint


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(max_pixels=2400), make_image("PNG", (60, 40))),
        (Limits(max_jpeg_pixels=2400), make_image("JPEG", (60, 40))),
        (Limits(max_side=60), make_image("WEBP", (60, 40))),
        (Limits(max_frames=3), make_image("GIF", (60, 40), frames=3)),
        (Limits(max_pixels=7200), make_image("WEBP", (60, 40), frames=3)),
        (Limits(max_scans=10), make_image("JPEG", (60, 40), progressive=True)),
        (Limits(max_scan_pixels=24_000), make_image("JPEG", (60, 40), progressive=True)),
        (Limits(max_bytes=len(make_image("PNG", (60, 40)))), make_image("PNG", (60, 40))),
    ],
)
@pytest.mark.contract("C27")
def test_a_picture_that_just_meets_its_limit_passes(limits, data):
    """A picture that just meets its limit passes."""
    assert PillowProcessor(limits=limits)(data, ImageType.GALLERY).main.width == 60


@pytest.mark.parametrize("marker", [0xC0, 0xC2])
@pytest.mark.parametrize(("stated", "there"), [(0, 0), (0, 1), (1, 2), (3, 2), (255, 3)])
def test_the_colors_of_a_jpeg_are_as_many_as_stated(processor, marker, stated, there):
    """What follows is counted by them."""
    frame = hostile.segment(
        marker, b"\x08\0\x10\0\x10" + bytes((stated,)) + b"\1\x11\0" * there + bytes(3 * (not there))
    )
    scans = hostile.segment(0xDA, b"\1\1\0\0\0\0") * 2
    with pytest.raises(BrokenImageError, match="size is not stated"):
        processor(b"\xff\xd8" + frame + scans + b"\xff\xd9", "gallery")


def test_scans_of_a_sequential_jpeg_are_counted():
    """A sequential JPEG with a scan for each color has its scans counted."""
    good = make_image("JPEG", (64, 64), mode="L")
    frame = good.index(b"\xff\xc0")
    three = good[:frame] + hostile.segment(0xC0, struct.pack(">BHHB", 8, 64, 64, 3) + b"\1\x11\0\2\x11\0\3\x11\0")
    rest = good[frame + 2 + int.from_bytes(good[frame + 2 : frame + 4]) :].removesuffix(b"\xff\xd9")
    scan = rest[rest.index(b"\xff\xda") :]
    with pytest.raises(LimitExceededError, match="scans"):
        jpeg.examine(three + rest + scan * 64 + b"\xff\xd9", Limits())


BROKEN = {
    "jpeg-magic-only": b"\xff\xd8\xff\xe0",
    "png-magic-only": hostile.SIGNATURE,
    "gif-magic-only": b"GIF89a",
    "webp-magic-only": b"RIFF\x04\0\0\0WEBP",
    "jpeg-half": make_image("JPEG", (400, 300))[:6000],
    "jpeg-progressive-half": make_image("JPEG", (400, 300), progressive=True)[:6000],
    "jpeg-no-pixels": b"\xff\xd8" + hostile.segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") * 500 + b"\xff\xd9",
    "jpeg-two-sizes": hostile.jpeg_with(hostile.segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\1\x11\0")),
    "jpeg-no-height": hostile.jpeg_claiming(8, 0),
    "png-half": make_image("PNG", (40, 30))[:1500],
    "png-no-pixels": hostile.SIGNATURE + hostile.ihdr(40, 20) + hostile.chunk(b"IEND"),
    "png-no-width": hostile.png(0, 9, rows=b""),
    "png-two-sizes": hostile.png(8, 8, extra=hostile.ihdr(9, 9)),
    "png-short-header": hostile.SIGNATURE + hostile.chunk(b"IHDR", b"\0\0\0\1\0"),
    "png-header-crc": hostile.png(8, 8).replace(hostile.ihdr(8, 8, 8, 0)[-4:], bytes(4)),
    "png-pixel-crc": hostile.png(8, 8)[:-16] + bytes(4) + hostile.chunk(b"IEND"),
    "png-depth-5": hostile.SIGNATURE
    + hostile.ihdr(8, 8, 5)
    + hostile.chunk(b"IDAT", zlib.compress(bytes(300)))
    + hostile.chunk(b"IEND"),
    "png-short-pixels": hostile.png(40, 20, rows=bytes(100)),
    "gif-html": b"GIF89a\x08\0\x08\0\0\0\0<html>" + hostile.SCRIPT,
    "gif-no-frames": hostile.gif(8, 8, []),
    "gif-half": hostile.gif(64, 64, [hostile.gif_frame(64, 64)])[:300],
    "gif-broken-second-frame": hostile.gif(9, 9, [hostile.gif_frame(9, 9)])[:-1] + hostile.gif_frame(9, 9)[:-4] + b";",
    "webp-half": make_image("WEBP", (400, 300))[:3000],
    "webp-frames-half": make_image("WEBP", (40, 30), frames=3)[:900],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_as_broken(processor, name):
    """A broken file is refused as broken."""
    with pytest.raises(BrokenImageError):
        processor(BROKEN[name], ImageType.GALLERY)


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, SyntaxError, IndexError, RuntimeError, OSError, KeyError, EOFError]
)
def test_whatever_a_decoder_raises_is_a_broken_image(processor, error, monkeypatch):
    """Whatever a decoder raises becomes a broken image."""

    def load(self):
        raise error("from the decoder")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(BrokenImageError) as refused:
        processor(make_image("JPEG", (48, 32)), ImageType.GALLERY)
    assert isinstance(refused.value.__cause__, error)
    assert "from the decoder" not in str(refused.value)


@pytest.mark.parametrize("error", [MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning])
def test_a_decoder_out_of_memory_is_too_many_pixels(processor, error, monkeypatch):
    """A decoder out of memory is too many pixels."""

    def load(self):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(LimitExceededError) as refused:
        processor(make_image("PNG", (48, 32)), ImageType.GALLERY)
    assert refused.value.value == 48 * 32


@pytest.mark.cost
def test_only_the_decoder_of_its_format_is_opened(processor, monkeypatch):
    """Only the decoder of the sniffed format is opened."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Image.open tries decoders that nobody chose"))
    for format in ("JPEG", "PNG", "GIF", "WEBP"):
        assert processor(make_image(format, (48, 32)), ImageType.GALLERY).main.width == 48


def test_a_photo_of_two_pictures_is_its_first_jpeg(processor):
    """A phone photo of two pictures is the JPEG that it begins with."""
    two = io.BytesIO()
    first, second = (Image.open(io.BytesIO(make_image("JPEG", (64, 48), seed=seed))) for seed in (1, 2))
    first.save(two, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(two.getvalue())).format == "MPO"
    processed = processor(two.getvalue(), ImageType.GALLERY)
    assert processed.main.mime_type == "image/jpeg"


def test_a_count_that_lies_never_reaches_the_decoder(processor):
    """A count that lies never reaches the decoder."""
    lying = processor(hostile.apng(4, 4, 1, claimed=0x7FFFFFFF), ImageType.GALLERY)
    assert lying.main.mime_type == "image/jpeg"
    honest = processor(hostile.apng(4, 4, 3, claimed=2), ImageType.GALLERY)
    assert honest.main.mime_type == "image/webp"


def test_a_png_in_single_bytes_is_joined_first(processor, monkeypatch):
    """A PNG in single bytes is joined before its decoder sees it."""
    whole = hostile.png(40, 20, color=2)
    start = whole.index(b"IDAT") - 4
    body = whole[start + 8 : whole.index(b"IEND") - 8]
    cut = (
        whole[:start]
        + b"".join(hostile.chunk(b"IDAT", body[at : at + 1]) for at in range(len(body)))
        + hostile.chunk(b"IEND")
    )
    assert processor(cut, ImageType.GALLERY) == processor(whole, ImageType.GALLERY)


def test_a_gif_in_single_bytes_is_joined_first(processor):
    """A GIF in single bytes is joined before its decoder sees it."""
    whole = hostile.gif(8, 8, [hostile.gif_frame(8, 8)])
    start = whole.index(b"\x02", whole.index(b",") + 10) + 1
    raw = whole[start + 1 : start + 1 + whole[start]]
    cut = whole[:start] + b"".join(b"\1" + raw[at : at + 1] for at in range(len(raw))) + b"\0;"
    assert processor(cut, ImageType.GALLERY) == processor(whole, ImageType.GALLERY)
    seen = gif.examine(cut, Limits()).parts[0].open().read()
    assert len(seen) < len(cut) - len(raw) // 2


def test_corrupt_metadata_neither_warns_nor_refuses():
    """Corrupt metadata neither warns nor refuses."""
    damaged = hostile.jpeg_with(hostile.segment(0xE1, b"Exif\0\0" + hostile.tiff_with_orientation(6)[:20]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert size_of(damaged) == (48, 32)
        assert size_of(hostile.png(40, 20, extra=hostile.chunk(b"acTL", bytes(8)) * 2)) == (40, 20)
        assert size_of(hostile.png(40, 20, extra=hostile.chunk(b"zTXt", b"k\0\7junk"))) == (40, 20)


def test_no_setting_of_pillow_is_changed_or_needed(processor, monkeypatch):
    """No setting of Pillow is changed or needed."""
    from PIL import ImageFile, PngImagePlugin

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK, dict(Image.MIME)
    processor(make_image("JPEG", (64, 48)), ImageType.GALLERY)
    assert before[:3] == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(LimitExceededError):
        processor(hostile.webp(13000, 13000), ImageType.GALLERY)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_read_in_both_byte_orders(value, order):
    """The orientation is read in both byte orders."""
    assert orientation_of(b"Exif\0\0" + hostile.tiff_with_orientation(value, order=order)) == value
    assert orientation_of(hostile.tiff_with_orientation(value, order=order, kind=4)) == value


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"junk" * 20,
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        hostile.tiff_with_orientation(0),
        hostile.tiff_with_orientation(9),
        hostile.tiff_with_orientation(65535),
        hostile.tiff_with_orientation(6)[:20],
        hostile.tiff_with_orientation(6).replace(b"\x12\x01\x03\0", b"\x12\x01\x02\0"),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(240),
    ],
)
def test_an_orientation_that_makes_no_sense_is_none(exif):
    """An orientation that makes no sense is none."""
    assert orientation_of(exif) == 1


def test_of_two_exif_blocks_the_first_counts():
    """Of two EXIF blocks the first counts."""
    both = [hostile.segment(0xE1, b"Exif\0\0" + hostile.tiff_with_orientation(value)) for value in (6, 1)]
    assert size_of(hostile.jpeg_with(*both)) == (32, 48)


@pytest.mark.parametrize("head", [b"", b"abc"])
def test_a_spliced_file_reads_like_the_whole(head):
    """A spliced file reads like the whole."""
    data = bytes(range(200))
    file, plain = Spliced(head, data, 50), io.BytesIO(head + data[50:])
    for size in (0, 1, 2, 5, 70, 1000, 3):
        assert file.read(size) == plain.read(size)
        assert file.tell() == plain.tell()
    for offset in (0, 1, 3, 100, 500):
        assert file.seek(offset) == plain.seek(offset)
        assert file.read() == plain.read()


def test_errors_say_nothing_of_the_file_but_numbers(processor):
    """Errors of intake say nothing of the file but numbers."""
    for data, _ in BOMBS.values():
        with pytest.raises(RejectedImageError) as refused:
            processor(data, ImageType.GALLERY)
        assert refused.value.hint
        assert "script" not in str(refused.value)
