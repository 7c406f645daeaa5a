"""Parts that tests start or import, and that a stranger's machine may lack."""

import importlib
import os
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync", "--force-color-profile=srgb"]


def needs(name: str) -> ModuleType:
    """Import a part that a stranger's machine may lack: there it skips the test, in CI it fails it."""
    if not os.environ.get("CI"):
        return pytest.importorskip(name)
    with warnings.catch_warnings(action="ignore"):  # as importorskip: what a part thinks of the machine is no failure
        return importlib.import_module(name)


@contextmanager
def chromium() -> Iterator[object]:
    """Start Chromium and give Playwright's browser. Where there is none the test is skipped, in CI it fails."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if os.environ.get("CI"):
        assert path, "no Chromium: apt-get install chromium"
    elif not path:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    playwright = needs("playwright.sync_api")
    playwright.expect.set_options(timeout=15_000)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Start a Redis that keeps nothing, and give its URL. Where there is none the test is skipped, in CI it fails."""
    needs("redis")
    program = shutil.which("redis-server")
    if os.environ.get("CI"):
        assert program, "no Redis: apt-get install redis-server"
    elif not program:
        pytest.skip("no Redis: apt-get install redis-server")
    port, log = free_port(), folder / "redis.log"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the port answers, or fail with the end of the process's log."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])
