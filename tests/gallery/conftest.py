"""The gallery as somebody runs it, and a browser to look at it with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.direct.sites import bucket_of
from tests.parts import chromium, free_port, needs, wait_for_port

from userimages.config import service_from_env
from userimages.testing import make_image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the source of axe-core."""
    return Path(needs("axe_playwright_python").__file__).with_name("axe.min.js").read_text()


def running(folder: Path, **settings: str) -> Iterator[str]:
    """Start ``flask --app examples.flask_app run`` in an empty folder and give its URL."""
    needs("flask")
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "examples.flask_app", "run", "--port", str(port)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_"))}
    with (folder / "log").open("wb") as log:
        environ |= {"USERIMAGES_DATA_DIR": str(folder / "data"), **settings}
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        wait_for_port(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the gallery on disk."""
    yield from running(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def gallery_on_a_store(s3_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Start the gallery on a bucket, and give the bucket too."""
    storage = bucket_of(s3_server)
    folder, settings = tmp_path_factory.mktemp("gallery"), s3_server.environ()
    settings |= {"R2_BUCKET_NAME": storage.bucket_name, "USERIMAGES_DATA_DIR": str(folder / "data")}
    service_from_env(settings).upload("demo", make_image("PNG", (60, 40)), image_type="gallery")  # in place of six
    for url in running(folder, **settings):
        yield url, storage


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Start Chromium."""
    with chromium() as started:
        yield started
