"""One decode, many outputs: orient, convert, fit, encode."""

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import attrs
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from userimages.errors import BrokenImageError, LimitExceededError, UserImagesError
from userimages.model import ProcessedImage, Rendition
from userimages.processing import heif, png_rows
from userimages.processing.animation import Frame, compose
from userimages.processing.color import Profile, eight_bit, opaque
from userimages.processing.encode import Animation, encode, frames_of, quality_of, subsampling_of
from userimages.processing.graphics import is_graphic
from userimages.processing.header import Header, broken
from userimages.processing.jpeg_end import decoded_twice
from userimages.processing.limits import Limits
from userimages.processing.planar import GAP, Planes, is_subsampled
from userimages.processing.recipes import Box, Fill, Fit, Format, Recipe, Size
from userimages.processing.resize import Region, fast, resized
from userimages.processing.thumbhash import thumbhash
from userimages.processing.transparency import load_png


class _WebP(WebPImagePlugin.WebPImageFile):
    """A WebP that lets go of its decoder once it has the pixels: they are half of the memory that it needs."""

    def load_prepare(self) -> None:
        if self.n_frames == 1:
            self._decoder = None
        super().load_prepare()


_DECODERS: dict[str, Callable[[BinaryIO], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": _WebP,
    "HEIC": heif.decode,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HASH_SIDE = 32
_MANY_PIXELS = 6_000_000
_LARGE = 1_000_000
_TINY = 4096  # pixels of an icon, which without loss is small enough, whatever it shows
_SPARSE = 4  # pixels of an animation for each byte that it may have: usual are up to 10, and noise takes 1
_READ_AT_ONCE = 1 << 20  # bytes of a JPEG: the decoder starts anew with each block, and Pillow's are of 64 KiB

_Layer = Image.Image | Planes


@attrs.frozen
class Picture:
    """A decoded picture: upright, in sRGB, of its final size; and how its source was encoded.

    ``base`` is what smaller renditions are made from: the picture itself, or its planes. ``graphic`` tells
    whether it is one; None: its pixels decide. ``shrunk`` tells that it has fewer pixels than its file.
    """

    image: Image.Image
    base: _Layer
    animation: Animation | None = None
    graphic: bool | None = False
    shrunk: bool = False
    quality: int = 100
    subsampling: int = 0


def process(header: Header, recipe: Recipe, limits: Limits) -> ProcessedImage:
    """Decode the file once and make everything that *recipe* asks for.

    Raises:
        BrokenImageError: the decoder refuses it, for whatever reason.
        LimitExceededError: memory ran out, or an animation would be stored in too many bytes.
    """
    with _refusals(header):
        animated = header.frames > 1 and recipe.format != "jpeg"
        picture, main = _moving(header, recipe, limits) if animated else (_still(header, recipe), None)
        pyramid = _Pyramid(picture.base)
        variants = _variants(pyramid, recipe, graphic=picture.graphic)
        main = main or _master(picture, recipe, header)
        frames = 1 if not animated else header.frames if main.mime_type != "image/webp" else frames_of(main)
        return ProcessedImage(main, variants, pyramid.placeholder(), frames)


def decoded_pixels(header: Header, recipe: Recipe) -> int:
    """Return how many pixels come out of the decoder at once: that of a JPEG shrinks on its way."""
    if header.format == "JPEG":
        least = _draft_size(header, _placed(header, recipe)[2])
        scale = _draft_scale((header.width, header.height), least)
        return header.width * header.height // scale**2
    return header.width * header.height


@contextmanager
def _refusals(header: Header) -> Iterator[None]:
    """Turn whatever comes out of a decoder into one of our errors: many kinds do, and all mean the file."""
    try:
        yield
    except UserImagesError:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        pixels = header.width * header.height
        raise LimitExceededError(
            f"Memory ran out over an image of {header.width} x {header.height} pixels.",
            value=pixels,
            limit=pixels,
            code="too_many_pixels",
            hint="Send a smaller one.",
        ) from exc
    except Exception as exc:  # ValueError, TypeError, SyntaxError, IndexError, RuntimeError ... all occur
        raise BrokenImageError(
            f"The image is broken: its {header.format} data does not decode.", hint="Export or take it again."
        ) from exc


def _still(header: Header, recipe: Recipe) -> Picture:
    region, size, target = _placed(header, recipe)
    profile = Profile(header.icc)
    graphic = _known_graphic(header)
    if header.frames > 1 or header.parts:
        image = next(_frames(header, profile, region, size))
        return Picture(image, image, graphic=graphic)
    if header.format == "PNG":
        image = _finished(eight_bit(_loaded(header)), header, profile, region, size)
        return Picture(image, image, graphic=graphic)
    source: Image.Image = _opened(header)
    quality, subsampling = 100, 2 if is_subsampled(source, header) else 0
    planar = subsampling == 2 and profile.is_srgb and _gains_from_planes(header, recipe, size)
    scale = 1.0, 1.0
    if isinstance(source, JpegImagePlugin.JpegImageFile):
        quality, subsampling = quality_of(source), subsampling_of(source, turned=header.orientation >= 5)
        scale = _drafted(source, header, target, planar=planar)
        if header.unended:
            source = _whole(header, header.unended, target, planar=planar)
    source.load()
    shrunk = size[0] * size[1] < (region[2] - region[0]) * (region[3] - region[1])
    if not planar:
        image = eight_bit(source)
        del source  # in its own mode it is of no more use, and may be a third of all that is needed
        image = _finished(image, header, profile, _scaled(region, *scale), size)
        return Picture(image, image, graphic=graphic, shrunk=shrunk, quality=quality, subsampling=subsampling)
    planes = Planes.of(source, _TURNS.get(header.orientation))
    del source
    left, top, right, bottom = _scaled(region, *scale)
    if header.orientation >= 5:
        left, top, right, bottom, size = top, left, bottom, right, (size[1], size[0])
    planes = planes.shrunk(size, _mirrored((left, top, right, bottom), planes.size, header.orientation))
    return Picture(planes.whole(), planes, shrunk=shrunk, quality=quality, subsampling=subsampling)


def _drafted(
    source: JpegImagePlugin.JpegImageFile, header: Header, target: Size, *, planar: bool
) -> tuple[float, float]:
    """Let a JPEG be decoded as small as will do; return by how much its sides shrink."""
    drafted = source.draft("YCbCr" if planar else None, _draft_size(header, target))
    source.decodermaxblock = _READ_AT_ONCE
    return (drafted[1][2] / header.width, drafted[1][3] / header.height) if drafted else (1.0, 1.0)


def _whole(header: Header, open: Callable[[bytes], BinaryIO], target: Size, *, planar: bool) -> Image.Image:
    """Decode a JPEG without its end marker.

    Raises:
        BrokenImageError: pixels are missing, and not the marker alone.
    """

    def decode(file: BinaryIO) -> Image.Image:
        source = JpegImagePlugin.JpegImageFile(file)
        _drafted(source, header, target, planar=planar)
        source.load()
        return source

    image = decoded_twice(open, decode)
    if image is None:
        raise broken("it is cut off")
    return image


def _known_graphic(header: Header) -> bool | None:
    """Tell whether a file is a graphic, as far as that is known without its pixels: what was lossy is none."""
    if header.format not in ("PNG", "GIF", "WEBP") or header.lossy:
        return False
    return True if header.width * header.height <= _TINY else None


def _gains_from_planes(header: Header, recipe: Recipe, size: Size) -> bool:
    """Tell whether a picture is shrunk to a JPEG that is large enough for the time to count.

    Variants in JPEG keep their color at every pixel, of which the planes hold too little. With the extra ``fast`` the
    three colors take hardly longer than luma alone.
    """
    if fast() is not None:
        return False
    shrinks = size != (header.width, header.height) and size[0] * size[1] >= _LARGE
    return shrinks and recipe.format in (None, "jpeg") and recipe.variant_format != "jpeg"


def _animated(header: Header, recipe: Recipe, *, shrink: int = 1) -> Picture:
    box, size, _ = _placed(header, recipe)
    frames = _frames(header, Profile(header.icc), box, (max(1, size[0] // shrink), max(1, size[1] // shrink)))
    first = next(frames)
    animation = Animation(frames, header.durations, header.loop)
    return Picture(first, first, animation, graphic=_known_graphic(header))


def _frames(header: Header, profile: Profile, box: Region, size: Size) -> Iterator[Image.Image]:
    """Yield the frames of an animation, finished; each is decoded when it is asked for."""
    if header.parts:
        # Frames are drawn over each other in the color of the file, and then converted, as in browsers.
        for canvas in compose(header.parts, (header.width, header.height), lambda each: _tile(header, each)):
            image = canvas.convert("LA") if profile.is_gray else canvas
            yield _finished(opaque(image), header, profile, box, size)
        return
    source = _opened(header)
    for number in range(header.frames):  # where its decoder counts fewer, seeking fails
        source.seek(number)
        source.load()
        yield _finished(eight_bit(source.copy()), header, profile, box, size)


def _tile(header: Header, frame: Frame) -> Image.Image:
    """Decode one frame by itself."""
    alone = attrs.evolve(header, open=frame.open, width=frame.width, height=frame.height)
    return eight_bit(_loaded(alone))


def _loaded(header: Header) -> Image.Image:
    """Decode a GIF or a PNG of one picture."""
    source = _opened(header)
    if not isinstance(source, PngImagePlugin.PngImageFile):
        source.load()
        return source
    image = load_png(source, header.key, header.open)
    if png_rows.are_missing(image, header.open):
        raise broken("rows of its pixels are missing")
    return image


def _opened(header: Header) -> Image.Image:
    """Open the file with the one decoder of its format, and with no other."""
    source = _DECODERS[header.format](header.open())
    if source.size != (header.width, header.height):
        raise broken("its size is stated in two ways")
    return source


def _finished(image: Image.Image, header: Header, profile: Profile, region: Region, size: Size) -> Image.Image:
    """Cut *region* out of a decoded picture, shrink it to *size*, and only then convert and turn what is left."""
    if size != image.size or region != (0, 0, *image.size):
        image = resized(image, size, region, gap=2.0)
    image = opaque(profile.to_srgb(image))
    turn = _TURNS.get(header.orientation)
    return image if turn is None else image.transpose(turn)


def _placed(header: Header, recipe: Recipe) -> tuple[Region, Size, Size]:
    """Return what part of the stored picture is taken, its final size, and what the whole would then measure.

    All as stored; the recipe speaks of the upright picture.
    """
    width, height = header.upright
    box, (wide, high) = recipe.main.place((width, height))
    left, top, right, bottom = _mirrored(box, header.upright, header.orientation)
    whole = math.ceil(width * wide / (right - left)), math.ceil(height * high / (bottom - top))
    if header.orientation >= 5:
        return (top, left, bottom, right), (high, wide), (whole[1], whole[0])
    return (left, top, right, bottom), (wide, high), whole


def _mirrored(region: Region, size: Size, orientation: int) -> Region:
    """Return where *region* of an upright picture of this *size* lies while it is still mirrored, or the reverse."""
    left, top, right, bottom = region
    if orientation in (2, 3, 6, 7):
        left, right = size[0] - right, size[0] - left
    if orientation in (3, 4, 7, 8):
        top, bottom = size[1] - bottom, size[1] - top
    return left, top, right, bottom


def _scaled(region: Region, across: float, down: float) -> Region:
    return region[0] * across, region[1] * down, region[2] * across, region[3] * down


def _draft_size(header: Header, target: Size) -> Size:
    """Return how large the decoder of a JPEG must leave it at least, where *target* is what is wanted in the end.

    Photographs of many pixels may come down to the target itself, which saves most of the time that they take. In
    smaller ones every pixel counts: they keep half as much again, which Lanczos then takes away.
    """
    gap = 1.0 if header.width * header.height >= _MANY_PIXELS else 1.5
    return math.ceil(target[0] * gap), math.ceil(target[1] * gap)


def _draft_scale(size: Size, target: Size) -> int:
    """Return by how much the JPEG decoder shrinks on its way: 8, 4, 2 or 1."""
    scale = min(size[0] // target[0], size[1] // target[1])
    return next((each for each in (8, 4, 2) if scale >= each), 1)


def _shrunk(layer: _Layer, size: Size, region: Region) -> _Layer:
    if isinstance(layer, Planes):
        return layer.shrunk(size, region)
    return resized(layer, size, region, gap=GAP)


def _pixels(layer: _Layer) -> Image.Image:
    return layer.whole().convert("RGB") if isinstance(layer, Planes) else layer


class _Pyramid:
    """Smaller renditions of one picture, each made from the next larger one that shows the same part of it."""

    def __init__(self, base: _Layer) -> None:
        self._made: list[tuple[Box, _Layer]] = [((0, 0, *base.size), base)]

    def get(self, shape: Fit | Fill) -> _Layer:
        """Return the picture in this shape; the same object again where it has been made."""
        _, base = self._made[0]
        box, size = shape.place(base.size)
        alike = [layer for each, layer in self._made if each == box and layer.size[0] >= size[0]]
        source = min(alike, key=lambda layer: layer.size[0], default=None)
        if source is not None and source.size == size:
            return source
        layer = _shrunk(source, size, (0, 0, *source.size)) if source else _shrunk(base, size, box)
        self._made.append((box, layer))
        return layer

    def placeholder(self) -> str:
        """Return the ThumbHash of the whole picture, in base64."""
        whole, base = self._made[0]
        alike = [layer for box, layer in self._made if box == whole and max(layer.size) >= _HASH_SIDE]
        source = min(alike, key=lambda layer: layer.size[0], default=base)
        _, size = Fit(_HASH_SIDE, _HASH_SIDE).place(base.size)
        small = _pixels(_shrunk(source, size, (0, 0, *source.size))).convert("RGBA")
        return base64.b64encode(thumbhash(*size, small.tobytes())).decode()


def _variants(pyramid: _Pyramid, recipe: Recipe, *, graphic: bool | None) -> dict[str, Rendition]:
    """Make the variants, largest first, and encode each different picture once."""
    descending = sorted(recipe.variants.items(), key=lambda item: item[1].width, reverse=True)
    layers = {name: pyramid.get(shape) for name, shape in descending}
    encoded = dict[int, Rendition]()
    for key, layer in {id(layer): layer for layer in layers.values()}.items():
        image, format = _pixels(layer), recipe.variant_format
        lossless = format == "webp" and (is_graphic(image) if graphic is None else graphic)
        encoded[key] = encode(image, format, recipe.variant_quality, lossless=lossless)
    return {name: encoded[id(layers[name])] for name in recipe.variants}


def _moving(header: Header, recipe: Recipe, limits: Limits) -> tuple[Picture, Rendition]:
    """Encode an animation; at half of its size where it would become much larger than its file.

    Its frames come one at a time while it is encoded, so they are then decoded once more.
    """
    picture = _animated(header, recipe)
    try:
        return picture, _animation(picture, recipe, header, limits)
    except LimitExceededError:
        picture = _animated(header, recipe, shrink=2)
    return picture, _animation(picture, recipe, header, limits)


def _animation(picture: Picture, recipe: Recipe, header: Header, limits: Limits) -> Rendition:
    """Encode an animation, and refuse one that becomes much larger than its file.

    Noise that repeats is small as PNG or GIF, large as WebP, and takes seconds. So where little may be stored for many
    pixels, the first frame is tried alone.
    """
    pixels = picture.image.width * picture.image.height * header.frames
    if pixels > _SPARSE * limits.animation_bytes(header.size_bytes):
        alone = _master(
            attrs.evolve(picture, animation=None), attrs.evolve(recipe, format=recipe.format or "webp"), header
        )
        limits.allow_animation(len(alone.data), header.size_bytes)
    main = _master(picture, recipe, header)
    limits.allow_animation(len(main.data), header.size_bytes)
    return main


def _master(picture: Picture, recipe: Recipe, header: Header) -> Rendition:
    """Encode the picture itself.

    A JPEG should not grow. One of its own size keeps the quality it came with where that is lower. One that was shrunk
    is stored at a lower quality than the recipe's only where it would exceed its file, and never so low that it shows.
    """
    image, animation = picture.image, picture.animation
    format: Format = recipe.format or ("webp" if animation or image.mode == "RGBA" else "jpeg")
    frames = len(animation.durations) if animation else 1
    lossless = format == "webp" and (is_graphic(image, frames) if picture.graphic is None else picture.graphic)
    lower = (70, 55) if picture.shrunk else (picture.quality,)
    for quality in (recipe.quality, *(each for each in lower if each < recipe.quality)):
        made = encode(image, format, quality, subsampling=picture.subsampling, lossless=lossless, animation=animation)
        if len(made.data) <= header.size_bytes or header.format != "JPEG":
            break
    return made
