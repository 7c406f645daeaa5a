"""``userimages copy``: how the two stores are named, what is printed, and the exit status."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from userimages import ImageService, UserImage
from userimages.cli import main
from userimages.config import service_from_env
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor
from userimages.testing.faults import TIMED_OUT, before, faulty


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageService:
    """Make a service on the disk, which the environment describes, with three images."""
    for name in [name for name in os.environ if name.startswith(("R2_", "USERIMAGES_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    images = service_from_env(processor=instant_processor)
    for number in range(3):
        images.upload("ana", b"%d" % number, image_type="cover")
    return images


@pytest.fixture
def app(images: ImageService, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give a module of the application, whose storages are imported by name."""
    module = ModuleType("moving_app")
    module.images, module.old, module.new = images, images.storage, MemoryStorage()
    module.number, module.make, module.wants = 1, lambda: module.new, lambda name: module.new
    monkeypatch.setitem(sys.modules, "moving_app", module)
    return module


def one(images: ImageService) -> UserImage:
    return images.list("ana")[0]


def test_it_copies_from_folder_to_folder(images, tmp_path: Path, capsys) -> None:
    """The folder of the target is made; the second time says that nothing is left to do."""
    assert main(["copy", "disk:data/objects", "disk:moved/here"]) == 0
    assert capsys.readouterr().out == (
        "9 copied, 0 there before, 0 wrong, 0 missing.\nRepeat it until nothing is copied.\n"
    )
    moved = DiskStorage(tmp_path / "moved/here", create=False)
    assert [found.key for found in moved.list()] == [found.key for found in images.storage.list()]
    assert main(["copy", "disk:data/objects", "disk:moved/here"]) == 0
    assert capsys.readouterr().out == (
        "0 copied, 9 there before, 0 wrong, 0 missing.\nThe target has every object that the records name.\n"
    )


def test_a_copy_that_lacks_objects_has_a_status(images, tmp_path: Path, capsys) -> None:
    """What is wrong and what is missing is told with the id of its image."""
    main_object, variant = one(images).key, one(images).variants["64"].key
    (tmp_path / "data/objects" / main_object).write_bytes(b"flipped")
    (tmp_path / "data/objects" / variant).unlink()
    assert main(["copy", "disk:data/objects", "disk:moved"]) == 1
    shown = capsys.readouterr().out
    assert f"wrong    {main_object} of image {one(images).id}\n" in shown
    assert f"missing  {variant} of image {one(images).id}\n" in shown
    assert "7 copied, 0 there before, 1 wrong, 1 missing.\n" in shown
    assert not (tmp_path / "moved" / main_object).exists()


def test_as_json(images, capsys) -> None:
    """As JSON."""
    (images.storage.root / one(images).key).unlink()
    assert main(["copy", "disk:data/objects", "disk:moved", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "copied": 8,
        "present": 0,
        "wrong": [],
        "missing": [{"key": one(images).key, "image_id": str(one(images).id)}],
        "stopped_at": None,
    }


def test_it_stops_and_resumes(images, capsys) -> None:
    """It stops and resumes."""
    assert main(["copy", "disk:data/objects", "disk:moved", "--limit", "2"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("Resume with: --after 'users/ana/images/cover_")
    after = said.split("'")[1]
    assert main(["copy", "disk:data/objects", "disk:moved", "--after", after]) == 0
    assert capsys.readouterr().out.startswith("3 copied, 0 there before")


@pytest.mark.parametrize("spelling", ["moving_app:new", "moving_app:make"])
def test_a_storage_of_the_application(app, capsys, spelling: str) -> None:
    """Or a function that returns one; with --app the records are those of its service."""
    assert main(["--app", "moving_app:images", "copy", "moving_app:old", spelling]) == 0
    assert len(list(app.new.list())) == 9


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("data/objects", "SOURCE is 'data/objects'. Write disk:PATH, r2:"),
        ("disk:", "SOURCE is 'disk:'."),
        ("r2", "SOURCE is 'r2'."),
        ("r2:", "Missing: R2_ACCOUNT_ID"),
        ("disk:nowhere", "nothing was ever stored there"),
        ("moving_app:none", "SOURCE moving_app:none cannot be loaded"),
        ("moving_app:number", "SOURCE moving_app:number is of type int. Name a Storage, or a function"),
        ("moving_app:wants", "cannot be called without arguments"),
    ],
)
def test_a_store_that_is_not_there_has_a_status(app, capsys, source: str, words: str) -> None:
    """The message names the argument and says how to write it."""
    assert main(["copy", source, "disk:moved"]) == 2
    assert words in capsys.readouterr().err


def test_a_copy_that_was_cut_off_says_how_to_go_on(app, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A copy that was cut off says how to go on."""
    monkeypatch.setattr("userimages.lifecycle.transfer._PAGE", 1)
    copy = ["copy", "disk:data/objects", "moving_app:new"]
    app.new = faulty(app.new, put=before(TIMED_OUT))
    assert main(copy) == 2
    assert "The copy was cut off. Repeat it.\n" in capsys.readouterr().err
    app.new = faulty(MemoryStorage(), put=[None] * 3 + [before(TIMED_OUT)] * 9)
    assert main(copy) == 2
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("The copy was cut off. Resume with: --after 'users/ana/images/cover_")
    app.new = MemoryStorage()
    assert main([*copy, "--after", said.split("'")[1]]) == 0


def test_r2_is_that_of_the_environment(images, seaweedfs: Any, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """With those settings the records are still found, because a copy needs only the database of the service."""
    for name, value in seaweedfs.environ().items():
        monkeypatch.setenv(name, value)
    assert main(["copy", "disk:data/objects", "r2:"]) == 0
    assert main(["copy", "r2:", "disk:back"]) == 0
    assert capsys.readouterr().out.count("9 copied, 0 there before") == 2
