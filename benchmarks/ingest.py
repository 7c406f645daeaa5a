"""How fast, how lean and how good the engine is, beside others, interleaved in one run.

    python benchmarks/ingest.py [--quick] [--rounds N] [--only NAME ...] [--photos FOLDER] [--json FILE]

Needs numpy, and for the others what they are called on PyPI: django-imagekit easy-thumbnails filedepot
sqlalchemy-file pyvips pyvips-binary simplejpeg. What is not installed is left out. Times are CPU time of the process
(all its threads), the least of the rounds, for what disturbs can only add. --photos takes real photographs for the
quality table.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"

import numpy
import PIL
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import get_sampling

from peers import ENGINES, FAST, OURS, PEERS, UPRIGHT, ours, shrink_with
from userimages import ImageType
from userimages.processing import Fit, Limits, PillowProcessor, Recipe
from userimages.processing.color import Profile
from userimages.testing import make_image
from userimages.testing.images import make_exif, make_pixels

Engine = Callable[[bytes], list[bytes]]


def photo(size: tuple[int, int], *, seed: int, quality: int = 92, **options: object) -> bytes:
    """A JPEG with the grain of a sensor, so that its size in bytes is that of a photograph."""
    noise = numpy.random.default_rng(seed).normal(0, 5, (size[1], size[0], 1))
    pixels = numpy.clip(numpy.asarray(make_pixels(size, seed=seed)) + noise, 0, 255).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def images(quick: bool) -> dict[str, bytes]:
    """The nine kinds."""
    turned = make_exif(orientation=6, gps=True)
    made = {
        "small": photo((600, 450), seed=1, exif=turned),
        "web 2 MP": photo((2000, 1072), seed=2, quality=85),
        "photo 6 MP": photo((2725, 2225), seed=3),
        "photo 8 MP": photo((3840, 2160), seed=4),
        "phone 12 MP": photo((4000, 3000), seed=5, exif=turned),
    }
    if not quick:
        made |= {
            "phone 48 MP": photo((8000, 6000), seed=6, exif=turned),
            "PNG 4 MP": make_image("PNG", (2560, 1600), seed=7),
            "WebP 3 MP": make_image("WEBP", (2048, 1672), seed=8, quality=85),
            "GIF": make_image("GIF", (245, 245), frames=42),
        }
    return made


def engines(only: Iterable[str] = ()) -> dict[str, Engine]:
    """The engines that are installed."""
    found = {}
    for name, make in ENGINES.items():
        if not only or name in only:
            with contextlib.suppress(ImportError, OSError):
                found[name] = make()
    return found


def times(engines: dict[str, Engine], files: dict[str, bytes], rounds: int) -> dict[str, dict[str, float]]:
    """Least milliseconds of CPU of each engine for each file; an engine that fails for a file has none."""
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in engines}
    for file, data in files.items():
        for number in range(rounds + 1):
            for name, engine in engines.items():
                started = time.process_time()
                try:
                    engine(data)
                except Exception:
                    continue
                if number:
                    taken[name].setdefault(file, []).append(1000 * (time.process_time() - started))
    return {name: {file: min(each) for file, each in by.items()} for name, by in taken.items()}


def mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.fmean(map(math.log, values)))


def print_times(table: dict[str, dict[str, float]], files: dict[str, bytes]) -> None:
    head = "| ms of CPU | " + " | ".join(files) + " |"
    print(head, "| --- |" + " --- |" * len(files), sep="\n")
    for name, by in table.items():
        print(f"| {name} | " + " | ".join(f"{by[file]:.0f}" if file in by else "-" for file in files) + " |")
    for name in OURS:
        if name in table:
            print_ratios(name, table)


def print_ratios(name: str, table: dict[str, dict[str, float]]) -> None:
    us = table[name]
    for others, words in ((PEERS, f"best peer / {name}"), (UPRIGHT, f"best peer that turns upright / {name}")):
        best = {
            file: min((table[name][file] for name in others if file in table.get(name, {})), default=0) for file in us
        }
        ratios = {file: best[file] / us[file] for file in us if best[file]}
        if ratios:
            listed = ", ".join(f"{file} {ratio:.1f}" for file, ratio in ratios.items())
            print(f"\n{words}: {listed}; geometric mean {mean(ratios.values()):.2f}")
    for other in ("naive Pillow", "original process_image", "turbo limit", "libvips"):
        by = table.get(other, {})
        if by:
            listed = ", ".join(f"{file} {us[file] / by[file]:.2f}" for file in us if file in by)
            print(f"\n{name} / {other}: {listed}")
    if "libvips" in table:
        ratios = [table["libvips"][file] / us[file] for file in us]
        print(f"\nlibvips / {name}: geometric mean {mean(ratios):.2f}, ahead on {sum(each > 1 for each in ratios)}")


def print_shipped(files: dict[str, bytes], rounds: int) -> None:
    """The three recipes as they ship, with all their variants."""
    made = {
        f"{recipe}{', fast' if with_fast else ''}": ours(fast=with_fast, recipe=recipe)
        for recipe in ("profile", "gallery", "cover")
        for with_fast in ((False, True) if FAST else (False,))
    }
    print("\nThe recipes as they ship:\n")
    print_times(times(made, files, rounds), files)


CHILD = """
import sys
sys.path.insert(0, sys.argv[3])
from peers import ENGINES
import PIL.JpegImagePlugin, PIL.WebPImagePlugin
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
engine = ENGINES[sys.argv[1]]()
before = peak()
with open(sys.argv[2], "rb") as file:
    data = file.read()
