"""PNG, APNG and GIF files written by hand, sample by sample: what no encoder would write can be written here."""

import itertools
import random
import struct
import zlib

from hostile import SIGNATURE, chunk, ihdr

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
SIZE = (16, 12)  # at most 256 pixels, so that as WebP nothing of them is lost


def smooth(depth, color, size=SIZE):
    """Samples of a picture without edges, from 0 to the most of its depth, and alpha that fades."""
    width, height = size
    most, channels = (1 << depth) - 1, CHANNELS[color]
    waves = (lambda x, y: x / (width - 1), lambda x, y: y / (height - 1), lambda x, y: 1 - x * y / (width * height))
    alpha = channels in (2, 4) and color != 3
    for y in range(height):
        for x in range(width):
            parts = [wave(x, y) for wave in waves[: channels - alpha]] + [1 - y / height] * alpha
            yield [round(part * most) for part in parts]


def packed(samples, depth, width):
    """Rows of a PNG from its samples, unfiltered."""
    row, out = [], []
    for pixel in samples:
        row.append(pixel)
        if len(row) == width:
            bits = "".join(f"{part:0{depth}b}" for each in row for part in each)
            bits += "0" * (-len(bits) % 8)
            out.append(b"\0" + int(bits, 2).to_bytes(len(bits) // 8))
            row = []
    return b"".join(out)


def laced(samples, depth, size):
    """The rows of the seven passes of an interlaced PNG."""
    samples, (width, height), out = list(samples), size, b""
    for x, y, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        columns = range(x, width, across)
        out += packed(
            (samples[row * width + at] for row in range(y, height, down) for at in columns), depth, len(columns)
        )
    return out


def png(samples=None, *, depth=8, color=2, size=SIZE, before=(), palette=None, interlaced=False):
    """A PNG of these samples; *before* are chunks before its palette, as (kind, body)."""
    samples = smooth(depth, color, size) if samples is None else samples
    rows = laced(samples, depth, size) if interlaced else packed(samples, depth, size[0])
    chunks = [chunk(kind, body) for kind, body in before if kind != b"tRNS"]
    if color == 3:
        chunks.append(chunk(b"PLTE", palette or gradient(1 << depth)))
    chunks += [chunk(kind, body) for kind, body in before if kind == b"tRNS"]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlaced))
    return b"".join((SIGNATURE, head, *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")))


def gradient(count):
    """A palette from blue to yellow."""
    steps = [round(255 * at / max(1, count - 1)) for at in range(count)]
    return b"".join(bytes((step, step, 255 - step)) for step in steps)


def control(number, size, place=(0, 0), *, delay=(1, 10), dispose=0, blend=0):
    """An fcTL chunk."""
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, *place, *delay, dispose, blend))


def apng(frames, *, size=SIZE, depth=8, color=6, plays=0, hidden=None, before=(), palette=None, claimed=None):
    """An APNG. A frame is (samples, size, place, options of ``control``); *hidden* are samples that only show still."""
    out = [SIGNATURE, ihdr(*size, depth, color)]
    out += [chunk(kind, body) for kind, body in before if kind != b"tRNS"]
    out += [chunk(b"PLTE", palette or gradient(1 << depth))] if color == 3 else []
    out += [chunk(kind, body) for kind, body in before if kind == b"tRNS"]
    out.append(chunk(b"acTL", struct.pack(">II", len(frames) if claimed is None else claimed, plays)))
    if hidden is not None:
        out.append(chunk(b"IDAT", zlib.compress(packed(hidden, depth, size[0]))))
    numbers = itertools.count()
    for at, (samples, wide, place, options) in enumerate(frames):
        out.append(control(next(numbers), wide, place, **options))
        pixels = zlib.compress(packed(samples, depth, wide[0]))
        if at or hidden is not None:
            out.append(chunk(b"fdAT", struct.pack(">I", next(numbers)) + pixels))
        else:
            out.append(chunk(b"IDAT", pixels))
    return b"".join((*out, chunk(b"IEND")))


def flat(value, size=SIZE):
    """Samples of one color."""
    return [list(value)] * (size[0] * size[1])


def noise(size, depth, channels, seed):
    """Samples without any order."""
    draw = random.Random(seed)
    return [[draw.randrange(1 << depth) for _ in range(channels)] for _ in range(size[0] * size[1])]


TABLE = b"\xe0\x20\x20\x20\xc0\x20\x20\x20\xf0\xf0\xe0\x10"  # red, green, blue, yellow


def gif_frame(indices, size, place=(0, 0), *, dispose=0, key=None, delay=10, table=b"", interlaced=False, bits=2):
    """A frame of a GIF; its codes never grow, because they begin again before they would."""
    codes, clear = [], 1 << bits
    for at, index in enumerate(indices):
        codes += [clear] * (at % (clear - 2) == 0) + [index]
    stream, count = 0, 0
    for code in (*codes, clear + 1):
        stream, count = stream | code << count, count + bits + 1
    raw = stream.to_bytes((count + 7) // 8, "little")
    blocks = b"".join(bytes((len(part),)) + part for at in range(0, len(raw), 255) for part in (raw[at : at + 255],))
    flags = dispose << 2 | (key is not None)
    head = b"!\xf9\x04" + struct.pack("<BHBB", flags, delay, key or 0, 0)
    shape = (0x80 | (len(table) // 3).bit_length() - 2 if table else 0) | interlaced << 6
    return head + b"," + struct.pack("<HHHHB", *place, *size, shape) + table + bytes((bits,)) + blocks + b"\0"


def gif(frames, *, screen=SIZE, table=TABLE, background=0, before=b"", repeats=None, label=b"NETSCAPE2.0"):
    """A GIF of these frames; *repeats* writes the block that says how often it is repeated."""
    shape = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, shape, background, 0) + table
    loops = b"" if repeats is None else b"!\xff\x0b" + label + b"\x03\x01" + struct.pack("<H", repeats) + b"\0"
    return b"".join((head, before, loops, *frames, b";"))
