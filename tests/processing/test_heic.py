"""HEIC, which iPhones send: read where it was asked for, and nothing of Pillow changed for it."""

import base64
import io
import os
import subprocess
import sys
from pathlib import Path

import heic_items
import pytest
from heic_seeds import SEEDS
from PIL import Image

from userimages import BrokenImageError, ConfigurationError, ImageType, LimitExceededError, UnsupportedFormatError
from userimages.processing import Limits, PillowProcessor, heif_boxes

pytest.importorskip("pi_heif", reason="pip install 'userimages[heic]'")

# 96 x 64: red, lime to the top right, blue to the bottom left; made with pillow-heif.
UPRIGHT = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABegABAAAAAAAAAKoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAA"
    "AAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkA"
    "AAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAA"
    "QAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAALJtZGF0AAAApigBrxOAecKTVEf//rxg7/5bBn/zQMlkKoL+w3H/2H"
    "y/+YAiDwepNS0ugcXy+xB4pCchJaf/64wZH8IT3/2JDg30UeRgogVdiM/1Zt0VdMSCfVnc1UzM0/cyPtVJ/UjlTF6P+SoTNjmTo5l2dgQb5qfE"
    "IgIkk+WKSfkCh+uGczlgarEFF1bzK8sexQ4xDCufFTVX7h1CgB7voSdS4Q1rtJ9o6DRT5CA="
)
# The same, to be turned by a quarter (EXIF orientation 6, and `irot` of the file).
TURNED = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABxQABAAAAAAAAAJ0AAgAAAAACYgABAAAAAAAAADgAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaAggAAAMAyAAAAwAIQGIAAQAHRAHBcrAi"
    "QAAAABNjb2xybmNseAABAA0AAYAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAA"
    "EFgQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAN1tZGF0AAAAmSgBrxOAeSUTVEf//xH/r/1vAn/zQMlkKoL/SGp/+fnL/5sL4PCE"
    "2Ix3AWEHrAk4d7dXiiIF3mLpOc4AXR0AFG6i3u2scGNpmFmT7uH5O6iaw6kzE4A6hObcZyZdwf/4KSEfqjSP/VrhkhGEIne5m/ms//wdQDBIAw"
    "wAVDkwZvBDc3z+IZr8Nu/Q/qGAdEo7BTCwqoZHUTOIQAAAAAZFeGlmAABNTQAqAAAACAACAQ8AAgAAAAcAAAAmARIAAwAAAAEABgAAAAAAAENh"
    "bWVyYQAA"
)


def corners(data):
    processed = PillowProcessor(heic=True)(data, ImageType.GALLERY)
    image = Image.open(io.BytesIO(processed.main.data)).convert("RGB")
    width, height = image.size
    places = (5, 5), (width - 5, 5), (5, height - 5)
    names = ("red", "lime", "blue")
    found = []
    for place in places:
        pixel = image.getpixel(place)
        found.append(names[pixel.index(max(pixel))])
    return image.size, found


@pytest.mark.contract("C25")
def test_heic_is_read_where_it_was_chosen():
    """HEIC is read where it was chosen."""
    assert corners(UPRIGHT) == ((96, 64), ["red", "lime", "blue"])


def test_a_heic_is_turned_once():
    """A HEIC is turned once."""
    assert corners(TURNED) == ((64, 96), ["blue", "red", "red"])


def test_nothing_of_its_metadata_is_stored():
    """Nothing of its metadata is stored."""
    assert b"Camera" in TURNED
    processed = PillowProcessor(heic=True)(TURNED, ImageType.PROFILE)
    for rendition in (processed.main, *processed.variants.values()):
        assert b"Camera" not in rendition.data
        assert b"Exif" not in rendition.data


@pytest.mark.contract("C25")
def test_heic_is_refused_by_name_elsewhere():
    """HEIC is refused by name where it was not chosen."""
    with pytest.raises(UnsupportedFormatError, match=r"userimages\[heic\]"):
        PillowProcessor()(UPRIGHT, ImageType.PROFILE)