engine(data)
print(peak() - before - len(data) / 2**20)
"""


def print_memory(names: Iterable[str], files: dict[str, bytes]) -> None:
    """Peak resident memory over the imports and the file's own bytes, in a process of its own (Linux)."""
    if not Path("/proc/self/status").exists():
        return
    chosen = [file for file in files if file.startswith("phone")]
    print(
        "\n| MiB over the imports and the file | " + " | ".join(chosen) + " |",
        "| --- |" + " --- |" * len(chosen),
        sep="\n",
    )
    for name in names:
        cells = []
        for file in chosen:
            path = Path(f"/tmp/userimages-bench-{os.getpid()}")
            path.write_bytes(files[file])
            arguments = [sys.executable, "-c", CHILD, name, str(path), str(Path(__file__).parent)]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            path.unlink()
            cells.append(f"{float(done.stdout):.0f}" if done.returncode == 0 else "-")
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_threads(engine: Engine, data: bytes, count: int) -> None:
    """Two threads against one, and against two processes: what the machine gives at that moment."""

    def work() -> None:
        for _ in range(count):
            engine(data)

    def together(make: Callable[..., object]) -> float:
        workers = [make(target=work) for _ in range(2)]
        started = time.perf_counter()
        for each in workers:
            each.start()  # type: ignore[attr-defined]
        for each in workers:
            each.join()  # type: ignore[attr-defined]
        return time.perf_counter() - started

    import multiprocessing

    work()
    rounds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        alone = time.perf_counter() - started
        rounds.append(
            (2 * alone / together(threading.Thread), 2 * alone / together(multiprocessing.get_context("fork").Process))
        )
    threads, processes = (statistics.median(each) for each in zip(*rounds, strict=True))
    print(f"\nTwo threads do {threads:.2f} times the work of one; two processes {processes:.2f} times.")


def luma(image: Image.Image) -> numpy.ndarray:
    return numpy.asarray(image.convert("L"), dtype=float)


