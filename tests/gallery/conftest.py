"""The gallery as somebody runs it, and a browser to look at it with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.parts import chromium, free_port, needs, wait_for_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the source of axe-core."""
    return Path(needs("axe_playwright_python").__file__).with_name("axe.min.js").read_text()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start ``flask --app examples.flask_app run`` in an empty folder and return its URL."""
    needs("flask")
    port = free_port()
    folder = tmp_path_factory.mktemp("gallery")
    command = [sys.executable, "-m", "flask", "--app", "examples.flask_app", "run", "--port", str(port)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_"))}
    with (folder / "log").open("wb") as log:
        environ["USERIMAGES_DATA_DIR"] = str(folder / "data")
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        wait_for_port(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Start Chromium."""
    with chromium() as started:
        yield started
