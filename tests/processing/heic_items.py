"""HEIC files put together of items: coded pictures, grids, and what may refer to them."""

import struct

from heic_seeds import SEEDS


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def size_of(width, height):
    return box(b"ispe", bytes(4), struct.pack(">II", width, height))


def grid(rows, columns, width, height):
    return bytes((0, 1, rows - 1, columns - 1)) + struct.pack(">II", width, height)


def overlay(width, height, pictures):
    return bytes((0, 1)) + bytes(8) + struct.pack(">II", width, height) + bytes(8 * pictures)


def _found(name):
    """Return one box of the smallest seed, whole."""
    start = SEEDS["plain"].index(name) - 4
    return SEEDS["plain"][start : start + int.from_bytes(SEEDS["plain"][start : start + 4])]


SETUP, TILE = _found(b"hvcC"), size_of(64, 64)
CODED = _found(b"mdat")[8:]


def heic(items, properties=(), references=()):
    """Build a file.

    *items* are, by number, a type, the numbers of the properties, and bytes; *properties* come after ``SETUP`` and
    ``TILE``, which are 1 and 2; *references* are a kind, a number, and those it refers to. What is one object in
    memory is stored once.
    """
    kind = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    described = [
        box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", number, 0, type), b"\0") for number, (type, *_) in items.items()
    ]
    used = [(number, uses) for number, (_, uses, _) in items.items() if uses]
    contents = {id(data): data for *_, data in items.values()}

    def meta(start):
        places = {}
        for name, data in contents.items():
            places[name], start = start, start + len(data)
        located = b"".join(
            struct.pack(">HHHII", number, 0, 1, places[id(data)], len(data)) for number, (*_, data) in items.items()
        )
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(12), b"\0"),
            box(b"pitm", bytes(4), struct.pack(">H", 1)),
            box(b"iinf", bytes(4), struct.pack(">H", len(items)), *described),
            box(
                b"iprp",
                box(b"ipco", SETUP, TILE, *properties),
                box(b"ipma", bytes(4), struct.pack(">I", len(used)), *(
                    struct.pack(">HB", number, len(uses)) + bytes(uses) for number, uses in used
                )),
            ),
            box(b"iloc", b"\0\0\0\0\x44\0", struct.pack(">H", len(items)), located),
            box(b"iref", bytes(4), *(
                box(name, struct.pack(f">{2 + len(others)}H", number, len(others), *others))
                for name, number, others in references
            )),
        )  # fmt: skip

    start = len(kind) + len(meta(0)) + 8
    return kind + meta(start) + box(b"mdat", *contents.values())


PICTURE = (b"hvc1", (1, 2), CODED)


def picture():
    """Return a coded picture with bytes of its own."""
    return b"hvc1", (1, 2), bytes(bytearray(CODED))


def overlays(levels):
    """Build overlays of two overlays each: every level doubles the work."""
    items, references = {}, []
    for at in range(levels):
        pair = (2 * at + 3, 2 * at + 4)
        for number in (2 * at + 1, 2 * at + 2):
            items[number] = (b"iovl", (2,), overlay(64, 64, 2))
            references.append((b"dimg", number, pair))
    last = 2 * levels + 1
    return heic({**items, last: PICTURE, last + 1: PICTURE}, references=references)


def tiled(rows, columns, width, height, *, stated=None, tiles=None, type=b"grid"):
    """Build a grid of tiles of 64 x 64; *stated* is the size of its property."""
    numbers = range(2, 2 + (rows * columns if tiles is None else tiles))
    items = {1: (type, (3,), grid(rows, columns, width, height)), **{number: picture() for number in numbers}}
    return heic(items, [size_of(*(stated or (width, height)))], [(b"dimg", 1, tuple(numbers))])


_LARGE = bytes(500_000)
SOUND = {
    "picture": heic({1: PICTURE}),
    "grid": tiled(2, 3, 192, 128),
    "grid of one": tiled(1, 1, 64, 64),
}
HOSTILE = {
    "doubled overlays": overlays(16),
    "an overlay on a canvas that it does not state": heic(
        {1: (b"iovl", (2,), overlay(16000, 16000, 1)), 2: PICTURE}, references=[(b"dimg", 1, (2,))]
    ),
    "identities of identities": heic(
        {**dict.fromkeys(range(1, 1000), (b"iden", (2,), b"\x00")), 1000: PICTURE},
        references=[(b"dimg", n, (n + 1,)) for n in range(1, 1000)],
    ),
    "a grid that is larger than it states": tiled(25, 25, 1600, 1600, stated=(64, 64)),
    "a grid that is not covered": tiled(2, 2, 300, 128),
    "a grid of more tiles than it needs": tiled(9, 9, 128, 128),
    "a grid that lacks tiles": tiled(2, 2, 128, 128, tiles=3),
    "a grid of a grid": heic(
        {1: (b"grid", (2,), grid(1, 1, 64, 64)), 3: (b"grid", (2,), grid(1, 1, 64, 64) + b"\0"), 2: PICTURE},
        references=[(b"dimg", 1, (3,)), (b"dimg", 3, (2,))],
    ),
    "a grid without tiles": heic({1: (b"grid", (3,), grid(1, 1, 64, 64)), 2: PICTURE}, [size_of(64, 64)]),
    "items that share their bytes": heic({1: PICTURE, **dict.fromkeys(range(2, 40), (b"Exif", (), _LARGE))}),
    "a profile for each of many": heic(
        {n: (b"hvc1", (1, 2, 3), picture()[2]) for n in range(1, 100)},
        [box(b"colr", b"prof", bytes(100_000))],
    ),
}
