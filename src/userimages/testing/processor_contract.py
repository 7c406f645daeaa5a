"""What every processor must do, as tests. Subclass ``ProcessorContract`` and write one fixture.

::

    class TestMyProcessor(ProcessorContract):
        @pytest.fixture
        def processor(self):
            return MyProcessor(...)

The processor chooses sizes, formats and variants. Pillow must be able to read what it writes.
"""

import io
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from userimages.errors import EmptyImageError, RejectedImageError
from userimages.keys import EXTENSIONS, VARIANT_NAME
from userimages.model import ImageType, ProcessedImage, Rendition
from userimages.protocols import Processor
from userimages.testing.images import make_exif, make_image, make_png_header

_SCRIPT = b"<script>alert(1)</script>"
_XMP = b"<x:xmpmeta>" + _SCRIPT + b"</x:xmpmeta>"
_TRACES = (b"Exif", b"EXIF", b"xmpmeta", b"<script", b"Camera of the tests", b"8BIM")
_TURN_BACK = {3: 180, 6: 90, 8: 270}
_HOSTILE = {
    "text": b"this is not an image",
    "html": b"<!doctype html>" + _SCRIPT,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'>" + _SCRIPT + b"</svg>",
    "pdf": b"%PDF-1.4\n",
    "magic only": b"\xff\xd8\xff\xe0",
    "zeros": bytes(1000),
    "half a JPEG": make_image("JPEG", (400, 300))[:5000],
    "half a PNG": make_image("PNG", (40, 30))[:1500],
    "gigapixels": make_png_header(65_535, 65_535),
}


class ProcessorContract:
    """The sentences of ``userimages.protocols.Processor``, each as a test."""

    @pytest.fixture
    def processor(self) -> Processor:
        """Return the processor to test. A subclass must override it."""
        raise NotImplementedError("Override the fixture `processor` and return your processor.")

    @pytest.mark.parametrize("image_type", ImageType)
    def test_a_photo_of_every_type_is_processed(self, processor: Processor, image_type: ImageType) -> None:
        """A photo of every type is processed."""
        processed = processor(make_image("JPEG", (400, 300)), image_type)
        assert processed.main.data

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
    def test_the_facts_are_those_of_the_bytes(self, processor: Processor, format: str) -> None:
        """The facts are those of the bytes."""
        for rendition in renditions(processor(make_image(format, (400, 300)), ImageType.PROFILE)):
            image = opened(rendition)
            assert image.size == (rendition.width, rendition.height)
            assert Image.MIME[image.format or ""] == rendition.mime_type

    def test_the_formats_have_an_extension(self, processor: Processor) -> None:
        """The formats have an extension."""
        for mode in ("RGB", "RGBA"):
            for rendition in renditions(processor(make_image("PNG", (400, 300), mode=mode), ImageType.GALLERY)):
                assert rendition.mime_type in EXTENSIONS

    def test_the_names_of_variants_fit_into_a_key(self, processor: Processor) -> None:
        """The names of variants fit into a key."""
        for image_type in ImageType:
            for name in processor(make_image("JPEG", (400, 300)), image_type).variants:
                assert VARIANT_NAME.fullmatch(name)

    @pytest.mark.parametrize("size", [(1, 1), (3, 2), (50, 40), (1, 300), (300, 1), (700, 500)])
    def test_nothing_is_larger_than_its_source(self, processor: Processor, size: tuple[int, int]) -> None:
        """Nothing is larger than its source."""
        for image_type in ImageType:
            processed = processor(make_image("PNG", size), image_type)
            assert_within(processed.main, size)
            for variant in processed.variants.values():
                assert_within(variant, size)

    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_the_image_is_upright(self, processor: Processor, orientation: int) -> None:
        """The image is upright."""
        upright = corner_marked()
        stored = upright.rotate(_TURN_BACK.get(orientation, 0), expand=True)
        file = io.BytesIO()
        stored.save(file, "JPEG", quality=95, exif=make_exif(orientation=orientation))
        image = opened(processor(file.getvalue(), ImageType.GALLERY).main)
        assert (image.width > image.height) == (upright.width > upright.height), "it lies on its side"
        assert is_red(image), "it is upside down"

    def test_no_metadata_and_no_tail_is_stored(self, processor: Processor) -> None:
        """No metadata and no tail is stored."""
        for data in (
            make_image("JPEG", (320, 240), gps=True, xmp=_XMP, comment=_SCRIPT, trailing=_SCRIPT),
            make_image("PNG", (320, 240), mode="RGBA", gps=True, trailing=_SCRIPT),
            make_image("WEBP", (320, 240), gps=True, xmp=_XMP, trailing=_SCRIPT),
            make_image("GIF", (320, 240), mode="P", comment=_SCRIPT, trailing=_SCRIPT),
        ):
            for rendition in renditions(processor(data, ImageType.GALLERY)):
                for trace in _TRACES:
                    assert trace not in rendition.data, f"{trace!r} is in the output"

    def test_the_placeholder_is_short_ascii(self, processor: Processor) -> None:
        """The placeholder is short ASCII."""
        for mode in ("RGB", "RGBA", "L"):
            placeholder = processor(make_image("PNG", (320, 240), mode=mode), ImageType.COVER).placeholder
            assert placeholder.isascii()
            assert len(placeholder) <= 64

    def test_an_empty_file_is_refused(self, processor: Processor) -> None:
        """An empty file is refused."""
        with pytest.raises(EmptyImageError):
            processor(b"", ImageType.PROFILE)

    @pytest.mark.parametrize("name", _HOSTILE)
    def test_what_is_not_an_image_is_refused(self, processor: Processor, name: str) -> None:
        """What is not an image is refused."""
        with pytest.raises(RejectedImageError):
            processor(_HOSTILE[name], ImageType.PROFILE)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
    def test_a_damaged_image_is_processed_or_refused(self, processor: Processor, format: str) -> None:
        """A damaged image is processed or refused."""
        for data in damaged(make_image(format, (64, 48))):
            try:
                processor(data, ImageType.GALLERY)
            except RejectedImageError:
                continue

    def test_threads_do_not_disturb_each_other(self, processor: Processor) -> None:
        """Threads do not disturb each other."""
        files = [make_image("JPEG", (300 + 10 * number, 200), seed=number) for number in range(4)]
        alone = [processor(data, ImageType.GALLERY) for data in files]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda data: processor(data, ImageType.GALLERY), files * 3))
        assert together == alone * 3

    def test_the_limit_of_bytes_is_a_number(self, processor: Processor) -> None:
        """The limit of bytes is a number."""
        assert getattr(processor, "max_bytes", 1) > 0


