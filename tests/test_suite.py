"""The tests themselves: how they are named, which rows of the contract they show, and that none is written in vain."""

from pathlib import Path

import pytest
from scripts.tests_names import main, problems

TABLE = "| row | promise |\n|---|---|\n| C1 | It holds. |\n"
GOOD = '@pytest.mark.contract("C1")\ndef test_it_holds():\n    """It holds."""\n'


def test_the_suite_is_well_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The check of the suite itself finds nothing: `make check` prints the same."""
    assert main() == 0, capsys.readouterr().out


def test_a_good_test_passes() -> None:
    """The sample that is broken below is good."""
    assert problems({"test_it.py": GOOD}, TABLE) == []


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("test_it_holds", "test_" + "a" * 46, "has 51 characters"),
        ("test_it_holds", "test_c1_it_holds", "holds a number"),
        ("test_it_holds", "test_it_holds_for_404", "holds a number"),
        ('    """It holds."""', "    pass", "has no docstring"),
        ('"C1"', '"C2"', "has no row C2"),
        ('"C1"', "ROW", "has no row None"),
        ('"C1"', '"C1", "C2"', "has no row None"),
        ('@pytest.mark.contract("C1")\n', "", "no test shows C1"),
        ("def test_it_holds():", "async def test_it():\n    pass\ndef test_it_holds():", "test_it has no docstring"),
    ],
)
def test_every_fault_is_named(change: str, to: str, said: str) -> None:
    """Each way to name a test badly, or to lose a row, is found."""
    found = problems({"test_it.py": GOOD.replace(change, to)}, TABLE)

    assert any(said in each for each in found), found


def test_a_row_that_is_there_twice_is_named() -> None:
    """Two rows of one name would hide each other."""
    assert problems({"test_it.py": GOOD}, TABLE + TABLE.splitlines()[-1]) == [
        "tests/contract.md: two rows are named C1"
    ]


def test_every_test_file_is_collected() -> None:
    """A file with tests under another name would never run."""
    folder = Path(__file__).parent
    strays = [
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        if not file.name.startswith("test_") and "\ndef test_" in file.read_text(encoding="utf-8")
    ]

    assert strays == []
