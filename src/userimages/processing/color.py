"""Every mode that a decoder gives, turned into 8-bit gray, RGB or RGBA in sRGB."""

import io
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image

from userimages.processing.icc import rebuilt

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_SRGB_NAMES = tuple(
    name.encode(encoding) for name in ("sRGB IEC61966-2", "sRGB built-in") for encoding in ("ascii", "utf-16-be")
)
_SPACES = {"L": b"GRAY", "LA": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK"}
_OTHERS = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}


def eight_bit(image: Image.Image) -> Image.Image:
    """Return *image* as L, LA, RGB, RGBA or CMYK; with alpha only where something is transparent."""
    if image.info.get("transparency") is not None and image.mode in ("L", "P", "RGB"):
        image = image.convert("RGBA")
    elif image.mode not in _SPACES:
        image = image.convert(_OTHERS.get(image.mode, "RGB"))
    return opaque(image)


def opaque(image: Image.Image) -> Image.Image:
    """Return *image* without its alpha where nothing of it is transparent."""
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(image.mode[:-1])
    return image


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

    @property
    def is_gray(self) -> bool:
        """Tell whether it is that of a gray scale."""
        return self._icc[16:20] == b"GRAY"

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Return *image* in sRGB: L, RGB or RGBA. A gray picture may have a profile of gray or of colors."""
        if self._icc and image.mode in ("LA", "RGBA"):
            made = self.to_srgb(image.convert(image.mode[:-1])).convert("RGB")
            made.putalpha(image.getchannel("A"))
            return made
        if self._icc and image.mode == "L" and self._icc[16:20] == b"RGB ":
            image = image.convert("RGB")
        if self._icc and _SPACES[image.mode] == self._icc[16:20]:
            return self._converted(image)
        return _without_profile(image)

    def _converted(self, image: Image.Image) -> Image.Image:
        try:
            made = self._transform.apply(image) if self._transform else None
        except (OSError, ValueError):
            made = None
        if made is None:
            return _without_profile(image)
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


def _without_profile(image: Image.Image) -> Image.Image:
    mode = {"CMYK": "RGB", "LA": "RGBA"}.get(image.mode)
    return image.convert(mode) if mode else image
