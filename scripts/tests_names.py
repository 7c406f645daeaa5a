"""Check how tests are named, and that the tests and the rows of tests/contract.md know each other.

A name has at most 50 characters and no number, and the docstring holds the sentence. A test that shows a row of the
contract carries ``@pytest.mark.contract("C7")``; every row has such a test, and every mark names a row.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 50
Test = ast.FunctionDef | ast.AsyncFunctionDef


def tests_of(source: str) -> list[Test]:
    """Return the tests that a file defines, in classes too."""
    nodes = ast.walk(ast.parse(source))
    return [node for node in nodes if isinstance(node, Test) and node.name.startswith("test")]


def marks_of(source: str) -> Iterator[tuple[int, object]]:
    """Yield the line and the row of each mark of the contract; None where it is not a constant."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.contract":
            match node.args:
                case [ast.Constant(row)]:
                    yield node.lineno, row
                case _:
                    yield node.lineno, None


def badly_named(source: str) -> Iterator[str]:
    """Yield what is wrong with the names of the tests of a file."""
    for test in tests_of(source):
        if len(test.name) > LONGEST:
            yield f"{test.lineno}: {test.name} has {len(test.name)} characters; at most {LONGEST} are read"
        if any(re.match(r"\d|c\d+$", word) for word in test.name.split("_")):
            yield f"{test.lineno}: {test.name} holds a number; say it in the docstring or by a mark"
        if not ast.get_docstring(test):
            yield f"{test.lineno}: {test.name} has no docstring; write what it shows as a sentence"


def problems(sources: Mapping[str, str], table: str) -> list[str]:
    """List what is wrong with files of tests, by path, and with the table of the contract."""
    rows = re.findall(r"^\| (C\d+) \|", table, re.MULTILINE)
    found = [f"{path}:{each}" for path, source in sources.items() for each in badly_named(source)]
    marks = [(path, *mark) for path, source in sources.items() for mark in marks_of(source)]
    for path, line, row in marks:
        if row not in rows:
            found.append(f"{path}:{line}: tests/contract.md has no row {row}")
    found += [f"tests/contract.md: two rows are named {row}" for row in sorted(set(rows)) if rows.count(row) > 1]
    shown = {row for _, _, row in marks}
    found += [f"tests/contract.md: no test shows {row}" for row in rows if row not in shown]
    return found


def main() -> int:
    """Print every problem and return how the check ended."""
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "src/userimages/testing").rglob("*.py")]
    sources = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in sorted(files)}
    found = problems(sources, (ROOT / "tests/contract.md").read_text(encoding="utf-8"))
    print("\n".join(found) or f"{sum(len(tests_of(each)) for each in sources.values())} tests are well named")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
