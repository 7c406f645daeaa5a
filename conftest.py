"""Run every Python block of the README and of the docs, and every example of a docstring."""

import os
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser


def pytest_xdist_auto_num_workers() -> int:
    """Start one worker more than there are cores, because many tests wait for a server, a process or a browser."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples where they leave nothing behind, beside the adapters that `userimages adapter` would write."""
    monkeypatch.chdir(tmp_path)
    for framework in ("flask", "fastapi"):
        monkeypatch.syspath_prepend(str(Path(__file__).parent / f"examples/{framework}_minimal"))


pages = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=lambda names: names.update(__name__="__main__"),  # Flask looks for the folder of its module
    fixtures=["in_a_new_folder"],
)
docstrings = Sybil(
    parsers=[DocTestParser()],
    patterns=["src/*/*.py", "src/*/*/*.py"],  # two stars would not mean any depth
    document_types={".py": PythonDocStringDocument},
    fixtures=["in_a_new_folder"],
)

pytest_collect_file = (pages + docstrings).pytest()
