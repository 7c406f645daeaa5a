"""``userimages rebuild``: what it prints, how it resumes, and its exit status."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from tests.reliability import rig

from userimages import ImageService
from userimages.cli import main
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import faulty

COMMAND = ["rebuild", "--app", "a_shop:images"]


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> ImageService:
    """Let the console find the service of an application whose recipe has changed, with five images."""
    old = ImageService(MemoryStorage(), MemoryRepository(), processor=rig.OLD)
    for n in range(5):
        old.upload("ana", b"%d" % n, image_type="cover")
    images = ImageService(old.storage, old.repository, processor=rig.NEW)
    monkeypatch.setitem(sys.modules, "a_shop", SimpleNamespace(images=images))  # type: ignore[arg-type]
    return images


def test_the_console_rebuilds_and_says_so(images: ImageService, capsys: pytest.CaptureFixture[str]) -> None:
    """The console rebuilds and says so."""
    assert main(COMMAND) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("5 rebuilt, 0 of the present recipe, 0 failed.\nOld variants stay for 24 hours.")
    assert shown.err == ""
    assert main(COMMAND) == 0
    assert capsys.readouterr().out == "0 rebuilt, 5 of the present recipe, 0 failed.\n"


def test_a_rebuild_as_json(images: ImageService, capsys: pytest.CaptureFixture[str]) -> None:
    """A rebuild as JSON."""
    assert main([*COMMAND, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rebuilt": 5, "current": 0, "failed": [], "stopped_at": None}


def test_a_rebuild_in_parts_says_where_to_resume(images: ImageService, capsys: pytest.CaptureFixture[str]) -> None:
    """A rebuild in parts says where to resume."""
    assert main([*COMMAND, "--limit", "2"]) == 0
    after = capsys.readouterr().out.rpartition("--after '")[2].rstrip("'\n")
    assert main([*COMMAND, "--after", after, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rebuilt"] == 3


def test_a_rebuild_counts_over_its_pages(
    images: ImageService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar of the terminal counts all images, and so does the report."""
    monkeypatch.setattr("userimages.cli.rebuild._PAGE", 2)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(COMMAND) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("5 rebuilt")
    assert "5 images" in shown.err
    assert "5 rebuilt, 0 failed" in shown.err


def test_what_failed_is_named_and_has_a_status(images: ImageService, capsys: pytest.CaptureFixture[str]) -> None:
    """What failed is named, and the status is 1."""
    bad = images.list("ana")[0]
    images.storage.delete([bad.key])
    assert main(COMMAND) == 1
    shown = capsys.readouterr().out
    assert f"failed   {bad.id}\n4 rebuilt, 0 of the present recipe, 1 failed.\n" in shown


def test_a_rebuild_cut_off_says_where_to_resume(
    images: ImageService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done before is not done again."""

    def interrupt(call: Any) -> None:
        raise KeyboardInterrupt

    cut = ImageService(faulty(images.storage, open=[None, None, interrupt]), images.repository, processor=rig.NEW)
    monkeypatch.setitem(sys.modules, "a_shop", SimpleNamespace(images=cut))  # type: ignore[arg-type]
    assert main(COMMAND) == 2
    after = capsys.readouterr().err.partition("--after '")[2].partition("'")[0]
    rows = images.repository.list_by_key()
    assert after == rows[1].key
    assert [row.recipe == rig.NEW.recipe_id("cover") for row in rows] == [True, True, False, False, False]


def test_a_rate_is_kept(images: ImageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images at two a second take two seconds and a half, however fast the machine is."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("userimages.cli.rebuild.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    assert main([*COMMAND, "--rate", "2"]) == 0
    assert now[0] == pytest.approx(2.5)


def test_a_rebuild_needs_the_application_s_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the library would undo the application's own."""
    assert main(["rebuild"]) == 2
    assert "--app" in capsys.readouterr().err


def test_a_recipe_that_does_not_work_is_one_line(
    images: ImageService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe that does not work is one line."""
    broken = ImageService(images.storage, images.repository, processor=rig.Recipe("new", ("A card!",)))
    monkeypatch.setitem(sys.modules, "a_shop", SimpleNamespace(images=broken))  # type: ignore[arg-type]
    assert main(COMMAND) == 2
    assert capsys.readouterr().err.startswith("userimages: The processor named a variant 'A card!'")
