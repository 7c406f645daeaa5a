"""Real and hostile files of a corpus, each in a process of its own: the verdict, the size, the time and the memory.

``USERIMAGES_CORPUS`` names a folder with ``open/`` and ``MANIFEST.tsv``, ``make_hostile.py`` and ``hostile.tsv``.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("USERIMAGES_CORPUS", "/nonexistent"))
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="USERIMAGES_CORPUS names no folder")
SECONDS, MEBIBYTES = 1.0, 400


def expected(table):
    with (CORPUS / table).open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}


def measured(files):
    script = Path(__file__).with_name("measure.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *map(str, files)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


# The corpus gives the size of a WebP that is turned as its EXIF says. Browsers do not turn it, and so it is stored.
AS_STORED = ("exif-webp-orientation-6.webp", "gen-exif-webp-orientation-6.webp")


def fitted(row):
    width, height = int(row["width"]), int(row["height"])
    if row["file"] in AS_STORED:
        width, height = height, width
    scale = min(1, 1920 / width, 1920 / height)
    return [max(1, round(width * scale)), max(1, round(height * scale))]


def is_right(outcome, row):
    accepted = outcome["verdict"] == "accept"
    if outcome["verdict"] == "ESCAPED" or outcome["cpu"] >= SECONDS or outcome["peak"] >= MEBIBYTES:
        return False
    if row["verdict"] != "policy" and accepted != (row["verdict"] == "accept"):
        return False
    return not accepted or (not outcome["traces"] and (not row["width"] or outcome["size"] == fitted(row)))


def assert_all_right(rows, outcomes):
    assert len(outcomes) == len(rows)
    wrong = [outcome for outcome in outcomes if not is_right(outcome, rows[outcome["file"]])]
    accepted = sum(outcome["verdict"] == "accept" for outcome in outcomes)
    slowest, largest = (max(outcome[key] for outcome in outcomes) for key in ("cpu", "peak"))
    print(f"{len(rows)} files, {accepted} accepted; at most {slowest:.2f} s and {largest:.0f} MiB")  # noqa: T201 - for pytest -s
    assert not wrong, "\n".join(map(str, wrong))


def test_every_real_file_has_its_verdict():
    """Every real file has its verdict in time and memory."""
    rows = expected("MANIFEST.tsv")
    assert_all_right(rows, measured(CORPUS / "open" / name for name in rows))


def test_every_hostile_file_has_its_verdict(tmp_path):
    """Every hostile file has its verdict in time and memory."""
    subprocess.run([sys.executable, str(CORPUS / "make_hostile.py"), str(tmp_path)], capture_output=True, check=True)
    rows = expected("hostile.tsv")
    assert_all_right(rows, measured(tmp_path / name for name in rows))
