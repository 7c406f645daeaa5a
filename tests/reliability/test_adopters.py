"""The library inside real applications: each way of use works, or fails with what to do."""

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rig

from userimages import ImageService, RepositoryError
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import faults
from userimages.testing.faults import faulty

ADOPTERS = Path(__file__).parent / "adopters"


def needs(name: str) -> None:
    """Skip where a part is missing; in CI that is a failure."""
    if importlib.util.find_spec(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name} here: pip install {name}")
        pytest.skip(f"no {name} here: pip install {name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/db.sqlite3"
    return request.getfixturevalue("own_database")


@pytest.fixture
def repository(url: str) -> Iterator[SQLAlchemyRepository]:
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    yield repository
    repository.close()


def test_django_with_atomic_requests_and_a_foreign_key(url: str, tmp_path: Path) -> None:
    """Django with atomic requests and a foreign key of its own."""
    needs("django")
    from sqlalchemy import make_url

    parts = make_url(url)
    database: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.database}
    if parts.get_backend_name() == "postgresql":
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": parts.database, "USER": parts.username}
        database["HOST"] = parts.query["host"]
    command = [sys.executable, str(ADOPTERS / "django_app.py"), url, json.dumps(database), str(tmp_path / "objects")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_an_engine_shared_with_the_application(url: str) -> None:
    """The pool of five is shared too."""
    from sqlalchemy import QueuePool, create_engine, text

    engine = create_engine(url, poolclass=QueuePool, pool_size=5, max_overflow=0, pool_timeout=0.2)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=rig.instant_processor)
    users = [rig.new_user() for _ in range(20)]
    connections = [engine.connect() for _ in range(4)]
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda user: images.upload(user, b"x", image_type="cover", is_primary=True), users))
    connections.append(engine.connect())
    with pytest.raises(RepositoryError, match="pool larger"):
        images.upload(users[0], b"x", image_type="cover")
    for each in connections:
        assert each.execute(text("SELECT 1")).scalar() == 1, "the application's connections are as they were"
        each.close()
    assert all(len(rig.check_whole(images, user)) == 1 for user in users)
    rig.check_nothing_left(images, users)
    engine.dispose()


def test_an_application_writes_to_the_same_sqlite_file(tmp_path: Path) -> None:
    """The application writes to the same SQLite file."""
    file = tmp_path / "db.sqlite3"
    repository = SQLAlchemyRepository(f"sqlite:///{file}")
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=rig.instant_processor)
    user = rig.new_user()
    with sqlite3.connect(file) as application:
        application.execute("CREATE TABLE visits (n INTEGER)")
    application.close()

    def visit() -> None:
        connection = sqlite3.connect(file, timeout=30)
        for n in range(50):
            with connection:
                connection.execute("INSERT INTO visits VALUES (?)", [n])
        connection.close()

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for each in visitors:
        each.start()
    for n in range(20):
        images.upload(user, bytes([n]), image_type="gallery", is_primary=True)
    for each in visitors:
        each.join()
    assert len(rig.check_whole(images, user)) == 20
    repository.close()


def test_a_long_transaction_on_sqlite_is_a_clear_error(tmp_path: Path) -> None:
    """A long transaction on the same SQLite file is an error that says so."""
    from sqlalchemy import create_engine

    file = tmp_path / "db.sqlite3"
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 0.05})
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=rig.instant_processor)
    user = rig.new_user()
    application = sqlite3.connect(file, isolation_level=None)
    application.execute("BEGIN IMMEDIATE")
    with pytest.raises(RepositoryError, match="long transaction"):
        images.upload(user, b"x", image_type="cover")
    application.execute("COMMIT")
    application.close()
    images.upload(user, b"x", image_type="cover")
    rig.check_nothing_left(images, [user])
    engine.dispose()


