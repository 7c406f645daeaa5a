"""Mutations of valid files: processed or refused, and nothing else comes out. ``USERIMAGES_FUZZ`` sets how many."""

import os
import random
import time
from collections import Counter

import hostile
import pytest

from userimages import ImageType
from userimages.errors import RejectedImageError
from userimages.processing import Fill, Fit, PillowProcessor, Recipe, engine
from userimages.testing import make_image
from userimages.testing.images import make_icc

COUNT = int(os.environ.get("USERIMAGES_FUZZ", "1500"))
SEEDS = {
    "jpeg": make_image("JPEG", (48, 32), orientation=6, gps=True, icc=make_icc("adobe-rgb"), comment=b"c"),
    "jpeg-progressive": make_image("JPEG", (48, 32), progressive=True, subsampling=0),
    "jpeg-cmyk": make_image("JPEG", (32, 32), mode="CMYK"),
    "jpeg-gray": make_image("JPEG", (33, 17), mode="L"),
    "png": make_image("PNG", (24, 16), gps=True, icc=make_icc("display-p3")),
    "png-palette": make_image("PNG", (24, 16), mode="P", transparency=3),
    "png-16": make_image("PNG", (24, 16), mode="I;16"),
    "png-alpha": make_image("PNG", (24, 16), mode="LA"),
    "apng": make_image("PNG", (16, 12), frames=3),
    "gif": make_image("GIF", (24, 16), mode="P"),
    "gif-animated": make_image("GIF", (24, 16), frames=3, loop=2),
    "webp": make_image("WEBP", (24, 16), orientation=5),
    "webp-lossless": make_image("WEBP", (24, 16), mode="RGBA", lossless=True, icc=make_icc("display-p3")),
    "webp-animated": make_image("WEBP", (24, 16), mode="RGBA", frames=3),
    "jpeg-planes": make_image("JPEG", (49, 33), subsampling=2, orientation=7),
    "webp-planes": make_image("WEBP", (49, 33), orientation=6),
}
VALUES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
    b"\xff\xda",
)


def mutated(data, chance):
    """Change a few bytes, cut, double, move or join; now and then put the checksums of a PNG right again."""
    copy = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8, 30))):
        at, length = chance.randrange(len(copy)), chance.choice((1, 2, 4, 8, 64))
        match chance.randrange(8):
            case 0 | 1:
                copy[at] = chance.randrange(256)
            case 2:
                copy[at] ^= 1 << chance.randrange(8)
            case 3:
                value = chance.choice(VALUES)
                copy[at : at + len(value)] = value
            case 4:
                del copy[at : at + length]
            case 5:
                copy[at:at] = copy[at : at + length]
            case 6:
                copy[at:] = copy[at:][: chance.randrange(1, len(copy) + 1)]
            case _:
                other = chance.randrange(len(copy))
                copy[at : at + length] = copy[other : other + length]
        copy = copy or bytearray(b"\0")
    return with_checksums(bytes(copy)) if data[1:4] == b"PNG" and chance.random() < 0.7 else bytes(copy)


def with_checksums(data):
    out, position = [data[:8]], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        if position + 12 + length > len(data):
            break
        out.append(hostile.chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return b"".join((*out, data[position:]))


@pytest.mark.parametrize("name", SEEDS)
def test_a_mutation_is_processed_or_refused(name, monkeypatch):
    """A mutation is processed or refused."""
    recipe = Recipe(Fit(40), variants={"a": Fill(8, 8)}, variant_format="jpeg")
    if name.endswith("planes"):
        monkeypatch.setattr(engine, "_LARGE", 1)
        recipe = Recipe(Fit(31), variants={"a": Fill(9, 8), "b": Fit(16)})
    processor = PillowProcessor(recipes={"cover": recipe})
    chance, outcomes, slowest = random.Random(f"{name} {COUNT}"), Counter(), 0.0
    for number in range(max(1, COUNT // len(SEEDS))):
        data, started = mutated(SEEDS[name], chance), time.process_time()
        try:
            processed = processor(data, ImageType.COVER)
        except RejectedImageError as error:
            outcomes[type(error).__name__] += 1
        else:
            outcomes["accepted"] += 1
            assert not [trace for trace in hostile.traces(processed.main) if trace.startswith(("segment", "a tail"))]
            assert max(processed.main.width, 1) <= 40, f"mutation {number}"
        slowest = max(slowest, time.process_time() - started)
    print(name, dict(outcomes), f"slowest {slowest:.3f} s")  # noqa: T201 - for pytest -s
    assert slowest < 1
