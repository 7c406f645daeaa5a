"""The application of the tutorial does what its page says."""

import importlib.util
import io
import re
import sys
from pathlib import Path

import pytest

from userimages.cli import main
from userimages.testing import make_image

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-gallery.md"


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Write the adapter and the application as the page says, and give a browser."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (application,) = (block for block in blocks if "flask.Flask" in block)
    (tmp_path / "app.py").write_text(application, encoding="utf-8")
    main(["adapter", "flask", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "userimages_flask", raising=False)
    spec = importlib.util.spec_from_file_location("tutorial_app", tmp_path / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.app.test_client()
    sys.modules.pop("userimages_flask", None)
    module.images.repository.close()


def sent(client, data, **fields):
    """Upload by the form of the page and return the page that follows."""
    form = {"image": (io.BytesIO(data), "a.jpg"), **fields}
    return client.post("/upload", data=form, follow_redirects=True).text


def test_the_gallery_of_the_tutorial_works(client):
    """Sign in, upload a picture and an avatar twice, be refused a text, and delete."""
    client.post("/login", data={"name": "ana"})
    assert "The lake" in sent(client, make_image("JPEG", (120, 90)), caption="The lake")
    for _ in range(2):
        page = sent(client, make_image("JPEG", (90, 90)), avatar="on")
    assert (page.count("<figure>"), page.count('class="avatar"')) == (2, 1)
    assert 'role="alert">The file is' in sent(client, b"hello")

    for url in re.findall(r'src="([^"]+)"', page):
        assert client.get(url).status_code == 200
    for action in re.findall(r'action="(/delete/[^"]+)"', page):
        assert client.post(action).status_code == 302
    assert "<figure>" not in client.get("/").text
