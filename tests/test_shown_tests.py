"""The tests that the docs show to users pass, with the fixtures and contracts that the package brings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
ALL_FIXTURES = """
def test_the_fixtures_belong_together(userimages_service, userimages_storage, userimages_repository):
    assert userimages_service.storage is userimages_storage
    assert userimages_service.repository is userimages_repository
"""


@pytest.mark.parametrize(
    ("page", "at_least"), [("how-to/testing.md", 2), ("how-to/own-storage.md", 20), ("how-to/own-repository.md", 40)]
)
def test_the_tests_of_a_page_pass(page: str, at_least: int, tmp_path: Path) -> None:
    """Run in a process of their own, because Sybil only defines them."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(blocks) + ALL_FIXTURES, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    assert run.returncode == 0, run.stdout
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= at_least
