"""The application on each kind of store, a browser, and what the npm registry has."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.direct.sites import Site, allow, bucket_of, serve
from tests.parts import chromium

from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage

UPPY = 'export { default as Uppy } from "@uppy/core"; export { default as AwsS3 } from "@uppy/aws-s3";'
INSTALL = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "@uppy/core@6", "@uppy/aws-s3@6", "esbuild@0.28"]
PACK = ["pack", "uppy@5", "filepond@4"]
BUNDLE = ["node_modules/.bin/esbuild", "uppy.js", "--bundle", "--global-name=uppy6", "--outfile=bundle.js"]


@pytest.fixture(scope="module", params=["memory", "disk", "seaweedfs"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give the application on a store in memory, on disk, and on an S3 server of another origin."""
    if request.param == "seaweedfs":
        storage: Any = bucket_of(request.getfixturevalue("s3_server"))
    else:
        storage = MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path_factory.mktemp("objects"))
    for each in serve(storage):
        if request.param == "seaweedfs":
            allow(storage, each.url)
        yield each


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """Open the page in a browser of its own."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(site.url)
    yield page
    context.close()


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Get Uppy, the one before and FilePond from the npm registry, each as one script; skip where there is none."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: the recipes for Uppy and FilePond are not run")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    (folder / "uppy.js").write_text(UPPY)
    for command in ([npm, *INSTALL], [npm, *PACK], BUNDLE):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"npm gives no packages: {done.stderr.strip()[-200:]}")

    def packed(name: str, path: str) -> bytes:
        (file,) = folder.glob(f"{name}-*.tgz")
        with tarfile.open(file) as archive:
            return archive.extractfile(f"package/dist/{path}").read()

    return {
        "uppy6": (folder / "bundle.js").read_bytes() + b"\nconst { Uppy, AwsS3 } = uppy6;",
        "uppy5": packed("uppy", "uppy.min.js") + b"\nconst { Uppy: Core, AwsS3 } = Uppy; Uppy = Core;",
        "filepond": packed("filepond", "filepond.min.js"),
    }
