"""The gallery as somebody runs it, and a browser to look at it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start ``flask --app examples.flask_app run`` in an empty folder and return its URL."""
    if not os.environ.get("CI"):
        pytest.importorskip("flask")
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
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
