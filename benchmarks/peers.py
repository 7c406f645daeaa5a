"""The engines that ingest.py compares: each takes a file and returns its outputs, 1920 pixels first.

Every one does as much of the job (upright, 1920 JPEG of quality 85, WebP of 640, 256 and 64 pixels, hash) as it can
do with its own means; what it leaves out is said beside it.
"""

import io
import sys
from collections.abc import Callable

from PIL import Image, ImageOps

from userimages.processing import resize

SIZES = (640, 256, 64)
FAST = resize.fast()


def shrink_with(library: object) -> None:
    """Let userimages shrink with this library; with None as where the extra ``fast`` is not installed."""
    sys.modules["cykooz_resizer"] = library  # type: ignore[assignment]
    resize.fast.cache_clear()


def fast() -> Callable[[bytes], list[bytes]]:
    """userimages with the extra ``fast``: everything."""
    if FAST is None:
        raise ImportError("cykooz_resizer")
    return ours(fast=True)


def ours(*, animated: bool = False, fast: bool = False, recipe: str = "") -> Callable[[bytes], list[bytes]]:
    """userimages: everything; of an animation the first frame, as the others do, unless *animated*.

    With *recipe* that recipe as it ships. Without *fast*, Pillow shrinks, whatever is installed.
    """
    from userimages import ImageType
    from userimages.processing import Fit, Limits, PillowProcessor, Recipe

    library = FAST if fast else None
    if recipe:
        shipped = PillowProcessor(limits=Limits(max_bytes=1 << 30))

        def as_shipped(data: bytes) -> list[bytes]:
            shrink_with(library)
            processed = shipped(data, recipe)
            return [processed.main.data, *(each.data for each in processed.variants.values())]

        return as_shipped

    variants = {str(size): Fit(size, size) for size in SIZES}
    recipe = Recipe(Fit(1920, 1920), variants=variants, format=None if animated else "jpeg")
    processor = PillowProcessor(recipes={ImageType.GALLERY: recipe}, limits=Limits(max_bytes=1 << 30))

    def run(data: bytes) -> list[bytes]:
        shrink_with(library)
        processed = processor(data, ImageType.GALLERY)
        return [processed.main.data, *(each.data for each in processed.variants.values())]

    return run


def original() -> Callable[[bytes], list[bytes]]:
    """process_image of the original Django views, from their description: one JPEG, not upright, no hash."""

    def run(data: bytes) -> list[bytes]:
        image, file = Image.open(io.BytesIO(data)), io.BytesIO()
        if image.width > 1920 or image.height > 1920:
            image.thumbnail((1920, 1920), Image.Resampling.LANCZOS)
        if image.mode in ("RGBA", "LA", "P"):
            image = image.convert("RGB")
        image.save(file, "JPEG", quality=85, optimize=True)
        return [file.getvalue()]

    return run


def naive() -> Callable[[bytes], list[bytes]]:
    """Pillow as most would write it: a full decode, a thumbnail of a copy for each size; no hash."""

    def run(data: bytes) -> list[bytes]:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        out = []
        for size in (1920, *SIZES):
            small, file = image.copy(), io.BytesIO()
            small.thumbnail((size, size), Image.Resampling.LANCZOS)
            small.save(file, "JPEG", quality=85) if size == 1920 else small.save(file, "WEBP", quality=80)
            out.append(file.getvalue())
        return out

    return run


def _django() -> None:
    from django.conf import settings

    if not settings.configured:
        import django

        settings.configure(
            INSTALLED_APPS=["imagekit", "easy_thumbnails"],
            CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        )
        django.setup()


def imagekit() -> Callable[[bytes], list[bytes]]:
    """django-imagekit: a spec for each size, each from the file; no hash."""
    _django()
    from imagekit import ImageSpec
    from imagekit.processors import ResizeToFit, Transpose

    def spec(size: int) -> type[ImageSpec]:
        class Spec(ImageSpec):
            processors = [Transpose(), ResizeToFit(size, size, upscale=False)]  # noqa: RUF012
            format = "JPEG" if size == 1920 else "WEBP"
            options = {"quality": 85 if size == 1920 else 80}  # noqa: RUF012

        return Spec

    specs = [spec(size) for size in (1920, *SIZES)]
    return lambda data: [each(source=io.BytesIO(data)).generate().read() for each in specs]


def imagekit_as_it_is() -> Callable[[bytes], list[bytes]]:
    """django-imagekit: one spec that leaves the format to it, which is that of the file."""
    _django()
    from imagekit import ImageSpec
    from imagekit.processors import ResizeToFit, Transpose

    class Spec(ImageSpec):
        processors = [Transpose(), ResizeToFit(1920, 1920, upscale=False)]  # noqa: RUF012
        options = {"quality": 85}  # noqa: RUF012

    return lambda data: [Spec(source=io.BytesIO(data)).generate().read()]


def thumbnails_as_it_is() -> Callable[[bytes], list[bytes]]:
    """easy-thumbnails: JPEG, and PNG where there is transparency, as its settings are."""
    _django()
    from django.core.files.base import ContentFile
    from easy_thumbnails import engine, utils
    from easy_thumbnails.source_generators import pil_image

    def run(data: bytes) -> list[bytes]:
        options = {"size": (1920, 1920)}
        source = engine.generate_source_image(ContentFile(data), options, [pil_image], fail_silently=False)
        image = engine.process_image(source, options)
        name = "a.png" if utils.is_transparent(image) else "a.jpg"
        return [engine.save_pil_image(image, filename=name, quality=85).read()]

    return run


