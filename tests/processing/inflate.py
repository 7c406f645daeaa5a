"""Files that cost more than they weigh: the parts of valid ones repeated, emptied, grown, moved and overwritten.

A case is a seed and a few steps, so that a case that fails can be shrunk by leaving steps out and making them smaller.
"""

import random
import struct
import zlib

import heic_items
import heic_seeds
import hostile

from userimages.testing import make_image
from userimages.testing.images import make_icc

MOST = 10 * 1024 * 1024
SEEDS = {
    "jpeg": make_image("JPEG", (64, 48), orientation=6, gps=True, icc=make_icc("adobe-rgb"), comment=b"c"),
    "jpeg-progressive": make_image("JPEG", (64, 48), progressive=True, subsampling=0),
    "jpeg-cmyk": make_image("JPEG", (32, 32), mode="CMYK"),
    "png": make_image("PNG", (24, 16), gps=True, icc=make_icc("display-p3")),
    "png-palette": make_image("PNG", (24, 16), mode="P", transparency=3),
    "png-16": make_image("PNG", (24, 16), mode="I;16"),
    "apng": make_image("PNG", (16, 12), frames=3),
    "gif": make_image("GIF", (24, 16), mode="P"),
    "gif-animated": make_image("GIF", (24, 16), frames=3, loop=2),
    "webp": make_image("WEBP", (24, 16), orientation=5),
    "webp-lossless": make_image("WEBP", (300, 200), mode="RGBA", lossless=True, icc=make_icc("display-p3")),
    "webp-alpha": make_image("WEBP", (60, 40), mode="RGBA"),
    "webp-animated": make_image("WEBP", (24, 16), mode="RGBA", frames=3, icc=make_icc("display-p3")),
    "heic": heic_seeds.SEEDS["alpha"],
    "heic-exif": heic_seeds.SEEDS["exif"],
    "heic-grid": heic_items.SOUND["grid"],
}
COUNTS = (2, 7, 60, 260, 3_000, 6_000, 70_000)
VALUES = (
    b"\0",
    b"\1",
    b"\x7f",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\0\0\7\xd0",
    b"\xff\xff\xff\xff",
)
VALUES += (b"\x3f\xff", b"\0\0\x20\0", b"\xff\xda", b"\xd0\7\xd0\7", b"\xe8\3\0\xe8\3\0")


def parts_of(name, data):
    """Take a file apart; the joined parts are the file again."""
    kind, parts, at = name.partition("-")[0], [], 0
    if kind == "jpeg":
        parts, at = [data[:2]], 2
        while data[at + 1] != 0xDA:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
            parts, at = [*parts, data[at:end]], end
        return [*parts, data[at:-2], data[-2:]]
    if kind in ("png", "apng"):
        at = 8
        while at < len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4])
            parts, at = [*parts, data[at + 4 : end - 4]], end
        return parts
    if kind == "webp":
        at = 12
        while at < len(data):
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            parts, at = [*parts, data[at : at + 4] + data[at + 8 : at + 8 + length]], at + 8 + length + length % 2
        return parts
    if kind == "heic":
        while at < len(data):
            whole = at + int.from_bytes(data[at : at + 4])
            end = at + 12 if data[at + 4 : at + 8] == b"meta" else whole  # the boxes in it are parts of their own
            parts, at = [*parts, data[at + 4 : end]], end
        return parts
    at = 13 + (3 << (data[10] & 7) + 1)
    parts = [data[:at]]
    while data[at] != 0x3B:
        end = at + 2
        if data[at] == 0x2C:
            end = at + 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        while data[end]:
            end += 1 + data[end]
        parts, at = [*parts, data[at : end + 1]], end + 1
    return [*parts, b";"]


def joined(name, parts):
    if name.startswith("webp"):
        made = {part: hostile.riff_chunk(part[:4].ljust(4), part[4:]) for part in set(parts)}
        return hostile.riff(*(made[part] for part in parts))
    if "png" in name:
        made = {part: hostile.chunk(part[:4].ljust(4), part[4:]) for part in set(parts)}
        return hostile.SIGNATURE + b"".join(made[part] for part in parts)
    if name.startswith("heic"):
        start = next((at for at, part in enumerate(parts) if part[:4] == b"meta"), len(parts))
        end = next((at for at, part in enumerate(parts) if part[:4] == b"mdat" and at > start), len(parts))
        inner = [b"".join((*parts[start : start + 1], boxes(parts[start + 1 : end])))] if start < end else []
        return boxes(parts[:start]) + boxes(inner) + boxes(parts[max(start, end) :])
    return b"".join(parts)


def boxes(parts):
    return b"".join(struct.pack(">I", len(part) + 4) + part for part in parts)


