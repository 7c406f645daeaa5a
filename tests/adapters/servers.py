"""Servers in processes of their own, started from the root of the project, and raw sockets to talk to them."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tests.parts import free_port, wait_for_port

ROOT = Path(__file__).parents[2]
MANAGE = "examples/django_app/manage.py"
DJANGO = ["--pythonpath", "examples/django_app", "django.core.wsgi:get_wsgi_application()"]
GUNICORN = ["-m", "gunicorn", "--threads", "8", "-b", "127.0.0.1:{port}"]
# What each server needs to be installed, and what starts it on applications that let everybody in.
SERVERS = {
    "flask run": ("flask", ["-m", "flask", "--app", "tests.adapters.apps:flask_app", "run", "--port", "{port}"]),
    "gunicorn with flask": ("gunicorn", [*GUNICORN, "tests.adapters.apps:flask_app()"]),
    "runserver": ("django", [MANAGE, "runserver", "{port}", "--noreload"]),
    "gunicorn with django": ("gunicorn", [*GUNICORN, *DJANGO]),
    "uvicorn": ("uvicorn", ["-m", "uvicorn", "tests.adapters.apps:fastapi_app", "--factory", "--port", "{port}"]),
}


@attrs.frozen
class Server:
    """A running server: its name, its port, its data folder and the file of what it prints."""

    name: str
    port: int
    data: Path
    log: Path

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, head: str, *parts: bytes, resets: bool = False) -> bytes:
        """Send a request in parts, whatever is answered meanwhile, and return all that comes back.

        With *resets* the server may close a connection of which it has not read everything.
        """
        answer = b""
        with self.connect() as connection, contextlib.suppress(*[ConnectionError] * resets):
            with contextlib.suppress(*[ConnectionError] * resets):
                connection.sendall(request(head))
                for part in parts:
                    connection.sendall(part)
            while received := connection.recv(65536):
                answer += received
        return answer

    def logged(self, words: str) -> str:
        """Wait until the server has printed *words*, and return all that it has printed."""
        deadline = time.monotonic() + 30
        while words not in (printed := self.log.read_text(errors="replace")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert words in printed, printed[-3000:]
        return printed


def request(head: str) -> bytes:
    """Return the first lines of a request that Django's CSRF protection lets through."""
    token = "a" * 32
    also = f"Host: localhost\r\nConnection: close\r\nCookie: csrftoken={token}\r\nX-CSRFToken: {token}\r\n\r\n"
    return f"{head}\r\n{also}".encode()


@contextmanager
def started(command: list[str], needed: str, folder: Path, **settings: str) -> Iterator[Server]:
    """Run *command* in an empty data folder until the block is left."""
    if not os.environ.get("CI"):
        pytest.importorskip(needed)
    ours = ("R2_", "USERIMAGES_", "DJANGO")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"USERIMAGES_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    environ |= {"HOME": str(folder), **settings}
    if MANAGE in command or DJANGO[0] in command:
        environ |= {"DJANGO_SETTINGS_MODULE": "project.settings"}
        subprocess.run([sys.executable, MANAGE, "migrate", "-v0"], cwd=ROOT, env=environ, check=True)
    port = free_port()
    command = [sys.executable, *(part.format(port=port) for part in command)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        wait_for_port(port, process, folder / "log")
        yield Server(needed, port, folder / "data", folder / "log")
    finally:
        process.terminate()
        process.wait(10)
