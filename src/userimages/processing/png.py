"""PNG and APNG: every chunk with its checksum, and what of them the decoder may see."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, starmap, takewhile
from typing import BinaryIO

import attrs

from userimages.processing import png_color
from userimages.processing.animation import Disposal, Frame, played, plays
from userimages.processing.header import Header, broken, orientation_of
from userimages.processing.limits import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAMING = 12
_ANCILLARY = 0x20  # a small first letter: decoders may do without such a chunk, so one that is damaged is passed over
_OF_PIXELS = (b"fcTL", b"fdAT")
_PALETTE, _KEYS = 3, {0: ">H", 2: ">HHH"}
_KEYED_DEEP = 18  # bytes for each pixel: a key of 16 bits is looked for in a second decode, band by band
_MOST_PROFILE = 1 << 20  # compressed bytes: the blocks in them may be empty, and cost more than they weigh
_GRAY = (0, 4)  # color types without and with alpha
_DISPOSALS = {0: Disposal.KEEP, 1: Disposal.CLEAR, 2: Disposal.RESTORE}
_DRAWN = (b"IDAT", b"acTL", b"fcTL", b"fdAT")
_MOST = 0x7FFFFFFF  # of frames and plays

_Chunk = tuple[bytes, memoryview]


def examine(data: bytes, limits: Limits) -> Header:
    """Walk all chunks of a PNG, check their sums, and keep those that make the picture or its frames."""
    view = memoryview(data)  # views: what waits to be decoded holds no copies
    first, drawn = dict[bytes, memoryview](), list[_Chunk]()
    metadata = frames = width = height = packed = 0
    image = False
    for parts, (kind, start, stop) in enumerate(_chunks(data), 1):
        limits.allow_parts(parts)
        body = view[start:stop]
        metadata += _FRAMING
        if (kind == b"IHDR") == bool(first):
            raise broken("its header is not one")
        if kind == b"IHDR":
            width, height = _size(body)
            limits.allow_size(width, height)
        if kind in _DRAWN:
            image |= kind == b"IDAT"
            packed += len(body)
            frames += kind == b"fcTL"
            drawn.append((kind, body))
            limits.allow_frames(frames, width, height)
        elif not (image or (kind == b"cICP" and b"PLTE" in first)):
            # Of each kind browsers take the first, and none behind the pixels; cICP not even behind the palette.
            first.setdefault(kind, body)
        metadata += 0 if kind in _DRAWN else len(body)
        limits.allow_metadata(metadata)
    if not first:
        raise broken("it has no picture")
    # Pixels that were compressed have fewer bytes than before. What is far more counts as metadata: it may be millions
    # of empty blocks, which cost more than pixels do.
    plain = 4 * max(1, frames) * (width + 1) * height * first[b"IHDR"][8] // 8
    limits.allow_metadata(metadata + max(0, packed - 2 * plain))
    exif = bytes(first.get(b"eXIf", b""))
    color = {kind: bytes(body) for kind, body in first.items() if kind in png_color.KINDS}
    if b"iCCP" in color:
        color[b"iCCP"] = _inflated(color[b"iCCP"], limits)
    moving, times, hidden = _frames(drawn, width, height)

    color_type, keys = first[b"IHDR"][9], first.get(b"tRNS", view[:0])
    # The key of gray (0) and color (2) is not shown to the decoder, which compares it in another depth.
    kept = _KEYS.get(color_type)
    key = struct.unpack_from(kept, keys) if kept and len(keys) >= struct.calcsize(kept) else ()
    tables = _tables(bytes(first.get(b"PLTE", b"")), bytes(keys)) if color_type == _PALETTE else ()

    def rebuilt(width: int, height: int, pixels: Sequence[memoryview]) -> BinaryIO:
        size = struct.pack(">II", width, height) + first[b"IHDR"][8:]
        chunks = ((b"IHDR", size), *tables, (b"IDAT", b"".join(pixels)), (b"IEND", b""))
        return io.BytesIO(b"".join((SIGNATURE, *chain.from_iterable(starmap(_chunk, chunks)))))

    return Header(
        format="PNG",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: rebuilt(width, height, [body for kind, body in drawn if kind == b"IDAT"]),
        orientation=1 if exif.startswith(b"Exif") else orientation_of(exif),
        key=key,
        icc=png_color.profile_of(color, gray=color_type in _GRAY),
        frames=max(1, len(moving)),
        durations=played([each.duration for each in moving]),
        parts=tuple(each.frame(rebuilt) for each in moving) if hidden or len(moving) > 1 else (),
        loop=plays(times),
        mode="RGBA" if len(moving) > 1 else _mode(*first[b"IHDR"][8:10], keyed=b"tRNS" in first),
        decoder_bytes=_KEYED_DEEP * width * height if key and first[b"IHDR"][8] == 16 and color_type == 2 else 0,
        copied_bytes=len(data),
    )


def _frames(drawn: Sequence[_Chunk], width: int, height: int) -> tuple[list["_Control"], int, bool]:
    """Return the frames, how often they play, and whether the picture of the PNG itself is none of them."""
    frames, count, times = list[_Control](), 0, 0
    image, hidden = list[memoryview](), False
    for kind, body in drawn:
        if kind == b"IDAT":
            image.append(body)
        elif kind == b"acTL" and not (image or count) and len(body) == 8:
            count, times = struct.unpack(">II", body)
            count *= max(count, times) <= _MOST
        elif kind == b"fcTL" and count:
            hidden |= not frames and bool(image)
            frames.append(_Control.of(body))
        elif kind == b"fdAT" and frames:
            frames[-1].pixels.append(body[4:])
    if frames and not hidden:
        frames[0].pixels[:0] = image if (frames[0].width, frames[0].height) == (width, height) else ()
    fitting = list(takewhile(lambda each: each.fits(width, height), frames[:count]))
    return fitting, times, hidden and bool(fitting)


@attrs.frozen
class _Control:
    """What an fcTL chunk says of a frame, and the pixels that follow it."""

    width: int
    height: int
    left: int
    top: int
    duration: int
    disposal: Disposal | None
    over: bool
    pixels: list[memoryview] = attrs.field(factory=list)

    @classmethod
    def of(cls, body: memoryview) -> "_Control":
        """Read it; one that cannot be read fits nowhere."""
        if len(body) != 26:
            return cls(0, 0, 0, 0, 0, None, over=False)
        width, height, left, top, over, under, disposal, blend = struct.unpack_from(">IIIIHHBB", body, 4)
        known = _DISPOSALS.get(disposal) if blend in (0, 1) else None
        return cls(width, height, left, top, round(1000 * over / (under or 100)), known, over=blend == 1)

    def fits(self, width: int, height: int) -> bool:
        """Tell whether a frame has pixels, all of them on the canvas: browsers stop before one that has not."""
        inside = self.left + self.width <= width and self.top + self.height <= height
        return bool(self.width and self.height and inside and self.pixels and self.disposal)

    def frame(self, rebuilt: Callable[[int, int, Sequence[memoryview]], BinaryIO]) -> Frame:
        """Return the frame, as a PNG of its own."""
        return Frame(
            open=lambda: rebuilt(self.width, self.height, self.pixels),
            left=self.left,
            top=self.top,
            width=self.width,
            height=self.height,
            duration=self.duration,
            disposal=self.disposal or Disposal.KEEP,
            over=self.over,
        )


def _mode(bits: int, color: int, *, keyed: bool) -> str:
    """Return what the decoder gives of a picture of this depth and color; one with a *keyed* color becomes RGBA."""
    if color == 0 and not keyed:
        return "I;16" if bits == 16 else "L"
    return {0: "LA", 2: "LA" if keyed else "RGB", 3: "P", 4: "LA" if bits == 8 else "RGBA"}.get(color, "RGBA")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk and where its content lies, up to the end chunk or the end of the file.

    What is damaged of the end chunk lacks no pixel.
    """
    position = len(SIGNATURE)
    while position + _FRAMING <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start, stop = position + 8, position + 8 + length
        if kind == b"IEND":
            return
        if stop + 4 > len(data):
            raise broken("it is cut off")
        if zlib.crc32(memoryview(data)[position + 4 : stop]) == int.from_bytes(data[stop : stop + 4]):
            yield kind, start, stop
        elif kind[0] & _ANCILLARY == 0 or kind in _OF_PIXELS:
            raise broken("a checksum is wrong")
        position = stop + 4


