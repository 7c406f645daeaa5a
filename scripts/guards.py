"""Remove every guard of the processing in turn and see that a test fails: python scripts/guards.py [WORD ...]

Prints one line for each guard; exits 1 where a guard can go without any test noticing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROCESSING = "src/userimages/processing"
NAMES = ("intake", "heic", "engine", "cost", "planar", "recipes", "thumbhash", "fidelity")
TESTS = [f"tests/processing/test_{name}.py" for name in NAMES]

# What the guard is for, the file, what stands there, and what stands there without it.
GUARDS = [
    ("bytes of the file", "intake.py", "if len(data) > limits.max_bytes:", "if False:"),
    (
        "pixels, JPEG",
        "limits.py",
        '"max_jpeg_pixels" if jpeg else "max_pixels"',
        '"max_scan_pixels" if jpeg else "max_pixels"',
    ),
    ("pixels, others", "limits.py", '"max_jpeg_pixels" if jpeg else "max_pixels"', '"max_jpeg_pixels"'),
    ("side", "limits.py", 'self._allow("pixels on one side"', '_ = ("pixels on one side"'),
    ("number of frames", "limits.py", 'self._allow("frames"', '_ = ("frames"'),
    ("pixels of all frames", "limits.py", 'self._allow("pixels over all frames"', '_ = ("pixels over all frames"'),
    ("number of scans", "limits.py", 'self._allow("progressive scans"', '_ = ("progressive scans"'),
    ("pixels of all scans", "limits.py", 'self._allow("pixels over all scans"', '_ = ("pixels over all scans"'),
    ("scans of a sequential JPEG", "jpeg.py", " or segment[:1] != frame[1][5:6]", ""),
    ("metadata", "limits.py", 'self._allow("bytes of metadata"', '_ = ("bytes of metadata"'),
    ("small blocks of a GIF", "gif.py", "if short > limits.max_short_blocks:", "if False:"),
    (
        "parts of a JPEG",
        "jpeg.py",
        "        parts += 1\n        limits.allow_parts(parts)\n        found = _MARKER",
        "        found = _MARKER",
    ),
    (
        "parts between scans",
        "jpeg.py",
        "        parts += 1\n        limits.allow_parts(parts)\n        if marker == _END",
        "        if marker == _END",
    ),
    ("junk in a JPEG", "jpeg.py", "position + limits.max_junk_bytes + 2", "len(data)"),
    ("parts of a PNG", "png.py", "limits.allow_parts(parts)", "pass"),
    ("profiles of a PNG", "png.py", " and not profiled", ""),
    ("parts of a GIF", "gif.py", "limits.allow_parts(parts)", "pass"),
    ("parts of a WebP", "webp.py", "limits.allow_parts(parts)", "pass"),
    ("Huffman groups", "limits.py", 'self._allow("Huffman groups"', '_ = ("Huffman groups"'),
    ("what is before lossless pixels", "vp8l.py", "if self.symbols > self._limits.max_head_symbols:", "if False:"),
    (
        "groups of lossless transparency",
        "webp.py",
        'elif kind == b"ALPH" and head[:1]',
        'elif kind == b"ALPH" and False and head[:1]',
    ),
    ("groups of a frame", "webp.py", "yield from _chunks(data, start + _PLACE, stop, size)", "pass"),
    ("checksums of a PNG", "png.py", "if zlib.crc32(memoryview(data)[position + 4 : stop])", "if False and bool"),
    ("counts made anew", "png.py", 'struct.pack(">II", frames, plays', 'struct.pack(">II", 2, plays'),
    ("decoder list", "engine.py", "_DECODERS[header.format](header.open())", "Image.open(header.open())"),
    ("allowed formats", "intake.py", "if examiner is None:", 'if found == "unknown":'),
    ("decoder's size is intake's", "engine.py", "if source.size != (header.width, header.height):", "if False:"),
    ("decoder's frames are intake's", "engine.py", 'if header.format == "WEBP" and', "if False and"),
    ("every error of a decoder", "engine.py", "except Exception as exc:", "except OSError as exc:"),
    ("memory of a decoder", "engine.py", "except (MemoryError, ", "except (ZeroDivisionError, "),
    (
        "metadata not decoded",
        "jpeg.py",
        "                continue\n        elif marker in _FRAMES",
        "                pass\n        elif marker in _FRAMES",
    ),
    ("metadata cleared", "encode.py", "    image.info = {}\n", ""),
    ("orientation", "engine.py", "return image if turn is None else image.transpose(turn)", "return image"),
    ("first EXIF block", "jpeg.py", "exif = exif or segment", "exif = segment"),
    (
        "box of the drafted decode",
        "engine.py",
        "image.resize(size, _LANCZOS, region,",
        "image.resize(size, _LANCZOS, None,",
    ),
    (
        "box of luma",
        "planar.py",
        "luma.resize(size, Image.Resampling.LANCZOS, region,",
        "luma.resize(size, Image.Resampling.LANCZOS, None,",
    ),
    ("box of chroma", "planar.py", "(edge / 2 for edge in region)", "(0, 0, *plane.size)"),
    (
        "chroma of odd sizes",
        "planar.py",
        "max(1, size[0] // 2), max(1, size[1] // 2)",
        "-(-size[0] // 2), -(-size[1] // 2)",
    ),
    (
        "fraction of a turned picture",
        "engine.py",
        "_mirrored((left, top, right, bottom), planes.size,",
        "_mirrored((left, top, right, bottom), (right, bottom),",
    ),
    (
        "pairs of the upright picture",
        "planar.py",
        "turned(plane).reduce(2) if odd else turned(plane.reduce(2))",
        "turned(plane.reduce(2))",
    ),
    ("profile of planar JPEG", "engine.py", "subsampling == 2 and profile.is_srgb", "subsampling == 2"),
    ("planar JPEG only", "engine.py", "planar = subsampling == 2 and", "planar ="),
    ("lossy WebP only", "webp.py", 'lossy |= kind == b"VP8 " and frame is None', "lossy = True"),
    ("profile", "color.py", "if self._icc and", "if False and"),
    (
        "stages of a profile",
        "icc.py",
        "        if len(body) == size and _is_understood(name, body, icc[16:20]):",
        "        if True:",
    ),
    ("tags of a profile", "icc.py", "min(count, _MOST_TAGS)", "count"),
    ("entries of a curve", "icc.py", 'if kind == b"curv" and number <= _MOST_ENTRIES:', 'if kind == b"curv":'),
    ("entries of the curves of a table", "icc.py", "return max(entries) <= _MOST_ENTRIES and ", "return "),
    ("cells of a table", "icc.py", "if not 0 < size <= _MOST_TABLE:", "if not 0 < size:"),
    (
        "one transform for all frames",
        "color.py",
        "    @cached_property\n    def _transform",
        "    @property\n    def _transform",
    ),
    (
        "damaged profile",
        "color.py",
        "except (ImageCms.PyCMSError, OSError, ValueError, TypeError):",
        "except ZeroDivisionError:",
    ),
    ("16 bits scaled", "color.py", 'if image.mode.startswith("I;16"):', "if False:"),
    (
        "quality of the source",
        "engine.py",
        "(recipe.quality, min(recipe.quality, picture.quality))",
        "(recipe.quality,)",
    ),
    ("never enlarged, Fit", "recipes.py", "scale = min(1.0, self.width / width, ", "scale = min(self.width / width, "),
    ("never enlarged, Fill", "recipes.py", "scale = min(1.0, self.width / wide)", "scale = self.width / wide"),
    ("memory in flight", "budget.py", "and self._free >= size", ""),
    ("first come, first served", "budget.py", "queue[0] is turn and ", ""),
    (
        "memory of one file",
        "limits.py",
        'for name in ("max_memory", "memory_in_flight"):',
        'for name in ("memory_in_flight",):',
    ),
    (
        "memory of all files",
        "limits.py",
        'for name in ("max_memory", "memory_in_flight"):',
        'for name in ("max_memory",):',
    ),
    ("coefficients of a JPEG", "jpeg.py", "_coefficients(frame[1]) if many else 0", "0"),
    (
        "bytes of an animation",
        "engine.py",
        "    limits.allow_animation(len(main.data), header.size_bytes)\n    return main",
        "    return main",
    ),
    ("an animation at half of its size", "engine.py", "        picture = _halved(picture)\n", "        pass\n"),
    (
        "rows of a PNG",
        "engine.py",
        'if header.format == "PNG" and png_rows.are_missing',
        "if False and png_rows.are_missing",
    ),
    ("walk of a HEIC", "heif.py", "    heif_boxes.check(data, limits)\n", ""),
    ("parts of a HEIC", "heif_boxes.py", "self._limits.allow_parts(self._parts)", "pass"),
    ("text of a HEIC's items", "heif_boxes.py", "if protected or not _TEXT.issuperset(item) or", "if protected or"),
    (
        "depth of a HEIC",
        "heif_boxes.py",
        "if stated != (found.chroma, found.luma_bits, found.chroma_bits):",
        "if False:",
    ),
    ("size of a HEIC", "heif_boxes.py", "if not (wide <= coded_wide", "if False and not (wide <= coded_wide"),
    (
        "parameters within a HEIC",
        "heif_boxes.py",
        "if self._data[start + size] >> 1 & 63 in hevc.PARAMETER_SETS:",
        "if False:",
    ),
    ("fork", "budget.py", "        reset_after_fork(self)\n", ""),
]


def survives(path: Path, old: str, new: str) -> str:
    """Return the first test that fails without the guard, or "" where none does."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        target = Path(folder) / path
        text = target.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{path} has {old!r} {text.count(old)} times: bring this table up to date")
        target.write_text(text.replace(old, new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *TESTS]
        environ = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600
            )
        except subprocess.TimeoutExpired:
            return "(time-out)"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split("::", 1)[-1].split(" - ")[0] if failed else ""


def main() -> None:
    lost = 0
    for name, file, old, new in GUARDS:
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        test = survives(Path(PROCESSING, file), old, new)
        lost += not test
        print(f"| {name} | {test or 'NO TEST FAILS'} |", flush=True)
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
