"""Remove every guard in turn and see that a test fails: python scripts/guards.py [WORD ...]

First those of the processing, then lines of the protocol and of the backends whose absence shows itself only after a
crash, a race or an outage.

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
NAMES = ("intake", "resize", "shown", "heic", "engine", "cost", "planar", "recipes", "thumbhash", "fidelity")
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
    ("side", "limits.py", 'self._allow("pixels on one side"', 'False and self._allow("pixels on one side"'),
    ("number of frames", "limits.py", 'self._allow("frames"', 'False and self._allow("frames"'),
    (
        "pixels of all frames",
        "limits.py",
        'self._allow("pixels over all frames", frames * width * height,',
        'self._allow("pixels over all frames", width * height,',
    ),
    ("pixels of frames off the screen", "gif.py", "            limits.allow_drawn(drawn)\n", ""),
    ("number of scans", "limits.py", 'self._allow("progressive scans"', 'False and self._allow("progressive scans"'),
    (
        "pixels of all scans",
        "limits.py",
        'self._allow("pixels over all scans"',
        'False and self._allow("pixels over all scans"',
    ),
    ("scans of a sequential JPEG", "jpeg.py", " or segment[:1] != frame[1][5:6]", ""),
    ("metadata", "limits.py", 'self._allow("bytes of metadata"', 'False and self._allow("bytes of metadata"'),
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
    ("colors of a JPEG", "jpeg.py", " or len(segment) != 6 + 3 * segment[5]", ""),
    ("junk in a JPEG", "jpeg.py", "position + limits.max_junk_bytes + 2", "len(data)"),
    ("parts of a PNG", "png.py", "limits.allow_parts(parts)", "pass"),
    ("profiles of a PNG", "png.py", "            first.setdefault(kind, body)", "            first[kind] = body"),
    ("parts of a GIF", "gif.py", "limits.allow_parts(parts)", "pass"),
    ("parts of a WebP", "webp.py", "limits.allow_parts(parts)", "pass"),
    ("Huffman groups", "limits.py", 'self._allow("Huffman groups"', 'False and self._allow("Huffman groups"'),
    ("what is before lossless pixels", "vp8l.py", "if self.symbols > self._limits.max_head_symbols:", "if False:"),
    (
        "groups of lossless transparency",
        "webp.py",
        'elif kind == b"ALPH" and head[:1]',
        'elif kind == b"ALPH" and False and head[:1]',
    ),
    ("groups of a frame", "webp.py", "yield from _chunks(data, start + _PLACE, stop, size)", "pass"),
    ("checksums of a PNG", "png.py", "if zlib.crc32(memoryview(data)[position + 4 : stop])", "if False and bool"),
    ("decoder list", "engine.py", "_DECODERS[header.format](header.open())", "Image.open(header.open())"),
    ("allowed formats", "intake.py", "if examiner is None:", 'if found == "unknown":'),
    ("decoder's size is intake's", "engine.py", "if source.size != (header.width, header.height):", "if False:"),
    ("every error of a decoder", "engine.py", "except Exception as exc:", "except OSError as exc:"),
    ("memory of a decoder", "engine.py", "except (MemoryError, ", "except (ZeroDivisionError, "),
    (
        "metadata not decoded",
        "jpeg.py",
        '_COLORS[marker](segment) if marker in _COLORS else b""',
        "_COLORS[marker](segment) if marker in _COLORS else segment",
    ),
    ("metadata cleared", "encode.py", "    image.info = {}\n", ""),
    ("orientation", "engine.py", "return image if turn is None else image.transpose(turn)", "return image"),
    ("first EXIF block", "jpeg.py", "exif = exif or segment", "exif = segment"),
    (
        "box of the drafted decode",
        "resize.py",
        "image.resize(size, Image.Resampling.LANCZOS, region,",
        "image.resize(size, Image.Resampling.LANCZOS, None,",
    ),
    ("box of the fast resizer", "resize.py", "CropBox(left, top, ", "CropBox(0, 0, "),
    ("order of the fast resizer", "resize.py", "if 2 * (image.width - size[0]) < image.height - size[1]:", "if False:"),
    ("averages before the fast resizer", "resize.py", "if factors == (1, 1):", "if True:"),
    ("edges beyond the picture", "resize.py", "min(right, image.width) - left", "right - left"),
    ("Pillow that the fast resizer knows", "resize.py", "not in PILLOW_MAJORS:", "in ():"),
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
    ("lossy WebP only", "webp.py", 'lossy |= kind == b"VP8 "', "lossy = True"),
    ("profile", "color.py", "if self._icc and _SPACES", "if False and _SPACES"),
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
    ("16 bits scaled", "transparency.py", 'if raw == "I;16B":', "if False:"),
    ("quality of the source", "engine.py", "if picture.shrunk else (picture.quality,)", "if picture.shrunk else ()"),
    ("quality of what was shrunk", "engine.py", "(70, 55) if picture.shrunk else ", ""),
    ("frames cleared", "animation.py", "canvas.paste((0, 0, 0, 0), box)", "pass"),
    ("frames restored", "animation.py", "canvas.paste(before, box)", "pass"),
    ("frames composited", "animation.py", "canvas.alpha_composite(", "canvas.paste("),
    ("frames off the screen", "animation.py", "if frame.left < right and frame.top < bottom else None", ""),
    (
        "screen widened once",
        "gif.py",
        "            if not frames:\n                width",
        "            if True:\n                width",
    ),
    ("plays that fit", "animation.py", "count if count <= _MOST_PLAYS else 0", "count"),
    ("delays that are played", "animation.py", "_AS_SHORTEST if each <= _SHORTEST else ", ""),
    ("delays that fit", "animation.py", "min(each, longest)", "each"),
    ("transparency stated", "encode.py", "data[20] | 0x10", "data[20]"),
    ("frames that cannot be", "png.py", "takewhile(", "filter("),
    ("frames stated", "png.py", "frames[:count]", "frames"),
    ("one frame beside a hidden picture", "png.py", "if hidden or len(moving) > 1", "if len(moving) > 1"),
    ("frames counted as stored", "engine.py", "else frames_of(main)", "else header.frames"),
    ("order of color", "png_color.py", "if matrix == 0 and full == 1 and", "if False and"),
    ("sRGB before gamma", "png_color.py", 'b"sRGB" in stated or ', ""),
    ("primaries that cannot be", "png_color.py", "colors = rgb_profile(", "colors = b'' if gray else rgb_profile("),
    ("numbers of a HEIC", "heif.py", ' or _stated(found.info.get("nclx_profile"))', ' or b""'),
    ("gray through its profile", "color.py", 'if self._icc and image.mode in ("LA", "RGBA"):', "if False:"),
    ("gray of fewer bits", "transparency.py", "key[0] * 255 // most", "key[0]"),
    ("low bytes of gray", "transparency.py", ", *_equals(low, key)]", "]"),
    ("low bytes of color", "transparency.py", ", *_equals(swapped, key)]", "]"),
    ("colors beyond the palette", "png.py", "palette[3 * colors - 3 : 3 * colors] * rest", "bytes(3) * rest"),
    ("orientation behind the pixels", "png.py", "elif not (image or ", "elif not ("),
    ("end marker", "jpeg.py", "None if data.endswith(END) else end_of_scans(data, position, limits)", "None"),
    ("missing pixels", "jpeg_end.py", "return one if ImageChops", "return one if True or ImageChops"),
    ("what looks like a trailer", "jpeg_end.py", "if number > _MOST_HINTS:", "if False:"),
    ("trailers", "jpeg_end.py", "0, _trailer(data, position, limits)", "0, len(data)"),
    (
        "broken JFIF",
        "jpeg.py",
        '0xE0: lambda body: b"JFIF\\0\\1\\1\\0\\0\\1\\0\\1\\0\\0" if',
        "0xE0: lambda body: body if True or",
    ),
    ("broken Adobe", "jpeg.py", 'body[:12] if body.startswith(b"Adobe") and len(body) >= 12', "body if True"),
    ("turned subsampling", "engine.py", "turned=header.orientation >= 5", "turned=False"),
    ("graphics", "engine.py", "(is_graphic(image) if graphic is None else graphic)", "False"),
    (
        "graphics that were lossy",
        "engine.py",
        'not in ("PNG", "GIF", "WEBP") or header.lossy',
        'not in ("PNG", "GIF", "WEBP")',
    ),
    ("never enlarged, Fit", "recipes.py", "scale = min(1.0, self.width / width, ", "scale = min(self.width / width, "),
    ("never enlarged, Fill", "recipes.py", "scale = min(1.0, self.width / wide)", "scale = self.width / wide"),
    ("memory in flight", "budget.py", "and self._free >= size", ""),
    ("nested HEIC", "heif_boxes.py", "            if item in _NESTED:", "            if False:"),
    ("bytes that HEIC items share", "heif_boxes.py", " or left < 0:", ":"),
    ("properties of a HEIC, by use", "heif_boxes.py", "                self._limits.allow_metadata(read)\n", ""),
    ("size of a HEIC grid", "heif_boxes.py", "self._size_of(number) != (wide, high) or ", ""),
    ("tiles of a HEIC grid", "heif_boxes.py", "(columns - 1) * tile_wide < wide", "0 < wide"),
    ("color cache of a WebP", "vp8l.py", "        if not 1 <= bits <= _CACHE_BITS:", "        if False:"),
    ("empty blocks of a PNG", "png.py", "metadata + max(0, packed - 2 * plain)", "metadata"),
    ("bytes of a profile of a PNG", "png.py", "    if len(rest) > _MOST_PROFILE:", "    if False:"),
    ("tables of a JPEG", "jpeg.py", "        if tables > _MOST_TABLES:", "        if False:"),
    ("scans without an end", "jpeg.py", "width if end is None else 2 * width, height", "width, height"),
    ("memory of a second decode", "memory.py", "decoded * pixels if header.unended else 0", "0"),
    ("memory of a canvas", "memory.py", "4 * pixels if header.parts and not animated else 0", "0"),
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
    ("an animation at half of its size", "engine.py", "shrink=2", "shrink=1"),
    (
        "rows of a PNG",
        "engine.py",
        "if png_rows.are_missing",
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

LIFECYCLE = "src/userimages/lifecycle"
DATABASES = "src/userimages/repositories"

# The same, with the tests that have to notice.
LINES = [
    (
        "a user is deleted until nothing is left",
        f"{LIFECYCLE}/deletion.py",
        "    while not deletion.ended and deletion.run_once():\n        pass\n",
        "    deletion.run_once()\n",
        ["tests/test_deletion.py"],
    ),
    (
        "an undo records what is left before it forgets",
        f"{LIFECYCLE}/upload.py",
        "            repository.begin_upload(rest, now=now)\n        repository.finish([intent])\n",
        (
            "            repository.finish([intent])\n            repository.begin_upload(rest, now=now)\n"
            "        repository.finish([intent])\n"
        ),
        ["tests/test_upload.py"],
    ),
    (
        "objects go before the intent that names them",
        f"{LIFECYCLE}/deletion.py",
        (
            "        delete_objects(storage, [key for intent in intents for key in intent.object_keys], on_deleted)\n"
            "        if finish:\n            repository.finish(finish)\n"
        ),
        (
            "        if finish:\n            repository.finish(finish)\n"
            "        delete_objects(storage, [key for intent in intents for key in intent.object_keys], on_deleted)\n"
        ),
        ["tests/test_sweep.py"],
    ),
    (
        "a lease counts from now",
        "src/userimages/service.py",
        "lease_until=self._clock() + LEASE,",
        "lease_until=image.uploaded_at + LEASE,",
        ["tests/test_upload.py", "tests/test_types.py"],
    ),
    (
        "an orphan is as old as the store says",
        f"{LIFECYCLE}/probe.py",
        "    return found.modified\n",
        "    return datetime.now(found.modified.tzinfo)\n",
        ["tests/test_audit.py"],
    ),
    (
        "rows are read again before an orphan goes",
        f"{LIFECYCLE}/audit.py",
        "if not _is_named(repository, each.key)]",
        "]",
        ["tests/test_audit.py"],
    ),
    (
        "bytes are compared before they are copied",
        f"{LIFECYCLE}/transfer.py",
        "if hashlib.sha256(data).hexdigest() != part.sha256:",
        "if False:",
        ["tests/test_transfer.py"],
    ),
    (
        "a copy takes back what was deleted meanwhile",
        f"{LIFECYCLE}/transfer.py",
        "            target.delete(late)",
        "            pass",
        ["tests/test_transfer.py"],
    ),
    (
        "nobody writes while records are moved",
        f"{DATABASES}/postgresql.py",
        '    connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")\n',
        "",
        ["tests/repositories/test_moved_records.py"],
    ),
    (
        "what is staged stays out of the second store",
        "src/userimages/storages/mirror.py",
        "        if not key.startswith(STAGING_PREFIX):\n            second",
        "        if True:\n            second",
        ["tests/storages/test_mirror.py"],
    ),
    (
        "a deletion is synced",
        "src/userimages/storages/disk.py",
        "                    os.unlink(name, dir_fd=folder)\n            os.fsync(folder)\n",
        "                    os.unlink(name, dir_fd=folder)\n",
        ["tests/storages/test_disk.py"],
    ),
    (
        "a removed folder is synced",
        "src/userimages/storages/disk.py",
        "                os.fsync(parent)\n",
        "",
        ["tests/storages/test_disk.py"],
    ),
    *(
        (
            f"no error of {name} shows parameters",
            f"{DATABASES}/{name}.py",
            "hide_parameters=True",
            "hide_parameters=False",
            ["tests/repositories/test_sqlalchemy.py", "tests/repositories/test_database.py"],
        )
        for name in ("postgresql", "sqlite")
    ),
    (
        "a child leaves the connections of its parent open",
        f"{DATABASES}/database.py",
        "self._engine.dispose(close=False)",
        "self._engine.dispose()",
        ["tests/repositories/test_sqlalchemy.py"],
    ),
]


def survives(path: Path, old: str, new: str, tests: list[str]) -> str:
    """Return the first test that fails without the guard, or "" where none does."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        target = Path(folder) / path
        text = target.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{path} has {old!r} {text.count(old)} times: bring this table up to date")
        target.write_text(text.replace(old, new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
        environ = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        for resizer in ({}, {"USERIMAGES_WITHOUT_FAST": "1"}):
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environ | resizer, capture_output=True, text=True, check=False, timeout=600
                )
            except subprocess.TimeoutExpired:
                return "(time-out)"
            if done.returncode:
                break
    if done.returncode > 1:
        raise SystemExit(f"The tests do not run on {path} with {new!r}: bring this table up to date\n{done.stderr}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split("::", 1)[-1].split(" - ")[0] if failed else ""


def main() -> None:
    lost = 0
    processing = [(name, f"{PROCESSING}/{file}", old, new, TESTS) for name, file, old, new in GUARDS]
    for name, path, old, new, tests in [*processing, *LINES]:
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        test = survives(Path(path), old, new, tests)
        lost += not test
        print(f"| {name} | {test or 'NO TEST FAILS'} |", flush=True)
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
