"""The three examples as their readers start them: a login by name, and a switch that lets anybody in."""

from contextlib import contextmanager

import pytest
from tests.adapters.servers import MANAGE, started
from tests.parts import needs

from userimages.testing import make_image

COMMANDS = {
    "flask": ["-m", "flask", "--app", "examples.flask_app", "run", "--port", "{port}"],
    "django": [MANAGE, "runserver", "{port}", "--noreload"],
    "fastapi": ["-m", "uvicorn", "examples.fastapi_app:create_app", "--factory", "--port", "{port}"],
}


@contextmanager
def running(example, folder, **settings):
    """Run *example* in an empty data folder and yield its URL and the file of what it prints."""
    needs("requests")
    with started(COMMANDS[example], "uvicorn" if example == "fastapi" else example, folder, **settings) as server:
        yield f"http://127.0.0.1:{server.port}", server.log


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
@pytest.mark.contract("C20")
def test_two_browsers_are_two_users_in_every_example(example, tmp_path):
    """Two browsers are two users in every example."""
    with running(example, tmp_path) as (url, log):
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
@pytest.mark.contract("C20")
def test_the_open_switch_lets_anybody_in(example, tmp_path):
    """The open switch lets anybody in, and says so."""
    with running(example, tmp_path, USERIMAGES_EXAMPLE_OPEN="1") as (url, log):
        with person(example, url) as anybody:
            assert upload(anybody, url, "somebody-else").status_code == 200
        assert "USERIMAGES_EXAMPLE_OPEN=1: anyone may see and change" in log.read_text()


@pytest.mark.parametrize("example", ["flask", "django"])
def test_workers_that_start_at_once_share_a_secret(example, request, tmp_path, monkeypatch):
    """The key of the sessions is never seen half written, whoever asks meanwhile, and is its owner's alone."""
    if example == "django":
        request.getfixturevalue("project")
        from project import settings as module
    else:
        needs("flask")
        from examples.flask_app import app as module
    file, others, token = tmp_path / "secret", [], module.secrets.token_hex

    def meanwhile(size):
        if not others:
            others.append("")
            others.append(module._secret_key(file))
        return token(size)

    monkeypatch.setattr(module.secrets, "token_hex", meanwhile)
    key = module._secret_key(file)

    assert len(key) == 64
    assert others[1] == key == module._secret_key(file) == file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]