def profile(number):
    """A profile of the costly kind: stages without end, large tables, long curves, tags that share one content."""
    chance = random.Random(number)
    element = b"matf" + bytes(4) + struct.pack(">HH", 3, 3) + struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    contents = []
    for _ in range(chance.randrange(1, 4)):
        count = chance.choice(COUNTS)
        match chance.randrange(4):
            case 0:
                head = b"mpet" + struct.pack(">IHHI", 0, 3, 3, count)
                contents.append(head + struct.pack(">II", 16 + 8 * count, len(element)) * count + element)
            case 1:
                grid = chance.choice((2, 9, 33, 60, 100))
                table = bytes(64) * (grid**3 * 6 // 64 + 1)
                curves = struct.pack(">HH", 2, 2) + struct.pack(">6H", 0, 65535, 0, 65535, 0, 65535)
                matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
                head = b"mft2" + bytes(4) + bytes((3, 3, grid, 0)) + matrix + curves
                contents.append(head + table[: grid**3 * 6] + curves[4:])
            case 2:
                contents.append(b"curv" + struct.pack(">II", 0, count) + bytes(2 * count))
            case _:
                contents.append(b"para" + struct.pack(">IHH7i", 0, 4, 0, 157286, 62000, 3400, 5000, 2600, 0, 0))
    names = [b"A2B0", b"A2B1", b"D2B0", b"D2B1", b"B2A0", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"abcd"]
    tags = [(chance.choice(names), chance.randrange(len(contents))) for _ in range(chance.choice((1, 3, 10, 300)))]
    at, places = 132 + 12 * len(tags), []
    for content in contents:
        places.append((at, len(content)))
        at += len(content)
    table = b"".join(struct.pack(">4sII", tag, *places[which]) for tag, which in tags)
    head = make_icc("display-p3")[4:128]
    return struct.pack(">I", at) + head + struct.pack(">I", len(tags)) + table + b"".join(contents)


def with_profile(name, parts, number):
    icc = profile(number)
    if name.startswith("jpeg"):
        pieces = [icc[at : at + 65_000] for at in range(0, len(icc), 65_000)][:255]
        segments = [
            hostile.segment(0xE2, b"ICC_PROFILE\0" + bytes((at, len(pieces))) + piece)
            for at, piece in enumerate(pieces, 1)
        ]
        return [parts[0], *segments, *(part for part in parts[1:] if part[:2] != b"\xff\xe2")]
    if "png" in name:
        rest = [part for part in parts[1:] if part[:4] != b"iCCP"]
        return [parts[0], b"iCCPp\0\0" + zlib.compress(icc), *rest]
    if name.startswith("webp"):
        return [parts[0], b"ICCP" + icc, *(part for part in parts[1:] if part[:4] != b"ICCP")]
    return parts


def emptied(name, part):
    if name.startswith("jpeg"):
        return part[:2] + b"\0\2"
    return part[:2] + b"\0" if name.startswith("gif") else part[:4]


def grown(name, part, count):
    if name.startswith("jpeg"):
        body = (part[4:] * count)[:65_000]
        return part[:2] + struct.pack(">H", len(body) + 2) + body
    head = 0 if name.startswith("gif") else 4
    return part[:head] + part[head:] * min(count, MOST // max(1, len(part)))


def built(case):
    """Return the bytes of a case, at most 10 MiB."""
    name, steps = case
    parts, flips = parts_of(name, SEEDS[name]), []
    for kind, place, number in steps:
        at = place % len(parts)
        count = max(1, min(number, MOST // max(12, len(parts[at]) + 12)))
        match kind:
            case "repeat":
                parts[at : at + 1] = [parts[at]] * count
            case "empty":
                parts[at:at] = [emptied(name, parts[at])] * min(number, MOST // 12)
            case "grow":
                parts[at] = grown(name, parts[at], number)
            case "drop":
                del parts[at]
                parts = parts or [b""]
            case "move":
                parts.insert(number % len(parts), parts.pop(at))
            case "set":
                value, part = VALUES[number % len(VALUES)], parts[at]
                start = 4 + number // len(VALUES) % max(1, len(part) - 4)
                parts[at] = part[:start] + value + part[start + len(value) :]
            case "profile":
                parts = with_profile(name, parts, number)
            case _:
                flips.append((place, number))
    data = bytearray(joined(name, parts)[:MOST])
    for place, number in flips if data else ():
        data[place % len(data)] = number & 255
    return bytes(data)


def drawn(chance):
    """Draw a case: one to four steps on a seed."""
    name, steps = chance.choice(list(SEEDS)), []
    for _ in range(chance.choice((1, 1, 2, 3, 4))):
        kind = chance.choice(
            ("repeat", "empty", "grow", "drop", "move", "set", "set", "set", "profile", "flip", "flip")
        )
        number = chance.choice(COUNTS) if kind in ("repeat", "empty", "grow") else chance.randrange(100_000)
        steps.append((kind, chance.randrange(100_000), number))
    return name, steps


def smaller(case):
    """Yield simpler cases: a step less, or a smaller number in one."""
    name, steps = case
    for at, (kind, place, number) in enumerate(steps):
        yield name, steps[:at] + steps[at + 1 :]
        for less in (number // 10, number // 2, number - 1):
            if kind in ("repeat", "empty", "grow") and 0 < less < number:
                yield name, [*steps[:at], (kind, place, less), *steps[at + 1 :]]


def shrunk(case, fails):
    """Return the simplest case that still fails."""
    while simpler := next((each for each in smaller(case) if fails(each)), None):
        case = simpler
    return case
