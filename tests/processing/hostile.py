"""Files that lie, built by hand: nothing here needs a corpus."""

import struct
import zlib

from userimages.testing import make_image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SCRIPT = b"<script>alert(document.domain)</script><?php system($_GET['c']); ?>"


def chunk(kind, body=b"", crc=None):
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)
    )


def ihdr(width, height, depth=8, color=2):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))


def png(width, height, *, depth=8, color=0, extra=b"", rows=None):
    """A PNG of zeros, deflated; *rows* replaces its raw rows."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    if rows is None:
        rows = bytes(1 + (width * depth * channels + 7) // 8) * height
    return (
        SIGNATURE + ihdr(width, height, depth, color) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND")
    )


def apng(width, height, frames, *, claimed=None):
    """An APNG whose frames are one pixel each, on a canvas of that size."""
    blank = zlib.compress(bytes((1 + width) * height))
    out = [SIGNATURE, ihdr(width, height, 8, 0), chunk(b"acTL", struct.pack(">II", claimed or frames, 0))]
    number = 0
    for frame in range(frames):
        size = (width, height) if frame == 0 else (1, 1)
        out.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, 0, 0, 1, 25, 0, 0)))
        body = blank if frame == 0 else struct.pack(">I", number + 1) + zlib.compress(bytes(2))
        out.append(chunk(b"IDAT" if frame == 0 else b"fdAT", body))
        number += 1 + (frame > 0)
    return b"".join((*out, chunk(b"IEND")))


def gif_frame(width, height, *, left=0, top=0, delay=4, transparent=False):
    """A frame of zeros; each pixel is a clear code and a zero, so that codes never grow."""
    bits, count = 0, 0
    for code in [4, 0] * (width * height) + [5]:
        bits, count = bits | code << count, count + 3
    raw = bits.to_bytes((count + 7) // 8, "little")
    blocks = b"".join(bytes((len(raw[at : at + 255]),)) + raw[at : at + 255] for at in range(0, len(raw), 255)) + b"\0"
    control = b"!\xf9\x04" + bytes((4 | transparent,)) + struct.pack("<H", delay) + b"\0\0"
    return control + b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02" + blocks


def gif(width, height, frames, *, extra=b""):
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x10\x20\x30\xff\xff\xff"
    return head + extra + b"".join(frames) + b";"


def riff_chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(*chunks):
    body = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_pixels(width, height):
    """A lossless WebP stream of one color: under 20 bytes for any size."""
    bits, count = 0, 0
    fields = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 4), (0, 3)]
    for symbol in (7, 200, 30, 255, 0):
        fields += [(1, 1), (0, 1), (1, 1), (symbol, 8)]
    for value, size in fields:
        bits, count = bits | value << count, count + size
    return bits.to_bytes((count + 7) // 8, "little")


def webp(width, height):
    return riff(riff_chunk(b"VP8L", webp_pixels(width, height)))


def webp_animation(width, height, frames, *, extra=b"", flags=2):
    canvas = struct.pack("<B3x", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    place = bytes(12) + (40).to_bytes(3, "little") + b"\0"
    frame = riff_chunk(b"ANMF", place + riff_chunk(b"VP8L", webp_pixels(1, 1)))
    return riff(riff_chunk(b"VP8X", canvas), riff_chunk(b"ANIM", bytes(6)), frame * frames, extra)


def segment(marker, body):
    return b"\xff" + bytes((marker,)) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(*segments, size=(48, 32), **options):
    """A good JPEG with these segments behind its first marker."""
    good = make_image("JPEG", size, **options)
    return good[:2] + b"".join(segments) + good[2:]


def jpeg_of_scans(width, height, scans):
    """A progressive gray JPEG of one flat scan and *scans* empty ones, a few bytes each."""
    blocks = -(-width // 8) * -(-height // 8)
    one_symbol = bytes((1, *(0,) * 15))
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    head += segment(0xC4, b"\0" + one_symbol + b"\0") + segment(0xC4, b"\x10" + one_symbol + b"\xe0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + first + (segment(0xDA, b"\1\1\0\1\x3f\0") + body) * scans + b"\xff\xd9"


def jpeg_claiming(width, height):
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    return b"\xff\xd8" + head + segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(64) + b"\xff\xd9"


def tiff_with_orientation(value, *, kind=3, order="<", before=b""):
    """An EXIF block with one tag, or with other entries of 12 bytes before it."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI{'HH' if kind == 3 else 'I'}", 0x0112, kind, 1, value, *([0] if kind == 3 else []))
    count = len(before) // 12 + 1
    return magic + struct.pack(f"{order}IH", 8, count) + before + entry + bytes(4)


FORBIDDEN = (
    b"Exif",
    b"EXIF",
    b"http://ns.adobe.com/xap",
    b"XMP ",
    b"xmpmeta",
    b"8BIM",
    b"ICC",
    b"<script",
    b"<?php",
)
FORBIDDEN += (b"Camera of the tests", b"secret", b"PK\x03\x04", b"tEXt", b"GPS")


def traces(rendition):
    """What a rendition holds beside the picture: forbidden words, segments of metadata, bytes after the end."""
    data = rendition.data
    found = [word.decode("latin-1") for word in FORBIDDEN if word in data]
    if rendition.mime_type == "image/jpeg":
        position = 2
        while data[position + 1] != 0xDA:
            if data[position + 1] in (*range(0xE1, 0xF0), 0xFE):
                found.append(f"segment {data[position + 1]:x}")
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
        end = data.find(b"\xff\xd9", position) + 2
    else:
        end = int.from_bytes(data[4:8], "little") + 8
    return found + ["a tail"] * (end != len(data))
