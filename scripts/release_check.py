"""Check everything that has to hold before a version is published, and say what a person still has to do.

It builds the sdist and the wheel, compares the sdist with the repository, imports each extra in an environment of its
own, asks pyright about the types, compares the public names with the last tag, and builds the docs. Then it runs the
tests on the wheel, without the sources in reach, on every interpreter that is found, with the newest dependencies, and
on the first one with the oldest. ``--only NAME`` runs one part, ``--tests ...`` other tests than all.
"""

import argparse
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TYPED_PERCENT = 96.0
NOT_IN_SDIST = (".ci/", ".github/", ".pre-commit-config.yaml", ".editorconfig", ".readthedocs.yaml")
BACKENDS = {
    "": ["userimages", "userimages.http", "userimages.processing", "userimages.testing", "userimages.cli"],
    "r2": ["userimages.storages.r2"],
    "sqlalchemy": ["userimages.repositories.sqlalchemy"],
    "postgresql": ["userimages.repositories.sqlalchemy", "psycopg"],
    "heic": ["userimages.processing.heif", "pi_heif"],
    "fast": ["userimages.processing.resize", "cykooz_resizer"],
    "cli": ["userimages.cli", "tqdm"],
}
BACKENDS["all"] = sorted({module for name, modules in BACKENDS.items() if name != "fast" for module in modules})
FIRST_UPLOAD = """
from userimages import ImageService
from userimages.testing import make_image
images = ImageService.in_memory()
image = images.upload("ana", make_image(), image_type="profile")
assert images.open(image).read(2) == bytes([255, 216])
images.delete(image.id)
"""
WITH_EXTRA = {
    "sqlalchemy": """
from userimages.config import service_from_env
images = service_from_env({})
images.upload("ana", make_image(), image_type="profile")
assert images.check().ok, images.check()
""",
    "r2": """
from userimages.storages.r2 import R2Storage
settings = {"account_id": "0" * 32, "access_key_id": "a", "secret_access_key": "b", "bucket_name": "c"}
storage = R2Storage(**settings, endpoint_url="http://127.0.0.1:1")
try:
    storage.open("users/a/images/b.jpg")
except Exception as error:
    assert type(error).__name__ == "StorageUnavailableError", repr(error)
""",
    "fast": """
assert "cykooz" in str(ImageService.in_memory().check()), ImageService.in_memory().check()
""",
    "heic": """
from userimages.processing import PillowProcessor
PillowProcessor(heic=True)
""",
}
WITH_EXTRA["postgresql"] = WITH_EXTRA["sqlalchemy"]
WITH_EXTRA["all"] = WITH_EXTRA["sqlalchemy"] + WITH_EXTRA["heic"]

FOR_A_PERSON = """
What a person still has to do:
  1. Own the addresses in [project.urls] of pyproject.toml, and enable private vulnerability reports for SECURITY.md.
  2. On PyPI, add a trusted publisher: this repository, the workflow release.yml, the environment pypi.
  3. See the workflows run once: what this machine has no interpreter for, and macOS, only they try.
  4. Run `make torture` (an hour) and `make r2` with a bucket of your own; nobody has done that for you.
  5. In CHANGELOG.md, put the date in place of the word that stands for it, and land that.
  6. git tag -s v{version} && git push origin v{version}: the workflow builds, tests and publishes.
  7. Read the page of the version on PyPI, and install it from there once.
"""


class CheckError(Exception):
    """A part of the check did not hold."""


