"""Every mode that a decoder gives, turned into 8-bit gray, RGB or RGBA in sRGB."""

import io

from PIL import Image, ImageChops

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


def is_srgb(icc: bytes) -> bool:
    """Tell whether a profile, or none, leaves a picture as it is."""
    return not icc or any(name in icc for name in _SRGB_NAMES)


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Return *image* in sRGB (L, RGB or RGBA) by way of its profile; a profile that does not work is dropped."""
    if not is_srgb(icc) and _SPACES.get(image.mode) == icc[16:20]:
        converted = _through_profile(image, icc)
        if converted is not None:
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _through_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.createProfile("sRGB")
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        if image.mode == "RGBA":
            alpha, image = image.getchannel("A"), image.convert("RGB")
        else:
            alpha = None
        result = ImageCms.profileToProfile(image, source, target, intent, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if result is not None and alpha is not None:
        result.putalpha(alpha)
    return result.convert("L") if result is not None and image.mode == "L" else result