@contextmanager
def running(command: list[str], environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for a while, and end it with its children."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment(url: str, folder: Path, server: Any = None) -> dict[str, str]:
    settings = {"USERIMAGES_DATABASE_URL": url, "USERIMAGES_DATA_DIR": str(folder)}
    others = ("R2_", "USERIMAGES_", "DJANGO_")  # tests of the adapters leave a Django project behind
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | settings | (server.environ() if server else {})


def until(ready: Any, log: Path) -> Any:
    """Ask again until there is an answer; a server's log tells why there is none."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if answer := ready():
                return answer
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def test_a_transaction_that_has_read_cannot_write(tmp_path: Path) -> None:
    """SQLite gives a reader that turns writer its lock only if nobody has written since it began to read."""
    file = tmp_path / "db.sqlite3"
    repository = SQLAlchemyRepository(f"sqlite:///{file}")
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=rig.instant_processor)
    application = sqlite3.connect(file, isolation_level=None, timeout=30)
    application.execute("CREATE TABLE visits (n INTEGER)")

    for reads_first in (False, True):
        application.execute("BEGIN")
        if reads_first:
            application.execute("SELECT * FROM visits").fetchall()
        images.upload("ana", b"x", image_type="gallery")
        if reads_first:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                application.execute("INSERT INTO visits VALUES (1)")
        else:
            application.execute("INSERT INTO visits VALUES (1)")
        application.execute("ROLLBACK")
    application.close()
    repository.close()
    assert len(images.list("ana")) == 2


PAIRS = [("sqlite", "disk"), ("postgresql", "s3")] + [("sqlite", "s3"), ("postgresql", "disk")] * rig.TORTURE


@pytest.mark.parametrize(("url", "store"), PAIRS, indirect=["url"])
def test_a_worker_that_times_out_in_an_upload(
    url: str, repository: SQLAlchemyRepository, store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Both workers were forked after the service was made and used."""
    needs("gunicorn")
    server = request.getfixturevalue("seaweedfs") if store == "s3" else None
    environ = environment(url, tmp_path, server)
    log, bound = tmp_path / "log", tmp_path / "port"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "--workers=2",
        "--timeout=2",
        "--graceful-timeout=1",
        "--chdir",
        str(ADOPTERS),
    ]
    command += [f"--bind=unix:{bound}", "workers:application"]
    user, hung = rig.new_user(), rig.new_user()
    with running(command, environ, log):
        # The first answer, because the socket is there before the server listens on it.
        answers = [until(lambda: ask(bound, f"/?user={user}&data=first"), log)]
        with ThreadPoolExecutor(4) as pool:
            while len({answer.split()[0] for answer in answers}) < 2:  # until both workers have answered
                assert len(answers) < 400
                numbers = range(len(answers), len(answers) + 12)
                answers += pool.map(lambda n: ask(bound, f"/?user={user}&data={n}"), numbers)
        with pytest.raises(OSError, match="no answer"):
            ask(bound, f"/hang?user={hung}&data=x")
        assert ask(bound, f"/?user={user}&data=after").split()[1]
    storage = made_storage(store, server, tmp_path)
    clock = rig.Clock()
    images = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)
    assert len(rig.check_whole(images, user)) == len(answers) + 1
    assert not images.list(hung)
    assert list(storage.list(f"users/{hung}/")), "the first of its objects was there"
    rig.sweep_twice(images, clock)
    rig.check_nothing_left(images, [user, hung])
    images.delete_user(user)
    images.delete_user("parent")


def ask(path: Path, target: str) -> str:
    """Send one request to a Unix socket and return the body of the answer."""
    import http.client
    import socket

    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read().decode()
    except http.client.HTTPException as exc:
        raise OSError("no answer") from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"no answer but {answer.status}: {body}")
    return body


def made_storage(store: str, server: Any, folder: Path) -> Any:
    if store == "disk":
        return DiskStorage(folder / "objects")
    from userimages.storages.r2 import R2Storage

    return R2Storage.from_env(server.environ())


@pytest.mark.parametrize("url", ["sqlite", "postgresql"] if rig.TORTURE else ["postgresql"], indirect=True)
def test_a_celery_prefork_worker(url: str, repository: SQLAlchemyRepository, tmp_path: Path) -> None:
    """A Celery prefork worker."""
    needs("celery")
    for name in ("broker", "control", "results"):
        (tmp_path / name).mkdir()
    environ = environment(url, tmp_path)
    celery = [sys.executable, "-m", "celery", "--workdir", str(ADOPTERS), "--app", "workers:jobs"]
    worker = [*celery, "worker", "--pool=prefork", "--concurrency=2", "--without-mingle", "--without-gossip"]
    user, log = rig.new_user(), tmp_path / "log"
    send = f"from workers import upload\nfor n in range(8): upload.delay({user!r}, str(n))"
    with running([*worker, "--loglevel=warning"], environ, log):
        subprocess.run([sys.executable, "-c", send], check=True, env=environ, cwd=ADOPTERS, capture_output=True)
        images = ImageService(DiskStorage(tmp_path / "objects"), repository, processor=rig.instant_processor)
        until(lambda: len(images.list(user)) == 8, log)
    rig.check_whole(images, user)
    rig.check_nothing_left(images, [user], root=tmp_path / "objects")


def test_a_week_without_a_sweep_costs_only_its_work(
    repository: SQLAlchemyRepository, tmp_path: Path, clock: rig.Clock
) -> None:
    """A week without a sweep costs nothing but its work."""
    storage, user = DiskStorage(tmp_path / "objects"), rig.new_user()
    images = ImageService(storage, repository, processor=rig.instant_processor, clock=clock)
    dying = ImageService(
        storage,
        faulty(repository, publish=faults.before(KeyboardInterrupt())),
        processor=rig.instant_processor,
        clock=clock,
    )
    broken = ImageService(
        faulty(storage, delete=faults.before(faults.TIMED_OUT)),
        repository,
        processor=rig.instant_processor,
        clock=clock,
    )
    for day in range(7):
        for n in range(10):
            with pytest.raises(KeyboardInterrupt):
                dying.upload(user, b"%d %d" % (day, n), image_type="gallery", idempotency_key=f"{day} {n}")
            image = images.upload(user, b"%d %d" % (day, n), image_type="cover")
            with pytest.raises(type(faults.TIMED_OUT)):
                broken.delete(image.id)
        clock.move(days=1)
        again = images.upload(user, b"%d 0" % day, image_type="gallery", idempotency_key=f"{day} 0")
        assert again.id in {each.id for each in images.list(user)}, "an old try does not hold its key"
    assert len(rig.check_whole(images, user)) == 7
    report = images.sweep()
    assert (report.finished, report.claimed, report.failed) == (140, 0, 0)
    rig.check_nothing_left(images, [user], root=tmp_path / "objects")
