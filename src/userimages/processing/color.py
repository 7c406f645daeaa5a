"""Every mode that a decoder gives, turned into 8-bit gray, RGB or RGBA in sRGB."""

import io
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from userimages.processing.icc import rebuilt

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_SRGB_NAMES = tuple(
    name.encode(encoding) for name in ("sRGB IEC61966-2", "sRGB built-in") for encoding in ("ascii", "utf-16-be")
)
_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK"}


def eight_bit(image: Image.Image) -> Image.Image:
    """Return *image* as L, RGB, RGBA or CMYK; RGBA only where something is transparent."""
    if image.mode.startswith("I;16"):
        image = _high_bytes(image)
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # of a 16-bit picture, which Pillow decodes to 8 bits
        image.info["transparency"] = tuple(part >> 8 for part in key)
    keyed = key is not None and image.mode in ("1", "L", "P", "RGB")
    if keyed or image.mode in ("LA", "La", "PA", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _SPACES:
        image = image.convert("RGB")
    return opaque(image)


def opaque(image: Image.Image) -> Image.Image:
    """Return an RGBA *image* as RGB where nothing of it is transparent."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image


def _high_bytes(image: Image.Image) -> Image.Image:
    """Return 16-bit gray as 8-bit gray, scaled: Pillow's own conversion would turn all above 255 white."""
    raw, key = image.tobytes(), image.info.get("transparency")
    gray = Image.frombytes("L", image.size, raw[1::2])
    if isinstance(key, int):
        low = Image.frombytes("L", image.size, raw[::2])
        matches = ImageChops.multiply(
            gray.point([255 * (value == key >> 8) for value in range(256)]),
            low.point([255 * (value == key & 255) for value in range(256)]),
        )
        gray.putalpha(ImageChops.invert(matches))
    return gray


class Profile:
    """The color profile of one file, and its way to sRGB, which is built once however many frames take it.

    A profile that does not work is dropped: its picture is taken as sRGB.
    """

    def __init__(self, icc: bytes) -> None:
        self._icc = b"" if any(name in icc for name in _SRGB_NAMES) else rebuilt(icc)

    @property
    def is_srgb(self) -> bool:
        """Tell whether it leaves a picture as it is."""
        return not self._icc

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Return *image* in sRGB: L, RGB or RGBA."""
        if self._icc and _SPACES.get(image.mode) == self._icc[16:20]:
            return self._converted(image)
        return image.convert("RGB") if image.mode == "CMYK" else image

    def _converted(self, image: Image.Image) -> Image.Image:
        colors = image.convert("RGB") if image.mode == "RGBA" else image
        try:
            made = self._transform.apply(colors) if self._transform else None
        except (OSError, ValueError):
            made = None
        if made is None:
            return image.convert("RGB") if image.mode == "CMYK" else image
        if image.mode == "RGBA":
            made.putalpha(image.getchannel("A"))
        return made.convert("L") if image.mode == "L" else made

    @cached_property
    def _transform(self) -> "ImageCmsTransform | None":
        from PIL import ImageCms

        mode = next(mode for mode, space in _SPACES.items() if space == self._icc[16:20])
        try:
            return ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(self._icc)),
                ImageCms.createProfile("sRGB"),
                mode,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return None
