"""Intake: what a file is, by its first bytes alone, and whether it is safe to decode."""

from userimages.errors import EmptyImageError, FileTooLargeError, UnsupportedFormatError
from userimages.processing import gif, heif, jpeg, png, webp
from userimages.processing.header import Header
from userimages.processing.limits import Limits

ALLOWED = ("JPEG", "PNG", "GIF", "WebP")
_EXAMINERS = {"JPEG": jpeg.examine, "PNG": png.examine, "GIF": gif.examine, "WebP": webp.examine}
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEVC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"))
_HEIF_BRANDS = frozenset((b"mif1", b"msf1"))  # of either
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (png.SIGNATURE, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"PK\x03\x04", "ZIP"),
    (b"\0\0\1\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
)


def examine(data: bytes, limits: Limits, *, heic: bool = False) -> Header:
    """Tell what *data* is and that it may be decoded, without decoding it.

    Raises:
        EmptyImageError, FileTooLargeError, UnsupportedFormatError, BrokenImageError, LimitExceededError: it may not.
    """
    if not data:
        raise EmptyImageError(
            "The file is empty.", hint="Choose another file; one that was read before must be rewound by seek(0)."
        )
    if len(data) > limits.max_bytes:
        raise FileTooLargeError(
            f"The file has more than {limits.max_bytes:,} bytes.",
            limit=limits.max_bytes,
            hint="Send a smaller one, or raise Limits(max_bytes=).",
        )
    found = sniff(data)
    if found == "HEIC" and heic:
        return heif.examine(data, limits)
    examiner = _EXAMINERS.get(found)
    if examiner is None:
        raise _unsupported(found, (*ALLOWED, "HEIC") if heic else ALLOWED)
    return examiner(data, limits)


def sniff(data: bytes) -> str:
    """Return the name of the format that the first bytes of *data* are of, ``"unknown"`` where none is known."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _iso(data[8:12], data[16 : min(int.from_bytes(data[:4]), 512)])
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "SVG"
    return "HTML" if text.startswith((b"<!doctype html", b"<html")) else "unknown"


def _iso(brand: bytes, others: bytes) -> str:
    """Return the format of an ISO file by its brand, and by the others that it is compatible with."""
    brands = {brand, *(others[at : at + 4] for at in range(0, len(others) - 3, 4))}
    if brand in _AVIF_BRANDS or (brands & _AVIF_BRANDS and not brands & _HEVC_BRANDS):
        return "AVIF"
    return "HEIC" if brand in _HEVC_BRANDS | _HEIF_BRANDS else "a video or another ISO file"


def _unsupported(found: str, allowed: tuple[str, ...]) -> UnsupportedFormatError:
    what = "of an unknown format" if found == "unknown" else found
    hint = "Send one of these."
    if found == "HEIC":
        hint = (
            "On an iPhone choose Settings, Camera, Formats, Most Compatible; or let the application read HEIC: "
            "pip install 'userimages[heic]' and PillowProcessor(heic=True)."
        )
    return UnsupportedFormatError(
        f"The file is {what}; {', '.join(allowed)} are read.", found=found, allowed=allowed, hint=hint
    )
