"""The gallery as somebody runs it, and a browser to look at it with."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def needs(name: str) -> ModuleType:
    """Import what a stranger's machine may lack: there it skips the test, in CI it fails it."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the source of axe-core."""
    return Path(needs("axe_playwright_python").__file__).with_name("axe.min.js").read_text()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start ``flask --app examples.flask_app run`` in an empty folder and return its URL."""
    needs("flask")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("gallery")
    command = [sys.executable, "-m", "flask", "--app", "examples.flask_app", "run", "--port", str(port)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_"))}
    with (folder / "log").open("wb") as log:
        environ["USERIMAGES_DATA_DIR"] = str(folder / "data")
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Start Chromium; where there is none the tests are skipped, in CI they fail."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if os.environ.get("CI"):
        assert path, "no Chromium: apt-get install chromium"
    elif not path:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    playwright = needs("playwright.sync_api")
    playwright.expect.set_options(timeout=15_000)
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
