"""Pixels to bytes: JPEG, WebP or AVIF, and nothing in them but the picture."""

import io
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO

import attrs
from PIL import AvifImagePlugin, Image, JpegImagePlugin, WebPImagePlugin

from userimages.model import Rendition
from userimages.processing.animation import Movie
from userimages.processing.recipes import Format

# Imported for what they register with Image.save.
_ENCODERS = {"jpeg": JpegImagePlugin, "webp": WebPImagePlugin, "avif": AvifImagePlugin}
_STANDARD_LUMA = 3686  # the sum of the luminance table of the JPEG standard, at quality 50


@attrs.frozen
class Animation:
    """The frames of an animation after the first, how long each is shown (milliseconds), and how often it plays.

    The frames come one at a time, so that no more than one of them is in memory.
    """

    frames: Iterator[Image.Image]
    durations: Sequence[int]
    loop: int


def encode(
    image: Image.Image,
    format: Format,
    quality: int,
    *,
    subsampling: int = 0,
    lossless: bool = False,
    animation: Animation | None = None,
) -> Rendition:
    """Encode *image* (L, RGB or RGBA), with its *animation* where the format can hold one.

    *subsampling* is that of JPEG: 0 keeps color at every pixel, 2 at every fourth. *lossless* is for WebP.
    """
    options: dict[str, Any] = {"quality": quality}
    if format == "jpeg":
        image = on_white(image)
        options |= {"subsampling": subsampling}
    elif format == "webp":
        options |= {"lossless": True, "quality": 20, "method": 1} if lossless else {"method": 2}
    else:
        options |= {"speed": 9, "max_threads": 1}
    if animation and format != "jpeg":
        options |= {
            "save_all": True,
            "duration": list(animation.durations),
            "loop": animation.loop,
        }
        image = Movie(chain((image,), animation.frames), len(animation.durations))
    if animation and format == "webp":
        options |= {"kmin": 30, "kmax": 60}  # whole frames are rare: half the time, and often a fifth of the bytes
    image.info = {}
    data = _written(image, format, options)
    if format == "webp" and isinstance(image, Movie) and image.is_transparent:
        data = _says_alpha(data)
    return Rendition(data, *image.size, f"image/{format}")


def on_white(image: Image.Image) -> Image.Image:
    """Return *image* without transparency."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _written(image: Image.Image, format: Format, options: dict[str, Any]) -> bytes:
    """Return what Pillow writes. JPEG goes to a real file, in memory, because only then is the GIL free meanwhile."""
    if format == "jpeg" and hasattr(os, "memfd_create"):
        with open(os.memfd_create("userimages"), "w+b") as file:
            image.save(file, format, **options)
            return _all_of(file)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _all_of(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _says_alpha(data: bytes) -> bytes:
    """Return an animated WebP whose header says that it is transparent.

    Its encoder says so by the frames that it writes, and those may be opaque parts of a canvas that is not: some
    decoders would then take the rest for black.
    """
    return data[:20] + bytes((data[20] | 0x10,)) + data[21:] if data[12:16] == b"VP8X" else data


def quality_of(image: JpegImagePlugin.JpegImageFile) -> int:
    """Return about which quality (1 to 100) a JPEG was encoded with, by its luminance table."""
    table = image.quantization.get(image.layer[0][3]) if image.layer else None
    if not table:
        return 100
    scale = 100 * sum(table) / _STANDARD_LUMA
    return max(1, min(100, round((200 - scale) / 2 if scale <= 100 else 5000 / scale)))


def subsampling_of(image: JpegImagePlugin.JpegImageFile, *, turned: bool = False) -> int:
    """Return the subsampling of a JPEG as ``encode`` takes it: the one that keeps what there is of its color.

    *turned* tells that the picture is stored on its side: its rows are then the columns of what it becomes.
    """
    luma, *chroma = [layer[1:3] for layer in image.layer] or [(1, 1)]
    narrow, low = (all(each[axis] < luma[axis] for each in chroma[:2]) for axis in ((1, 0) if turned else (0, 1)))
    if not chroma or not narrow:
        return 0
    return 2 if low else 1


def frames_of(rendition: Rendition) -> int:
    """Return how many frames an encoded WebP has: its encoder joins those that are equal."""
    data, position, frames = rendition.data, 12, 0
    while position < len(data):
        frames += data[position : position + 4] == b"ANMF"
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return max(1, frames)
