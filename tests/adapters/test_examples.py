"""The three examples as their readers start them: a login by name, and a switch that lets anybody in."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from userimages.testing import make_image

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "flask": ["-m", "flask", "--app", "examples.flask_app", "run", "--port", "{port}"],
    "django": ["examples/django_app/manage.py", "runserver", "{port}", "--noreload"],
    "fastapi": ["-m", "uvicorn", "examples.fastapi_app:create_app", "--factory", "--port", "{port}"],
}


@contextmanager
def started(example, folder, **settings):
    """Run *example* in an empty data folder and yield its URL and the file of what it prints."""
    if not os.environ.get("CI"):
        pytest.importorskip("uvicorn" if example == "fastapi" else example)
        pytest.importorskip("requests")
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_", "DJANGO"))
    }
    environ |= {"USERIMAGES_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1", **settings}
    if example == "django":
        subprocess.run(
            [sys.executable, "examples/django_app/manage.py", "migrate", "-v0"], cwd=ROOT, env=environ, check=True
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in COMMANDS[example])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not answers(port) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", folder / "log"
    finally:
        process.terminate()
        process.wait(10)


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def person(example, url, name=None):
    """Return a session of somebody who opened the page and, with *name*, signed in."""
    import requests

    session = requests.Session()
    session.get(f"{url}/favicon.ico" if example == "flask" else url, timeout=30)  # Flask's page waits for its pictures
    if token := session.cookies.get("csrftoken"):
        session.headers["X-CSRFToken"] = token
    if name:
        assert session.post(f"{url}/login", data={"name": name}, timeout=30, allow_redirects=False).is_redirect
    return session


def upload(session, url, user):
    fields = {"username": user, "image_type": "profile", "is_primary": "true"}
    return session.post(
        f"{url}/api/upload_user_image/", data=fields, files={"image": ("me.jpg", make_image())}, timeout=30
    )


@pytest.mark.parametrize("example", COMMANDS)
def test_c20_two_browsers_are_two_users_in_every_example(example, tmp_path):
    with started(example, tmp_path) as (url, log):
        with person(example, url, "ana") as ana, person(example, url, "ben") as ben:
            image = upload(ana, url, "ana").json()["image"]
            assert ana.get(url + image["url"], timeout=30).headers["Content-Type"] == "image/jpeg"
            assert ben.get(url + image["url"], timeout=30).status_code == 404
            assert upload(ben, url, "ana").status_code == 403
            assert ben.get(f"{url}/api/user_images/ana/", timeout=30).status_code == 403
            assert ben.delete(f"{url}/api/user_image/{image['id']}/delete/", timeout=30).status_code == 404
            assert ana.get(f"{url}/api/user_images/ana/", timeout=30).json()["images"] == [image]
            served = ana.get(url + image["url"], timeout=30)
            assert "Set-Cookie" not in served.headers
        assert "USERIMAGES_EXAMPLE_OPEN" not in log.read_text()


@pytest.mark.parametrize("example", COMMANDS)
def test_c20_the_open_switch_lets_anybody_in_and_says_so(example, tmp_path):
    with started(example, tmp_path, USERIMAGES_EXAMPLE_OPEN="1") as (url, log):
        with person(example, url) as anybody:
            assert upload(anybody, url, "somebody-else").status_code == 200
        assert "USERIMAGES_EXAMPLE_OPEN=1: anyone may see and change" in log.read_text()
