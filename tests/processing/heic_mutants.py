"""heic_mutants.py SEED COUNT LAST [FILE...]: decode COUNT mutants that pass the walk over the boxes.

Each is written to LAST before it is decoded, so that it is known which one ended the process. Prints how many passed
the walk, were refused by it, and were stored.
"""

import random
import sys
from pathlib import Path

from heic_seeds import SEEDS

from userimages.errors import RejectedImageError
from userimages.processing import Fit, Limits, PillowProcessor, Recipe, heif_boxes

VALUES = (
    b"\0",
    b"\1",
    b"\xff",
    b"\x7f",
    b"\0\0",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\0\0\1\0",
    b"\x40\1",
)


def mutated(data, chance):
    """Change a few bytes anywhere, most of them in the boxes before the coded picture; lengths stay as they are."""
    copy, boxes = bytearray(data), data.rindex(b"mdat")
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(copy)) if chance.random() < 0.5 else chance.randrange(boxes)
        match chance.randrange(4):
            case 0:
                copy[at] = chance.randrange(256)
            case 1:
                copy[at] ^= 1 << chance.randrange(8)
            case 2:
                value = chance.choice(VALUES)
                copy[at : at + len(value)] = value
            case _:
                other, length = chance.randrange(len(copy)), chance.choice((1, 2, 4, 8))
                copy[at : at + length] = copy[other : other + length]
    return bytes(copy[: len(data)])


def main():
    seed, count, last, *files = sys.argv[1:]
    chance, seeds = random.Random(seed), [*SEEDS.values(), *(Path(file).read_bytes() for file in files)]
    processor = PillowProcessor(heic=True, recipes={"cover": Recipe(Fit(40))})
    passed = refused = stored = 0
    while passed < int(count):
        data = mutated(chance.choice(seeds), chance)
        try:
            heif_boxes.check(data, Limits())
        except RejectedImageError:
            refused += 1
            continue
        passed += 1
        Path(last).write_bytes(data)
        try:
            processor(data, "cover")
            stored += 1
        except RejectedImageError:
            pass
    print(passed, refused, stored)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
