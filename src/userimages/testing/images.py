"""Images for tests: created when asked for, somewhat like a photograph, and equal for equal arguments."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from userimages.errors import ConfigurationError

if TYPE_CHECKING:
    from PIL import Image

_OCTAVES = ((3, 1.0), (9, 0.5), (27, 0.28), (81, 0.16), (243, 0.09))


def make_image(
    format: str = "JPEG",
    size: tuple[int, int] = (640, 480),
    *,
    mode: str = "RGB",
    seed: int = 0,
    quality: int = 90,
    frames: int = 1,
    durations: int | Sequence[int] = 80,
    loop: int = 0,
    orientation: int | None = None,
    gps: bool = False,
    comment: bytes = b"",
    xmp: bytes = b"",
    icc: bytes = b"",
    trailing: bytes = b"",
    **options: Any,
) -> bytes:
    """Return an encoded image of soft shapes and fine grain.

    Args:
        format: Pillow's name of it: "JPEG", "PNG", "GIF", "WEBP" or "AVIF".
        size: width and height in pixels, as stored.
        mode: Pillow's name of it: "RGB", "RGBA", "L", "LA", "P", "1", "CMYK" or "I;16". With alpha, the image fades
            out towards the right.
        seed: another seed gives another image.
        quality: Pillow's quality, for formats that have one.
        frames: more than one makes an animation.
        durations: how long each frame is shown, in milliseconds.
        loop: how often the animation plays. 0 means without end.
        orientation: the EXIF orientation, 1 to 8.
        gps: whether the EXIF block holds a place in Paris.
        comment: a comment, written as the format holds it, as are the next two.
        xmp: XMP metadata.
        icc: a color profile.
        trailing: bytes to append to the file.
        options: passed to Pillow's ``save``.

    Raises:
        ConfigurationError: Pillow writes no such format.

    >>> from PIL import Image
    >>> Image.open(io.BytesIO(make_image("PNG", (30, 20), mode="RGBA"))).mode
    'RGBA'
    >>> make_image("jpg")
    Traceback (most recent call last):
    userimages.errors.ConfigurationError: Pillow writes no format 'jpg'. Pass JPEG, PNG, GIF, WEBP or AVIF.
    """
    _check_format(format)
    images = [make_pixels(size, mode=mode, seed=seed + number) for number in range(frames)]
    if format != "GIF" and not (format == "PNG" and mode in ("P", "1", "L", "LA", "I;16")):
        options = {"quality": quality, **options}
    if frames > 1:
        shown = durations if isinstance(durations, int) else list(durations)
        options |= {"save_all": True, "append_images": images[1:], "duration": shown, "loop": loop}
    exif = make_exif(orientation=orientation, gps=gps)
    for name, value in (("exif", exif), ("comment", comment), ("xmp", xmp), ("icc_profile", icc)):
        if value:
            options[name] = value
    buffer = io.BytesIO()
    images[0].save(buffer, format, **options)
    return buffer.getvalue() + trailing


def _check_format(format: str) -> None:
    from PIL import Image

    Image.init()
    if format.upper() not in Image.SAVE:
        raise ConfigurationError(f"Pillow writes no format {format!r}.", hint="Pass JPEG, PNG, GIF, WEBP or AVIF.")


def make_pixels(size: tuple[int, int] = (640, 480), *, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return the image that ``make_image`` encodes."""
    from PIL import Image

    image = _photo(size, seed)
    if mode in ("RGBA", "LA"):
        image = image.convert(mode[:-1])
        image.putalpha(Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize(size))
        return image
    if mode == "I;16":
        gray = image.convert("L").tobytes()
        return Image.frombytes("I;16", size, bytes(part for value in gray for part in (value, value)))
    return image.quantize(64) if mode == "P" else image.convert(mode)


def make_exif(*, orientation: int | None = None, gps: bool = False) -> bytes:
    """Return an EXIF block with this orientation, and a place in Paris, or b"" for neither."""
    from PIL import Image

    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    if gps:
        exif[0x010F] = "Camera of the tests"
        exif[0x8825] = {1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2)}
    return exif.tobytes() if len(exif) else b""


def make_png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header states this size, and which has no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IEND\xaeB`\x82"


def make_icc(name: str) -> bytes:
    """Return a color profile made from its primaries: ``"display-p3"``, ``"adobe-rgb"`` or ``"gray-2.2"``.

    Its description is *name*, its white is D50, and its curve is an exponent of 2.2.

    Raises:
        ConfigurationError: *name* is none of these.

    >>> make_icc("srgb")
    Traceback (most recent call last):
    userimages.errors.ConfigurationError: There is no profile 'srgb'. Pass display-p3, adobe-rgb or gray-2.2.
    """
    if name not in (*_PRIMARIES, "gray-2.2"):
        raise ConfigurationError(f"There is no profile {name!r}.", hint="Pass display-p3, adobe-rgb or gray-2.2.")
    curve = b"curv" + struct.pack(">IIHxx", 0, 1, round(2.2 * 256))
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, len(text)) + text + b"\0" * 78,
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
    }
    if name == "gray-2.2":
        tags[b"kTRC"] = curve
    else:
        for letter, primary in zip("rgb", _PRIMARIES[name], strict=True):
            tags[f"{letter}XYZ".encode()] = _xyz(*primary)
            tags[f"{letter}TRC".encode()] = curve
    space = b"GRAY" if name == "gray-2.2" else b"RGB "
    return _profile(space, tags)


# As in the published profiles: XYZ of red, green and blue, adapted to D50.
_PRIMARIES = {
    "display-p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "adobe-rgb": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
}


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (x, y, z)))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, start + len(content), len(value))
        content += value + b"\0" * (-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + content
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"none", 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + body


@lru_cache(maxsize=8)
def _photo(size: tuple[int, int], seed: int) -> Image.Image:
    """Return layers of noise: coarse shapes are strong and fine ones weak, as in a photograph."""
    from PIL import Image

    random_bytes = random.Random(seed).randbytes  # noqa: S311 - pixels
    image = Image.new("RGB", size, (128, 128, 128))
    for cells, weight in _OCTAVES:
        across = max(2, min(cells * 4 // 3, size[0]))
        down = max(2, min(cells, size[1]))
        noise = Image.frombytes("RGB", (across, down), random_bytes(3 * across * down))
        image = Image.blend(image, noise.resize(size, Image.Resampling.BICUBIC), weight / (1 + weight))
    return image
