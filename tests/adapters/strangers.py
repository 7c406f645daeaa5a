"""Somebody who has pip and no checkout: a new virtual environment with the built wheel in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.servers import ROOT


def new_environment(folder: Path, extra: str, *packages: str) -> Path:
    """Install the wheel with *extra* and *packages*, and return the folder of the programs.

    It is the one that ``USERIMAGES_WHEEL`` names, else a new one is built.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = os.environ.get("USERIMAGES_WHEEL")
    if not wheel:
        built = run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], folder)
        if built.returncode and not os.environ.get("CI"):
            pytest.skip(f"no wheel can be built here: {built.stderr[-300:]}")
        assert built.returncode == 0, built.stderr
        (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], folder, check=True)
    run([*pip, "--python", str(venv), "install", f"{wheel}[{extra}]", *packages], folder, check=True)
    return venv / "bin"


def run(command, folder, check=False, **settings):
    """Run *command* as somebody who has no checkout: outside of it, and without its paths."""
    ours = ("PYTHON", "USERIMAGES", "R2_", "DJANGO")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | settings
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=check)