def psnr(one: numpy.ndarray, other: numpy.ndarray) -> float:
    error = float(((one - other) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(one: numpy.ndarray, other: numpy.ndarray) -> float:
    """Structural similarity: Gaussian windows of 11 pixels, sigma 1.5, the constants of its authors."""
    window = numpy.exp(-((numpy.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blurred(values: numpy.ndarray) -> numpy.ndarray:
        for axis in (0, 1):
            width = values.shape[axis] - 10
            values = sum(weight * values.take(range(at, at + width), axis) for at, weight in enumerate(window))
        return values

    a, b = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    x, y = blurred(one), blurred(other)
    variance, other_variance = blurred(one * one) - x * x, blurred(other * other) - y * y
    covariance = blurred(one * other) - x * y
    return float(
        (((2 * x * y + a) * (2 * covariance + b)) / ((x * x + y * y + a) * (variance + other_variance + b))).mean()
    )


def shipped_photos() -> dict[str, bytes]:
    """Two photographs that scikit-learn ships, where it is installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        files = importlib.metadata.files("scikit-learn") or []
        return {each.name: each.locate().read_bytes() for each in files if each.suffix == ".jpg"}  # type: ignore[attr-defined]
    return {}


def print_quality(photos: dict[str, bytes], largest: float) -> None:
    """Luma of the stored JPEG against a full decode and one Lanczos, beside what encoding that reference costs.

    *largest* is the side in pixels, or, up to 1, a share of the photograph's own.
    """
    print(f"\n| photo, within {largest:g} | PSNR ours / reference | SSIM ours / reference | SSIM lost |")
    print("| --- | --- | --- | --- |")
    for name, data in photos.items():
        full = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        side = round(largest if largest > 1 else max(full.size) * largest)
        processor = PillowProcessor(
            recipes={ImageType.GALLERY: Recipe(Fit(side, side))}, limits=Limits(max_bytes=1 << 30)
        )
        stored = Image.open(io.BytesIO(processor(data, ImageType.GALLERY).main.data))
        profile = Image.open(io.BytesIO(data)).info.get("icc_profile", b"")
        reference, file = Profile(profile).to_srgb(full.resize(stored.size, Image.Resampling.LANCZOS)), io.BytesIO()
        reference.save(file, "JPEG", qtables=stored.quantization, subsampling=max(0, get_sampling(stored)))
        truth, encoded, mine = luma(reference), luma(Image.open(file)), luma(stored)
        similar, ours = ssim(encoded, truth), ssim(mine, truth)
        print(
            f"| {name} {full.width}x{full.height} | {psnr(mine, truth):.1f} / {psnr(encoded, truth):.1f} dB "
            f"| {ours:.4f} / {similar:.4f} | {similar - ours:.4f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="five kinds, three rounds")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is run (default 7)")
    parser.add_argument("--times", action="store_true", help="nothing but CPU times")
    parser.add_argument("--only", nargs="*", default=(), help="names of engines")
    parser.add_argument("--photos", type=Path, help="a folder of real JPEG photographs")
    parser.add_argument("--json", type=Path, help="where to write the times")
    chosen = parser.parse_args()
    malloc = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("MALLOC_")]
    print(f"Python {platform.python_version()}, Pillow {PIL.__version__}, {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"Allocator: {' '.join(malloc) or 'as it is'}\n")
    files, found = images(chosen.quick), engines(chosen.only)
    print("Files: " + ", ".join(f"{name} {len(data) / 1e6:.1f} MB" for name, data in files.items()) + "\n")
    table = times(found, files, chosen.rounds or (3 if chosen.quick else 7))
    print_times(table, files)
    if "userimages" in found and "GIF" in files:
        kept = times({"kept": ours(animated=True)}, {"GIF": files["GIF"]}, 3)["kept"]["GIF"]
        print(f"\nAll 42 frames of the GIF kept, as WebP: {kept:.0f} ms")
    print_shipped(files, chosen.rounds or (3 if chosen.quick else 7))
    if chosen.times:
        return
    print_memory(found, files)
    if "userimages" in found:
        print_threads(found["userimages"], files["phone 12 MP"], 4 if chosen.quick else 10)
    photos = shipped_photos()
    if chosen.photos:
        photos |= {path.name: path.read_bytes() for path in sorted(chosen.photos.glob("*.jp*g"))}
    for library in (None, FAST) if FAST else (None,):
        print("\nWith the extra fast:" if library else "\nWith Pillow:")
        shrink_with(library)
        print_quality(photos, 0.48)
        print_quality({name: data for name, data in files.items() if data.startswith(b"\xff\xd8")}, 1920)
    if chosen.json:
        chosen.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