def renditions(processed: ProcessedImage) -> list[Rendition]:
    """Return the main rendition and those of the variants."""
    return [processed.main, *processed.variants.values()]


def opened(rendition: Rendition) -> Image.Image:
    """Return the decoded bytes of a rendition."""
    image = Image.open(io.BytesIO(rendition.data))
    image.load()
    return image


def assert_within(rendition: Rendition, size: tuple[int, int]) -> None:
    """Check that a rendition has at least one pixel, and no side longer than its source."""
    assert 1 <= rendition.width <= size[0]
    assert 1 <= rendition.height <= size[1]


def corner_marked() -> Image.Image:
    """Return a blue image, wider than high, whose top left quarter is red."""
    image = Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 200, 100))
    return image


def is_red(image: Image.Image) -> bool:
    """Tell whether the top left is red and the bottom right is not."""
    rgb = image.convert("RGB")
    first, last = (rgb.getpixel((rgb.width * part // 8, rgb.height * part // 8)) for part in (1, 7))
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    return first[0] > 150 > first[2] and last[0] < 100 < last[2]


def damaged(data: bytes, *, count: int = 40, seed: int = 7) -> Iterator[bytes]:
    """Yield copies of *data* with a few bytes changed, removed, repeated or overwritten."""
    random_of = random.Random(seed)  # noqa: S311 - the same damage every time
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(random_of.randint(1, 4)):
            at = random_of.randrange(len(copy))
            match random_of.randrange(4):
                case 0:
                    copy[at] = random_of.randrange(256)
                case 1:
                    del copy[at : at + random_of.randint(1, 50)]
                case 2:
                    copy[at:at] = copy[at : at + random_of.randint(1, 50)]
                case _:
                    copy[at : at + 4] = random_of.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
            copy = copy or bytearray(b"\0")
        yield bytes(copy)