def _size(body: memoryview) -> tuple[int, int]:
    if len(body) != 13:
        raise broken("its header is not one")
    width, height = struct.unpack_from(">II", body)
    if not width or not height:
        raise broken("it has no pixels")
    return width, height


def _tables(palette: bytes, alphas: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return palette and alpha for every index that a pixel can have: browsers take the last color for the rest.

    They pass over alpha for more colors than can be.
    """
    if not palette:
        raise broken("it has no palette")
    colors = min(256, len(palette) // 3)
    rest = 256 - colors
    alphas = alphas[:colors] if len(alphas) <= 256 else b""
    return (
        (b"PLTE", palette[: 3 * colors] + palette[3 * colors - 3 : 3 * colors] * rest),
        (b"tRNS", alphas + alphas[-1:] * rest if len(alphas) == colors else alphas),
    )


def _inflated(body: bytes, limits: Limits) -> bytes:
    """Return the color profile of an iCCP chunk; none where it is damaged."""
    rest = body.partition(b"\0")[2]
    if len(rest) > _MOST_PROFILE:
        return b""
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], limits.max_metadata_bytes + 1)
    except zlib.error:
        return b""
    limits.allow_metadata(len(profile))
    return profile


def _chunk(kind: bytes, body: bytes | memoryview) -> tuple[bytes, bytes, bytes | memoryview, bytes]:
    return len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
