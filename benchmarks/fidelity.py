"""What a browser shows of twelve files after an upload, beside others: the table of docs/performance.md.

    python benchmarks/fidelity.py [--pictures FOLDER]

Needs Chromium and playwright, and for the others the libraries of the group bench. Each file is shown before and
after, over black and over white, and the larger mean difference of a channel is printed, from 0 to 255. Under 2 nobody
sees it, over 6 everybody does. --pictures writes both side by side.
"""

import argparse
import contextlib
import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/processing"))

import drawn
import oracle
from PIL import Image, ImageDraw

from peers import filedepot, imagekit_as_it_is, original, ours, sqlalchemy_file, thumbnails_as_it_is
from userimages.testing import make_image
from userimages.testing.images import make_exif, make_icc, make_pixels

SIZE = (240, 160)
Engine = Callable[[bytes], list[bytes]]


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(mode: str = "RGB") -> Image.Image:
    """A picture without grain, so that what is lost in encoding does not hide the rest."""
    image = make_pixels((48, 32)).resize(SIZE, Image.Resampling.BICUBIC)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


def stated(kind: bytes, body: bytes) -> bytes:
    """A PNG that states its color in a chunk."""
    plain = encoded(photo(), "PNG")
    return plain[:33] + drawn.chunk(kind, body) + plain[33:]


def lines() -> Image.Image:
    image = Image.new("RGBA", SIZE)
    draw = ImageDraw.Draw(image)
    for at in range(0, SIZE[0], 4):
        draw.line((at, 0, at, SIZE[1]), "red")
        draw.line((0, at, SIZE[0], at), "blue")
    return image


def stripes() -> Image.Image:
    image = Image.new("RGB", SIZE, (220, 40, 40))
    for at in range(0, SIZE[0], 2):
        image.paste((40, 40, 220), (at, 0, at + 1, SIZE[1]))
    return image


def files() -> dict[str, bytes]:
    """The twelve files."""
    part = (100, 60)
    tiles = [drawn.gif_frame([at] * 6000, part, (20 + 40 * at, 20 + 30 * at), dispose=2) for at in range(3)]
    glass = [(drawn.flat((40, 90, 200, 255), SIZE), SIZE, (0, 0), {})]
    glass += [(drawn.flat((250, 120, 20, 110), part), part, (20 + 40 * at, 30), {"blend": 1}) for at in range(3)]
    keyed = [[0xC800, at * 16, 0] if at % 3 else [0x00C8, 0, 0] for at in range(4096)]
    return {
        "photo, turned by EXIF": encoded(photo(), "JPEG", quality=92, exif=make_exif(orientation=6)),
        "photo in Display P3": encoded(photo(), "JPEG", quality=92, icc_profile=make_icc("display-p3")),
        "photo in 4:2:2, turned": encoded(stripes(), "JPEG", quality=92, subsampling=1, exif=make_exif(orientation=6)),
        "photo without its end marker, a film behind it": encoded(photo(), "JPEG", quality=92, progressive=True)[:-2]
        + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" * 4,
        "large photo of quality 13": make_image("JPEG", (3000, 2000), quality=13),
        "PNG with transparency": encoded(photo("RGBA"), "PNG"),
        "PNG in linear light (gAMA)": stated(b"gAMA", struct.pack(">I", 100_000)),
        "PNG in Display P3 (cICP)": stated(b"cICP", b"\x0c\x0d\0\1"),
        "PNG of 16 bits with a transparent color": drawn.png(
            keyed, depth=16, color=2, size=(64, 64), before=[(b"tRNS", struct.pack(">HHH", 0x00C8, 0, 0))]
        ),
        "drawing of thin lines, transparent": encoded(lines(), "PNG"),
        "animated GIF": drawn.gif(tiles, screen=SIZE, repeats=0),
        "animated PNG, frames of glass": drawn.apng(glass, size=SIZE),
    }


ENGINES: dict[str, Callable[[], Engine]] = {
    "userimages": lambda: ours(animated=True),
    "original views": original,
    "django-imagekit": imagekit_as_it_is,
    "easy-thumbnails": thumbnails_as_it_is,
    "filedepot": filedepot,
    "sqlalchemy-file": sqlalchemy_file,
}


def cell(page: oracle.Oracle, before: bytes, engine: Engine, picture: Path | None) -> str:
    """Return what is seen of one file: the difference, or in a word what went wrong."""
    try:
        after = engine(before)[0]
    except Exception:  # a refusal, or whatever an engine raises
        return "refused"
    moves = b"acTL" in before or before[:3] == b"GIF"
    found = page.compare(before, after, moves=moves)
    if picture:
        picture.write_bytes(found.pictures)
    if moves and found.after["frames"] == 1:
        return "a still"
    return f"{found.difference:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="write before and after side by side into this folder")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    engines = {}
    for name, make in ENGINES.items():
        with contextlib.suppress(ImportError):
            engines[name] = make()
    print(f"| what you upload | {' | '.join(engines)} |\n|{' --- |' * (len(engines) + 1)}")
    with oracle.opened() as page:
        for name, data in files().items():
            cells = []
            for engine, run in engines.items():
                picture = options.pictures / f"{name} {engine}.png" if options.pictures else None
                cells.append(cell(page, data, run, picture))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