def test_its_size_is_judged_before_it_is_decoded(monkeypatch):
    """Its size is judged before it is decoded."""
    monkeypatch.setattr("userimages.processing.process", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(LimitExceededError, match="6,144"):
        PillowProcessor(heic=True, limits=Limits(max_jpeg_pixels=6143))(UPRIGHT, ImageType.PROFILE)


@pytest.mark.parametrize("end", range(12, len(UPRIGHT) - 1, 37))
def test_a_heic_that_is_cut_off_is_refused(end):
    """A HEIC that is cut off is refused."""
    with pytest.raises(BrokenImageError):
        PillowProcessor(heic=True)(UPRIGHT[:end], ImageType.PROFILE)


def test_nothing_is_registered_in_pillow():
    """Nothing is registered in Pillow."""
    Image.init()
    before = set(Image.OPEN)
    PillowProcessor(heic=True)(UPRIGHT, ImageType.PROFILE)
    assert set(Image.OPEN) == before


def test_without_its_library_the_error_says_how(monkeypatch):
    """Without its library the error says what to install."""
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ConfigurationError, match=r"pi-heif.*userimages\[heic\]"):
        PillowProcessor(heic=True)


# Real files beside the small ones: of the corpus, where there is one.
CORPUS = Path(os.environ.get("USERIMAGES_CORPUS", "/nonexistent"))
CHILDREN, MUTANTS = (40, 500) if os.environ.get("USERIMAGES_TORTURE") else (1, 150)


@pytest.mark.parametrize("name", SEEDS)
def test_every_kind_of_heic_passes_the_walk(name):
    """With transparency, EXIF, XMP and a profile, gray, and of several pictures."""
    assert PillowProcessor(heic=True)(SEEDS[name], ImageType.GALLERY).main.width in (48, 64)


def changed(data, mark, offset, new):
    """Overwrite what comes *offset* bytes behind the first *mark*."""
    at = data.index(mark) + len(mark) + offset
    return data[:at] + new + data[at + len(new) :]


PLAIN = SEEDS["plain"]
LIES = {
    "an-item-type-that-is-not-text": changed(SEEDS["exif"], b"Exif", -4, b"\xff"),
    "a-protected-item": changed(PLAIN, b"infe", 6, b"\0\1"),
    "a-name-without-an-end": changed(PLAIN, b"infe", 12, b"x"),
    "another-chroma-in-the-box": changed(PLAIN, b"hvcC", 16, b"\xfe"),
    "another-depth-in-the-box": changed(PLAIN, b"hvcC", 17, b"\xfd"),
    "another-size": changed(PLAIN, b"ispe", 6, b"\2"),
    "parameters-in-the-picture": changed(PLAIN, b"mdat", 4, b"\x42"),
    "a-property-that-is-not-there": changed(PLAIN, b"ipma", 11, b"\x7f"),
    "an-item-outside-of-the-file": changed(PLAIN, b"iloc", 18, b"\0\xff\xff\xff"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_heic_that_lies_is_not_given_to_libheif(name, monkeypatch):
    """Each of these could end the process, or make the decoder write where it must not."""
    processor = PillowProcessor(heic=True)
    monkeypatch.setattr("userimages.processing.heif.library", lambda: pytest.fail("libheif saw it"))
    with pytest.raises(BrokenImageError):
        processor(LIES[name], ImageType.GALLERY)


def test_the_boxes_of_a_heic_are_counted():
    """Empty boxes are eight bytes each."""
    with pytest.raises(LimitExceededError, match="parts"):
        heif_boxes.check(SEEDS["plain"] + b"\0\0\0\x08free" * 5000, Limits())
    heif_boxes.check(SEEDS["plain"] + b"\0\0\0\x08free" * 4000, Limits())


@pytest.mark.parametrize("seed", range(CHILDREN))
def test_no_byte_of_a_heic_ends_the_process(seed, tmp_path):
    """Mutants that pass the walk are decoded in a child, which must come to its end."""
    script, last = Path(__file__).with_name("heic_mutants.py"), tmp_path / "last.heic"
    real = sorted(CORPUS.rglob("*.heic")) if CORPUS.exists() else []
    command = [sys.executable, str(script), str(seed), str(MUTANTS), str(last), *map(str, real)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{last.read_bytes()!r} {done.stderr}"
    assert done.stdout.startswith(f"{MUTANTS} ")


@pytest.mark.parametrize("name", heic_items.SOUND)
def test_pictures_and_grids_of_them_are_read(name):
    """Phones write a grid of tiles that just cover it."""
    assert PillowProcessor(heic=True)(heic_items.SOUND[name], ImageType.GALLERY).main.width in (64, 192)


@pytest.mark.parametrize("name", heic_items.HOSTILE)
def test_what_states_work_without_end_is_refused(name):
    """A few bytes would state any number of pictures, a canvas of a gigabyte, or the same megabytes again and again."""
    with pytest.raises((BrokenImageError, LimitExceededError)):
        heif_boxes.check(heic_items.HOSTILE[name], Limits())
