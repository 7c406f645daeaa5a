"""PNG and APNG: every chunk with its checksum, and what of them the decoder may see."""

import io
import struct
import zlib
from collections.abc import Iterator

from userimages.processing.header import Header, broken, orientation_of
from userimages.processing.limits import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAMING = 12

_Chunk = tuple[bytes, memoryview]


def examine(data: bytes, limits: Limits) -> Header:
    """Walk all chunks of a PNG, check their sums, and keep those that make the picture."""
    kept, view = list[_Chunk](), memoryview(data)  # views: what waits for its turn to be decoded holds no copies
    exif, icc, metadata, plays = b"", b"", 0, None
    width = height = controls = first = 0
    profiled = False
    for parts, (kind, start, stop) in enumerate(_chunks(data), 1):
        limits.allow_parts(parts)
        body = data[start:stop]
        metadata += _FRAMING
        if not width:
            width, height = _size(kind, body)
            limits.allow_size(width, height)
        if kind == b"acTL" and plays is None and len(body) >= 8:
            plays = int.from_bytes(body[4:8])
        elif kind == b"fcTL":
            controls += 1
            if controls == 1:
                first = int(any(each[0] == b"IDAT" for each in kept))
            limits.allow_frames(controls, width, height)
        elif kind not in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"fdAT"):
            metadata += len(body)
            if kind == b"eXIf":
                exif = body
            elif kind == b"iCCP" and not profiled:  # one only: a few bytes inflate to megabytes
                profiled = True
                icc = _inflated(body, limits)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"fdAT", b"fcTL"):
            kept.append((kind, view[start:stop]))
        limits.allow_metadata(metadata)
    if not width:
        raise broken("it has no picture")
    animated = plays is not None and controls > 1
    return Header(
        format="PNG",
        width=width,
        height=height,
        size_bytes=len(data),
        open=lambda: io.BytesIO(_rebuilt(kept, controls if animated else 0, plays or 0)),
        orientation=orientation_of(exif),
        icc=icc,
        frames=controls if animated else 1,
        first_frame=first if animated else 0,
        loop=plays or 0,
        mode=_mode(*data[24:26], keyed=any(kind == b"tRNS" for kind, _ in kept)),
        copied_bytes=len(data),
    )


def _mode(bits: int, color: int, *, keyed: bool) -> str:
    """Return what the decoder gives of a picture of this depth and color; one with a *keyed* color becomes RGBA."""
    if color == 0 and not keyed:
        return "I;16" if bits == 16 else "L"
    return {0: "LA", 2: "LA" if keyed else "RGB", 3: "P", 4: "LA" if bits == 8 else "RGBA"}.get(color, "RGBA")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk and where its content lies, up to the end chunk or the end of the file."""
    position = len(SIGNATURE)
    while position < len(data):
        if position + _FRAMING > len(data):
            raise broken("it is cut off")
        length, kind = struct.unpack_from(">I4s", data, position)
        start, stop = position + 8, position + 8 + length
        if stop + 4 > len(data):
            raise broken("it is cut off")
        if zlib.crc32(memoryview(data)[position + 4 : stop]) != int.from_bytes(data[stop : stop + 4]):
            raise broken("a checksum is wrong")
        if kind == b"IEND":
            return
        yield kind, start, stop
        position = stop + 4


def _size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind != b"IHDR" or len(body) != 13:
        raise broken("its header is not one")
    width, height = struct.unpack_from(">II", body)
    if not width or not height:
        raise broken("it has no pixels")
    return width, height


def _inflated(body: bytes, limits: Limits) -> bytes:
    """Return the color profile of an iCCP chunk; none where it is damaged."""
    rest = body.partition(b"\0")[2]
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], limits.max_metadata_bytes + 1)
    except zlib.error:
        return b""
    limits.allow_metadata(len(profile))
    return profile


def _rebuilt(kept: list[_Chunk], frames: int, plays: int) -> bytes:
    """Return a PNG of the kept chunks, neighbours of pixels joined; *frames* 0 makes it a still picture.

    Joined, because a file cut into single bytes would cost its decoder seconds; numbered and counted anew, so that no
    false count reaches the decoder.
    """
    out, number, at = [SIGNATURE], 0, 0
    while at < len(kept):
        kind, run = kept[at][0], at + 1
        if kind in (b"IDAT", b"fdAT"):
            while run < len(kept) and kept[run][0] == kind:
                run += 1
        if kind == b"IDAT":
            body = b"".join(each for _, each in kept[at:run])
        elif kind == b"fdAT":
            body = number.to_bytes(4) + b"".join(each[4:] for _, each in kept[at:run])
        elif kind == b"fcTL":
            body = number.to_bytes(4) + kept[at][1][4:]
        else:
            body = bytes(kept[at][1])
        if frames or kind not in (b"fcTL", b"fdAT"):
            out += _chunk(kind, body)
            number += kind in (b"fcTL", b"fdAT")
        if frames and at == 0:
            out += _chunk(b"acTL", struct.pack(">II", frames, plays & 0x7FFFFFFF))
        at = run
    return b"".join((*out, *_chunk(b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    return len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