def easy_thumbnails() -> Callable[[bytes], list[bytes]]:
    """easy-thumbnails: a thumbnail for each size, each from the file; no hash."""
    _django()
    from django.core.files.base import ContentFile
    from easy_thumbnails import engine
    from easy_thumbnails.source_generators import pil_image

    def run(data: bytes) -> list[bytes]:
        out = []
        for size in (1920, *SIZES):
            options = {"size": (size, size)}
            source = engine.generate_source_image(ContentFile(data), options, [pil_image], fail_silently=False)
            image = engine.process_image(source, options)
            name, quality = ("a.jpg", 85) if size == 1920 else ("a.webp", 80)
            out.append(engine.save_pil_image(image, filename=name, quality=quality).read())
        return out

    return run


def filedepot() -> Callable[[bytes], list[bytes]]:
    """filedepot: its image field and two thumbnail filters; not turned upright, bilinear, no hash."""
    from depot.fields.filters.thumbnails import WithThumbnailFilter
    from depot.fields.specialized.image import UploadedImageWithThumb
    from depot.manager import DepotManager

    DepotManager.configure("bench", {"depot.backend": "depot.io.memory.MemoryFileStorage"})
    DepotManager.make_middleware(lambda *_: None)

    class Field(UploadedImageWithThumb):
        max_size = 1920
        thumbnail_format = "WEBP"
        thumbnail_size = (640, 640)

    filters = [WithThumbnailFilter((size, size), "WEBP") for size in (256, 64)]

    def run(data: bytes) -> list[bytes]:
        field = Field(io.BytesIO(data), "bench")
        field._apply_filters(filters)
        depot = DepotManager.get("bench")
        keys = ("file_id", "thumb_id", "thumb_256x256_id", "thumb_64x64_id")
        out = [depot.get(field[key]).read() for key in keys]
        for key in keys:
            depot.delete(field[key])
        return out

    return run


def sqlalchemy_file() -> Callable[[bytes], list[bytes]]:
    """sqlalchemy-file: a ThumbnailGenerator for each size; not turned upright, quality 75, no hash."""
    from sqlalchemy_file.processors import ThumbnailGenerator

    class Held(dict[str, object]):
        name = "held"

        def store_content(self, content: io.BytesIO, **_: object) -> "Held":
            self.setdefault("out", []).append(content.read())  # type: ignore[attr-defined]
            return self

        def get_cdn_url(self) -> str:
            return ""

    makers = [ThumbnailGenerator((size, size), "JPEG" if size == 1920 else "WEBP") for size in (1920, *SIZES)]

    def run(data: bytes) -> list[bytes]:
        held = Held(filename="bench")
        for maker in makers:
            held.original_content = io.BytesIO(data)  # type: ignore[attr-defined]
            maker.process(held)  # type: ignore[arg-type]
        return held["out"]  # type: ignore[return-value]

    return run


def vips() -> Callable[[bytes], list[bytes]]:
    """libvips by way of pyvips: one decode and a pyramid; no hash, an animation is cut to its first frame."""
    import pyvips

    def run(data: bytes) -> list[bytes]:
        profile = {"export_profile": "srgb"} if b"ICC_PROFILE" in data[:65536] else {}
        master = pyvips.Image.thumbnail_buffer(data, 1920, height=1920, size="down", **profile)
        image = master.copy_memory()
        out = [image.jpegsave_buffer(Q=85, keep="none")]
        for size in SIZES:
            image = image.thumbnail_image(size, height=size, size="down").copy_memory()
            out.append(image.webpsave_buffer(Q=80, effort=2, keep="none"))
        return out

    return run


def turbo() -> Callable[[bytes], list[bytes]]:
    """The limit that libjpeg-turbo sets (simplejpeg): a scaled decode and the encodes; nothing is resized or turned."""
    import numpy
    import simplejpeg

    def run(data: bytes) -> list[bytes]:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        scale = min(1.0, 1920 / width, 1920 / height)
        high, wide = round(height * scale), round(width * scale)
        pixels = simplejpeg.decode_jpeg(data, min_height=high, min_width=wide, min_factor=1)
        pixels = numpy.ascontiguousarray(pixels[:high, :wide])
        out = [simplejpeg.encode_jpeg(pixels, quality=85, colorsubsampling="420")]
        for size in SIZES:
            step = max(1, max(pixels.shape) // size)
            small = numpy.ascontiguousarray(pixels[::step, ::step])
            out.append(simplejpeg.encode_jpeg(small, quality=80, colorsubsampling="420"))
        return out

    return run


ENGINES: dict[str, Callable[[], Callable[[bytes], list[bytes]]]] = {
    "userimages": ours,
    "userimages[fast]": fast,
    "original process_image": original,
    "naive Pillow": naive,
    "django-imagekit": imagekit,
    "easy-thumbnails": easy_thumbnails,
    "filedepot": filedepot,
    "sqlalchemy-file": sqlalchemy_file,
    "libvips": vips,
    "turbo limit": turbo,
}
OURS = ("userimages", "userimages[fast]")
PEERS = ("django-imagekit", "easy-thumbnails", "filedepot", "sqlalchemy-file")
UPRIGHT = ("django-imagekit", "easy-thumbnails")
