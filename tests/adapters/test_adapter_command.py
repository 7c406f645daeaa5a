"""``userimages adapter``, the two smallest applications, and the path of a stranger who only has pip."""

import ast
import json
from pathlib import Path

import pytest
from tests.adapters.servers import ROOT, started
from tests.adapters.strangers import new_environment, run
from tests.parts import needs

from userimages.cli import main
from userimages.cli.adapter import FRAMEWORKS
from userimages.testing import make_image

STRANGERS_APPLICATION = """
import flask
from userimages_flask import create_blueprint

from userimages.config import service_from_env
from userimages.testing import make_image

app = flask.Flask(__name__)
app.secret_key = "of a test"
images = service_from_env()


def authorize(request, action, user):
    if "user" not in flask.session:
        flask.abort(401)
    return flask.session["user"] == user


@app.post("/login/<name>")
def login(name):
    flask.session["user"] = name
    return "Hello!"


app.register_blueprint(create_blueprint(images, authorize=authorize))
client = app.test_client()
assert client.get("/api/user_images/ana/").status_code == 401
client.post("/login/ana")
with open("cat.jpg", "wb") as file:
    file.write(make_image())
with open("cat.jpg", "rb") as file:
    fields = {"username": "ana", "image_type": "gallery", "image": file}
    assert client.post("/api/upload_user_image/", data=fields).status_code == 200
listed = client.get("/api/user_images/ana/").json["images"]
assert client.get(listed[0]["url"]).data.startswith(b"\\xff\\xd8")
print(len(listed))
"""


def files(folder):
    found = (each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts)
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_files_of_an_adapter_are_written(framework, tmp_path, capsys):
    """Each file says where it is from, is Python still, and keeps its docstring."""
    assert main(["adapter", framework, str(tmp_path / "app")]) == 0
    printed = capsys.readouterr().out
    written = files(tmp_path / "app")

    assert written
    for name, text in written.items():
        assert name.startswith(f"userimages_{framework}")
        assert text.startswith(f"# Written by `userimages adapter {framework}` of userimages 0.".encode())
        assert b"\r" not in text
        assert ast.get_docstring(ast.parse(text)) or name.endswith(
            ("__init__.py", "apps.py", "admin.py", "0001_initial.py")
        )
        assert f"wrote {tmp_path / 'app' / name}" in printed
    assert "Next: " in printed


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_there_is_never_overwritten(framework, tmp_path, capsys):
    """If one file is there, whichever it is, none is written: also where it is a link that leads nowhere."""
    main(["adapter", framework, str(tmp_path / "first")])
    for number, name in enumerate(files(tmp_path / "first")):
        folder = tmp_path / str(number)
        file = folder / name
        file.parent.mkdir(parents=True)
        file.symlink_to("nowhere") if number % 2 else file.write_bytes(b"mine")
        before = files(folder)
        capsys.readouterr()

        assert main(["adapter", framework, str(folder)]) == 2
        assert f"{file} is there already" in capsys.readouterr().err
        assert files(folder) == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    """A file in place of the folder is an error of one line, and nothing is left behind."""
    (tmp_path / "app").write_bytes(b"")

    assert main(["adapter", "django", str(tmp_path / "app")]) == 2
    assert "cannot be written: Not a directory." in capsys.readouterr().err
    assert main(["adapter", "flask", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(tmp_path / "new/userimages_flask.py")]}


MINIMAL = {
    "flask": ["-m", "flask", "--app", "examples/flask_minimal/app.py", "run", "--port", "{port}"],
    "fastapi": ["-m", "uvicorn", "--app-dir", "examples/fastapi_minimal", "app:app", "--port", "{port}"],
}


@pytest.mark.parametrize("framework", MINIMAL)
@pytest.mark.contract("C20")
def test_the_smallest_applications_ask_for_a_password(framework, tmp_path):
    """A stranger is answered with 401, ana uploads and lists, and nobody sees what is hers."""
    requests = needs("requests")
    needed = "uvicorn" if framework == "fastapi" else "flask"
    with started(MINIMAL[framework], needed, tmp_path) as server, requests.Session() as session:
        url = f"http://127.0.0.1:{server.port}"
        list_of_ana = f"{url}/api/user_images/ana/"
        assert session.get(list_of_ana, timeout=30).status_code == 401
        if framework == "flask":
            wrong = session.post(f"{url}/login", data={"name": "ben", "password": ""}, timeout=30)
            right = session.post(f"{url}/login", data={"name": "ana", "password": "change me"}, timeout=30)
            assert (wrong.status_code, right.status_code, right.json()["count"]) == (401, 200, 0)
        else:
            session.auth = ("ana", "wrong")
            assert session.get(list_of_ana, timeout=30).status_code == 401
            session.auth = ("ana", "change me")
        answer = session.post(
            f"{url}/api/upload_user_image/",
            data={"username": "ana", "image_type": "gallery"},
            files={"image": ("cat.jpg", make_image())},
            timeout=30,
        )
        assert answer.status_code == 200
        assert session.get(list_of_ana, timeout=30).json()["images"] == [answer.json()["image"]]
        assert session.get(f"{url}/api/user_images/ben/", timeout=30).status_code == 403


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return a folder with a new virtual environment in it that has the built wheel and Flask, and nothing of here."""
    folder = tmp_path_factory.mktemp("stranger")
    new_environment(folder, "flask>=3.1", extra="sqlalchemy")
    return folder


def test_a_stranger_with_pip_alone_lists_a_picture(stranger):
    """Install the wheel, write the adapter, write an application of 20 lines, upload and list."""
    bin = stranger / "venv/bin"
    written = run([str(bin / "userimages"), "adapter", "flask", "."], stranger)
    (stranger / "app.py").write_text(STRANGERS_APPLICATION)
    done = run([str(bin / "python"), "app.py"], stranger)

    assert written.returncode == 0, written.stderr
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_wheel_and_a_checkout_write_the_same(framework, stranger, tmp_path):
    """The wheel has the adapters that the checkout has, whatever an editable install has copied somewhere.

    Only the line with the version may differ, because an editable install keeps the version of its day.
    """
    main(["adapter", framework, str(tmp_path)])
    run([str(stranger / "venv/bin/userimages"), "adapter", framework, f"of-{framework}"], stranger, check=True)

    of_wheel, of_checkout = (files(folder) for folder in (stranger / f"of-{framework}", tmp_path))
    below = {name: data.partition(b"\n")[2] for name, data in of_wheel.items()}
    assert below == {name: data.partition(b"\n")[2] for name, data in of_checkout.items()}


def test_an_editable_install_reads_the_checkout(tmp_path):
    """A copy that the installer made is stale after the first edit, so the files of the checkout count."""
    import userimages

    if "site-packages" in userimages.__file__:
        pytest.skip("not an editable install")
    main(["adapter", "flask", str(tmp_path)])
    source = Path(ROOT, "examples/flask_minimal/userimages_flask.py").read_bytes()

    assert (tmp_path / "userimages_flask.py").read_bytes().endswith(source)
