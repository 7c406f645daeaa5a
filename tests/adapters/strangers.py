"""Somebody who has pip and no checkout: a new virtual environment with the built wheel in it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.adapters.servers import ROOT

PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def new_environment(folder: Path, *packages: str, extra: str = "") -> Path:
    """Install the wheel and *packages* into an environment of their own, and return the folder of its programs.

    With an *extra*, pip installs all that they need, too. Without one, what they need is imported from the environment
    of these tests, because to install Django again takes ten seconds.
    """
    wheel, venv = built_wheel(folder), folder / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], folder, check=True)
    wanted = [f"{wheel}[{extra}]"] if extra else ["--no-deps", wheel]
    run([*PIP, "--python", str(venv), "install", *wanted, *packages], folder, check=True)
    if not extra:
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "ours.pth").write_text("\n".join({sysconfig.get_path(name) for name in ("purelib", "platlib")}))
    return venv / "bin"


def built_wheel(folder: Path) -> str:
    """Return the wheel that ``USERIMAGES_WHEEL`` names, else build one in *folder*."""
    if named := os.environ.get("USERIMAGES_WHEEL"):
        return named
    built = run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], folder)
    if built.returncode and not os.environ.get("CI"):
        pytest.skip(f"no wheel can be built here: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return str(wheel)


def run(command, folder, check=False, **settings):
    """Run *command* as somebody who has no checkout: outside of it, and without its paths."""
    ours = ("PYTHON", "USERIMAGES", "R2_", "DJANGO")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | settings
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=check)
