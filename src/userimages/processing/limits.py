"""How much one file may ask for, judged from its header before a byte is decoded."""

import threading

import attrs

from userimages.errors import ConfigurationError, LimitExceededError

_MEBIBYTE = 1024 * 1024


@attrs.frozen(kw_only=True)
class Limits:
    """The most that one file may ask for, and all files together.

    ``max_bytes`` is the size of the file. ``max_jpeg_pixels`` and ``max_pixels`` (all other formats, whose decoders
    need more memory for each pixel) are width times height; for an animation all its frames together, because its
    encoder needs 30 to 120 ms of CPU for each million of them: 100 million would take 3 to 12 s. ``max_side`` is in
    pixels. ``max_scans`` and ``max_scan_pixels`` (scans times pixels) bound progressive JPEG. ``max_metadata_bytes`` is
    what may be read besides the pixels: a JPEG with more is stored without it, another file is refused. ``max_parts``
    counts what a file is made of: the segments of a JPEG, the chunks of a PNG or a WebP, the blocks of a GIF, the boxes
    of a HEIC. ``max_short_blocks`` counts the data blocks of a GIF that are
    not full, and ``max_junk_bytes`` what lies between two segments of a JPEG and belongs to neither.
    ``max_huffman_groups`` bounds the tables of a lossless WebP, over all its frames, and ``max_head_symbols`` what must
    be read to count them. ``max_animation_bytes`` is the most that an animation is stored in, or twice its file where
    that is more.

    ``max_memory`` is how many bytes of memory a file may need until it is stored, and ``memory_in_flight`` how many all
    may need that are at work, over all threads of a process: first come, first served, and who waits for longer than
    ``wait_seconds`` gets ``BusyError``. With these defaults a process that stores one file stays under 400 MB.

    >>> Limits(max_bytes=1024 * 1024).max_side
    16384
    """

    max_bytes: int = 10 * _MEBIBYTE
    max_jpeg_pixels: int = 50_000_000
    max_pixels: int = 25_000_000
    max_side: int = 16_384
    max_frames: int = 250
    max_scans: int = 64
    max_scan_pixels: int = 1_000_000_000
    max_metadata_bytes: int = 4 * _MEBIBYTE
    max_parts: int = 5_000
    max_short_blocks: int = 50_000
    max_junk_bytes: int = 64 * 1024
    max_huffman_groups: int = 3_000
    max_head_symbols: int = 60_000
    max_animation_bytes: int = 1_000_000
    max_memory: int = 360_000_000
    memory_in_flight: int = 400_000_000
    wait_seconds: float = 10.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if name == "wait_seconds":
                fits, what = isinstance(value, int | float) and 0 <= value <= threading.TIMEOUT_MAX, "seconds"
            else:
                fits, what = type(value) is int and value >= 0, "an int"
            if not fits:
                raise ConfigurationError(f"Limits has {name}={value!r}.", hint=f"Pass {what}, not negative.")

    def allow_size(self, width: int, height: int, *, jpeg: bool = False) -> None:
        """Refuse a picture with a side or an area over its limit."""
        self._allow("pixels on one side", max(width, height), "max_side", "too_many_pixels")
        self._allow(
            f"pixels ({width} x {height})",
            width * height,
            "max_jpeg_pixels" if jpeg else "max_pixels",
            "too_many_pixels",
        )

    def allow_frames(self, frames: int, width: int, height: int) -> None:
        """Refuse an animation with too many frames, or too many pixels over all frames."""
        self._allow("frames", frames, "max_frames", "too_many_frames", counted=True)
        self._allow("pixels over all frames", frames * width * height, "max_pixels", "too_many_pixels", counted=True)

    def allow_drawn(self, pixels: int) -> None:
        """Refuse an animation whose frames, which may be larger than its canvas, have too many pixels together."""
        self._allow("pixels over all frames", pixels, "max_pixels", "too_many_pixels", counted=True)

    def allow_scans(self, scans: int, width: int, height: int) -> None:
        """Refuse a JPEG with so many scans that decoding would take seconds."""
        self._allow("progressive scans", scans, "max_scans", "too_many_scans", counted=True)
        self._allow("pixels over all scans", scans * width * height, "max_scan_pixels", "too_many_scans", counted=True)

    def allow_metadata(self, size: int) -> None:
        """Refuse a file whose metadata has more than the allowed number of bytes."""
        self._allow("bytes of metadata", size, "max_metadata_bytes", "too_much_metadata", counted=True)

    def allow_parts(self, parts: int) -> None:
        """Refuse a file of so many parts that to walk over them would take seconds, however small they are."""
        self._allow("parts", parts, "max_parts", "too_many_parts", counted=True)

    def allow_short_blocks(self, blocks: int) -> None:
        """Refuse a GIF whose data is cut into so many blocks that to join them would take seconds."""
        self._allow("short data blocks", blocks, "max_short_blocks", "too_many_parts", counted=True)

    def allow_huffman_groups(self, groups: int) -> None:
        """Refuse a lossless WebP with so many groups of codes that their tables would fill the memory."""
        self._allow("Huffman groups", groups, "max_huffman_groups", "too_many_groups", counted=True)

    def allow_head_symbols(self, symbols: int) -> None:
        """Refuse a lossless WebP that has so much before its pixels that to read it would take seconds."""
        self._allow("symbols before its pixels", symbols, "max_head_symbols", "too_many_groups", counted=True)

    def allow_memory(self, size: int) -> None:
        """Refuse a picture that would need more memory than one may, or than all together may."""
        for name in ("max_memory", "memory_in_flight"):
            self._allow("bytes of memory", size, name, "too_much_memory", verb="needs")

    def allow_junk(self, size: int) -> None:
        """Refuse a JPEG with so much between two segments that to search it would take seconds."""
        self._allow("bytes without a segment", size, "max_junk_bytes", "too_much_junk")

    def animation_bytes(self, file_bytes: int) -> int:
        """Return the most bytes that an animation from a file of *file_bytes* may have."""
        return max(self.max_animation_bytes, 2 * file_bytes)

    def allow_animation(self, size: int, file_bytes: int) -> None:
        """Refuse an animation that becomes much larger than its file."""
        limit = self.animation_bytes(file_bytes)
        self._allow("bytes to store", size, "max_animation_bytes", "animation_too_large", verb="needs", limit=limit)

    def _allow(
        self,
        what: str,
        value: int,
        name: str,
        code: str,
        *,
        verb: str = "has",
        limit: int | None = None,
        counted: bool = False,
    ) -> None:
        """Refuse a value over its limit. What is *counted* was not counted to the end, so there is at least as much."""
        limit = getattr(self, name) if limit is None else limit
        if value > limit:
            found = f"at least {value:,}" if counted else f"{value:,}"
            raise LimitExceededError(
                f"The image {verb} {found} {what}, and at most {limit:,} are allowed.",
                value=value,
                limit=limit,
                code=code,
                hint=f"Send a smaller one, or raise Limits({name}=).",
            )
