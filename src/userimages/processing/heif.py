"""HEIC, by choice: pi-heif beside Pillow, without registering anything in it."""

import io
from importlib import import_module
from types import ModuleType
from typing import BinaryIO

from PIL import Image

from userimages.errors import ConfigurationError
from userimages.processing import heif_boxes
from userimages.processing.header import Header, broken
from userimages.processing.limits import Limits
from userimages.processing.matrix_profile import coded_profile


def library() -> ModuleType:
    """Return pi-heif.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module("pi_heif")
    except ImportError as exc:
        raise ConfigurationError(
            "PillowProcessor(heic=True) needs pi-heif.", hint="Run pip install 'userimages[heic]'."
        ) from exc


def examine(data: bytes, limits: Limits) -> Header:
    """Read the header of a HEIC; its decoder applies the turns that it states by itself, so its EXIF is left alone."""
    heif_boxes.check(data, limits)
    try:
        found = library().open_heif(data)
        width, height = found.size
        icc = found.info.get("icc_profile") or _stated(found.info.get("nclx_profile"))
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, IndexError, TypeError) as exc:
        raise broken("its HEIC data does not open") from exc
    if width < 1 or height < 1:
        raise broken("it has no picture")
    limits.allow_size(width, height, jpeg=True)  # phones take both of the same size; 48 megapixels need 375 MB
    limits.allow_metadata(len(icc))
    return Header(
        format="HEIC",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(data),
        icc=icc,
        mode="RGBA" if found.has_alpha else "RGB",
        decoder_bytes=width * height * 6,
    )


def _stated(nclx: dict[str, int] | None) -> bytes:
    """Return a profile for the color that a file without a profile states in numbers."""
    return coded_profile(nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else b""


def decode(file: BinaryIO) -> Image.Image:
    """Return the primary picture."""
    image: Image.Image = library().open_heif(file).to_pillow()
    return image