def run(*command: object, cwd: Path = ROOT, **settings: str) -> str:
    """Run *command*, return what it prints, and fail with the end of it."""
    ours = ("PYTHON", "USERIMAGES_", "R2_", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if corpus := os.environ.get("USERIMAGES_CORPUS"):
        environ["USERIMAGES_CORPUS"] = corpus
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environ | {"UV_PYTHON_DOWNLOADS": "never"} | settings,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise CheckError(f"{' '.join(map(str, command))[:200]} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


class Check:
    """The parts, in order; what one makes the next one uses."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.tests = options.tests
        self.pythons: tuple[str, ...] = tuple(options.python or PYTHONS)
        self.dependencies = options.dependencies
        self.keep = options.keep
        self.sdist = self.wheel = Path()
        self.version = ""

    def build(self) -> str:
        """Build the sdist, and from it the wheel, and look into both."""
        run(BIN / "python", "-m", "build", "--quiet", "--outdir", self.folder / "dist", ROOT)
        (self.sdist,) = (self.folder / "dist").glob("*.tar.gz")
        (self.wheel,) = (self.folder / "dist").glob("*.whl")
        with tarfile.open(self.sdist) as sdist:
            names = {name.partition("/")[2] for name in sdist.getnames()}
        tracked = set(run("git", "ls-files").split())
        lost = sorted(name for name in tracked - names if not name.startswith(NOT_IN_SDIST))
        if lost:
            raise CheckError(f"The sdist lacks {', '.join(lost)}")
        with zipfile.ZipFile(self.wheel) as wheel:
            inside = wheel.namelist()
            (metadata,) = (name for name in inside if name.endswith("METADATA"))
            about = email.message_from_bytes(wheel.read(metadata))
        packaged = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
        if lost := sorted(packaged - set(inside)):
            raise CheckError(f"The wheel lacks {', '.join(lost)}")
        if other := [name for name in inside if not re.match(r"userimages(-[^/]+\.dist-info)?/", name)]:
            raise CheckError(f"The wheel has {', '.join(other)}")
        dead = re.findall(r"\]\((?!https?://|#)([^)]+)\)", str(about.get_payload()))
        if dead:
            raise CheckError(f"On PyPI these links of the README lead nowhere: {', '.join(dead)}")
        run(BIN / "twine", "check", "--strict", self.sdist, self.wheel)
        self.version = str(about["Version"])
        if self.keep:
            shutil.copytree(self.folder / "dist", self.keep, dirs_exist_ok=True)
        return f"{self.wheel.name}, {len(inside)} files; the sdist has all {len(tracked)} that are tracked"

    def changelog(self) -> str:
        """Compare the changelog with the version."""
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        found = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)", text, re.MULTILINE)
        if not found:
            raise CheckError("CHANGELOG.md has no section for a version, such as `## [0.1.0] - 2030-01-01`")
        tagged = re.fullmatch(r"\d+\.\d+\.\d+", self.version)
        if tagged and (self.version != found[1] or not re.fullmatch(r"\d{4}-\d\d-\d\d", found[2])):
            raise CheckError(f"The tag says {self.version}, CHANGELOG.md says {found[1]} of {found[2]}")
        return f"{found[1]} of {found[2]}; the repository says {self.version}"

    def extras(self) -> str:
        """Install the core and each extra by itself, import what it brings, and use it."""
        with zipfile.ZipFile(self.wheel) as wheel:
            (metadata,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
            provided = email.message_from_bytes(wheel.read(metadata)).get_all("Provides-Extra", [])
        if unknown := set(provided) ^ {name for name in BACKENDS if name}:
            raise CheckError(f"This script and pyproject.toml differ in the extras {', '.join(sorted(unknown))}")
        for extra, modules in BACKENDS.items():
            python = self.environment(f"extra-{extra or 'none'}", sys.executable, extra)
            code = FIRST_UPLOAD + "".join(f"import {module}\n" for module in modules) + WITH_EXTRA.get(extra, "")
            folder = self.new_folder(f"use-{extra or 'none'}")
            run(python, "-W", "error", "-c", code, cwd=folder)
            run(python.with_name("userimages"), "--version", cwd=folder)
        return "core alone, " + ", ".join(name for name in BACKENDS if name)

    def types(self) -> str:
        """Ask pyright how much of the public interface has a type, and whether a program of a user passes."""
        python = self.environment("types", sys.executable, "all")
        path = f"{python.parent}:{os.environ['PATH']}"  # pyright asks the first python of the path
        command = (BIN / "pyright", "--verifytypes", "userimages", "--ignoreexternal")
        try:
            text = run(*command, PATH=path)
        except CheckError as failure:  # it ends with 1 below 100 %
            text = str(failure)
        score = re.search(r"completeness score: ([\d.]+)%", text)
        if not score or float(score[1]) < TYPED_PERCENT:
            raise CheckError(f"pyright: {text[-500:]}")
        program = shutil.copy(ROOT / "tests/typing/api.py", self.new_folder("program"))
        run(BIN / "pyright", "--pythonpath", python, program)
        return f"py.typed is found, {score[1]} % of the interface is typed, a program of a user passes"

    def names(self) -> str:
        """Compare the public names with the last tag."""
        tags = run("git", "tag", "--list", "v*", "--sort=-version:refname").split()
        tags = [tag for tag in tags if tag != f"v{self.version}"]
        if not tags:
            return "nothing to compare: there is no tag yet"
        run(BIN / "griffe", "check", "userimages", "--search", "src", "--against", tags[0])
        return f"nothing was broken since {tags[0]}"

    def docs(self) -> str:
        """Build the site; a link or a name that is gone fails it."""
        return run("make", "docs").strip().splitlines()[-1]

    def wheel_tests(self) -> str:
        """Run the tests on the wheel, on each interpreter."""
        found = interpreters(self.pythons)
        if not found:
            raise CheckError(f"No CPython of {', '.join(self.pythons)} is here")
        suites = []
        if self.dependencies != "oldest":
            suites += [(f"newest-{version}", python, False) for version, python in found.items()]
        if self.dependencies != "newest":
            version, python = next(iter(found.items()))
            suites.append((f"oldest-{version}", python, True))
        failures = []
        for name, python, oldest in suites:
            try:
                print(f"      {self.suite(name, python, oldest=oldest)}", flush=True)
            except CheckError as failure:
                failures.append(f"{name}: {failure}")
        if failures:
            raise CheckError("\n".join(failures))
        missing = [version for version in self.pythons if version not in found]
        return ", ".join(name for name, _, _ in suites) + (
            f"; NOT RUN, no interpreter here: {', '.join(missing)}" if missing else ""
        )

    def suite(self, name: str, python: Path, *, oldest: bool) -> str:
        """Run the tests in a folder that has all but the sources."""
        group = [f"--group={ROOT / 'pyproject.toml'}:test"]
        used = self.environment(name, python, "all", *group, *(self.oldest() if oldest else ()))
        folder = self.new_folder(f"tests-{name}")
        for tracked in run("git", "ls-files").split():
            if not tracked.startswith("src/"):
                (folder / tracked).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / tracked, folder / tracked)
        (folder / "src").mkdir()  # a path of pytest's settings
        path = run(used, "-c", "import userimages; print(userimages.__file__)", cwd=folder).strip()
        if "site-packages" not in path:
            raise CheckError(f"The tests would run on {path}")
        command = (used, "-m", "pytest", "-q", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", *self.tests)
        text = run(*command, cwd=folder, USERIMAGES_WHEEL=str(self.wheel))
        return f"{name}: {text.strip().splitlines()[-1].strip('= ')}"

    def oldest(self) -> list[str]:
        """Return requirements that pin each dependency of the wheel to the oldest version that it allows."""
        with zipfile.ZipFile(self.wheel) as wheel:
            (metadata,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
            about = email.message_from_bytes(wheel.read(metadata))
        found = {each.partition(";")[0].strip() for each in about.get_all("Requires-Dist", [])}
        return sorted(each.replace(">=", "==") for each in found if ">=" in each)

    def environment(self, name: str, python: object, extra: str, *more: str) -> Path:
        """Make a virtual environment with the wheel in it, and return its interpreter."""
        venv = self.folder / name
        run(BIN / "uv", "venv", "--quiet", "--seed", "--python", python, venv)  # some tests call pip
        wheel = f"{self.wheel}[{extra}]" if extra else str(self.wheel)
        run(BIN / "uv", "pip", "install", "--quiet", "--python", venv / "bin/python", wheel, *more, cwd=self.folder)
        return venv / "bin/python"

    def new_folder(self, name: str) -> Path:
        """Make an empty folder."""
        folder = self.folder / "folders" / name
        folder.mkdir(parents=True)
        return folder


def interpreters(versions: tuple[str, ...]) -> dict[str, Path]:
    """Return the CPythons of this machine that are of these versions, in their order."""
    found = {}
    for version in versions:
        listed = subprocess.run(
            [BIN / "uv", "python", "find", "--no-project", "--no-python-downloads", "--system", version],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
        )
        of_pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        if listed.returncode == 0 or of_pyenv:
            found[version] = of_pyenv[-1] if of_pyenv else Path(listed.stdout.strip())
    return found


def main() -> int:
    """Run the parts in turn, print a line for each, and return how the check ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="run this part (and `build`, which all need)")
    parser.add_argument("--tests", nargs="+", default=[], metavar="PATH", help="the tests to run on the wheel")
    parser.add_argument("--python", action="append", metavar="X.Y", help="run the tests on this CPython")
    parser.add_argument("--dependencies", choices=["newest", "oldest", "both"], default="both")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="put the sdist and the wheel there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="userimages-release-") as folder:
        check = Check(Path(folder), options)
        parts: list[Callable[[], str]] = [check.build, check.changelog, check.extras, check.types, check.names]
        parts += [check.docs, check.wheel_tests]
        if unknown := set(options.only or ()) - {part.__name__ for part in parts}:
            parser.error(f"no part is called {', '.join(unknown)}: {', '.join(part.__name__ for part in parts)}")
        failed = 0
        for part in parts:
            if options.only and part.__name__ not in {"build", *options.only}:
                continue
            begun = time.monotonic()
            try:
                word, said = "ok  ", part()
            except CheckError as failure:
                word, said = "FAIL", str(failure)
                failed += 1
            print(f"{word}  {part.__name__:12} {said}  ({time.monotonic() - begun:.0f} s)", flush=True)
            if failed and part == check.build:
                break
        print(FOR_A_PERSON.format(version=re.sub(r"\.?dev\d+$", "", check.version) or "0.1.0"))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
