"""Check that every name of the package that the docs mention exists, and that no page names two things alike.

A name is a dotted path such as ``userimages.storages.r2.R2Storage`` or a public name in backticks with a call, such as
``SQLAlchemyRepository(``. Links between pages must lead to a file and to a heading that is there once. A page that a
program names must be there.
"""

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def missing_name(dotted: str) -> bool:
    """Tell whether *dotted* names neither a module nor something in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return True
            found = getattr(found, part)
        return False
    return True


def missing_pages(text: str) -> list[str]:
    """List the pages that *text* names and that are not there."""
    named = set(re.findall(r"(?<![\w/.-])docs/[\w/-]+\.(?:md|yaml)", text))
    return [f"names {name}, which is not there" for name in sorted(named) if not (ROOT / name).exists()]


def problems(page: Path) -> list[str]:
    """List what is wrong with one page."""
    text = page.read_text(encoding="utf-8")
    found = [
        f"names {name}, which is gone"
        for name in set(re.findall(r"\buserimages(?:\.[A-Za-z_]\w*)+", text))
        if not re.search(r"\.(py|md|toml|sqlite3|css|js)$", name) and missing_name(name)
    ]
    targets = [each for each in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text) if "://" not in each]
    found += [f"links to {target}, which is not there" for target in targets if not (page.parent / target).exists()]
    found += missing_pages(text)
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    if page.name != "CHANGELOG.md":
        found += [f"has two headings '{heading}'" for heading in set(headings) if headings.count(heading) > 1]
    return [f"{page.relative_to(ROOT)} {each}" for each in found]


def main() -> int:
    """Print every problem and return how the check ended."""
    found = [each for page in PAGES for each in problems(page)]
    for folder in ("src", "tests", "examples", "scripts", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            missing = missing_pages(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(ROOT)} {each}" for each in missing]
    titles = [page.read_text(encoding="utf-8").partition("\n")[0] for page in PAGES]
    found += [f"two pages are titled '{title}'" for title in set(titles) if titles.count(title) > 1]
    print("\n".join(found) or f"{len(PAGES)} pages name nothing that is gone")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
