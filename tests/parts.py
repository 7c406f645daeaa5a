"""Parts that tests start or import, and that a stranger's machine may lack."""

import importlib
import os
import socket
import subprocess
import time
import warnings
from pathlib import Path
from types import ModuleType

import pytest


def needs(name: str) -> ModuleType:
    """Import a part that a stranger's machine may lack: there it skips the test, in CI it fails it."""
    if not os.environ.get("CI"):
        return pytest.importorskip(name)
    with warnings.catch_warnings(action="ignore"):  # as importorskip: what a part thinks of the machine is no failure
        return importlib.import_module(name)


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
