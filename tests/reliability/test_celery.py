"""A rebuild on Celery and Redis, as the example does it, while workers are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import psycopg
import pytest
import rig
from tests.parts import needs, redis

from userimages import ImageService
from userimages.processing import PillowProcessor
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.testing import make_image

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery_app"
IMAGES = int(os.environ.get("USERIMAGES_TORTURE_IMAGES", "20000")) if rig.TORTURE else 300
USERS = 100
_PATIENCE = 3600 if rig.TORTURE else 240  # seconds: a machine at work is slow, and a lost task comes back late


@attrs.define
class Crew:
    """Workers of the example on one database and one broker, of which any may be killed."""

    environ: dict[str, str]
    log: Path
    running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def start(self) -> None:
        """Start a worker with two processes, in a process group of its own."""
        command = [sys.executable, "-m", "celery", "--workdir", str(EXAMPLE), "--app", "tasks", "worker"]
        command += ["--concurrency=2", "--without-mingle", "--without-gossip", "--loglevel=warning"]
        with self.log.open("ab") as log:
            self.running.append(
                subprocess.Popen(command, env=self.environ, stdout=log, stderr=log, start_new_session=True)
            )

    def send(self, task: str) -> None:
        """Send a task of the example."""
        code = f"import tasks; tasks.{task}.delay()"
        subprocess.run([sys.executable, "-c", code], check=True, env=self.environ, cwd=EXAMPLE, capture_output=True)

    def kill_a_process(self) -> None:
        """Kill a process of a pool, in the middle of its task."""
        pools = [child for worker in self.running for child in children(worker.pid)]
        if pools:
            os.kill(random.choice(pools), signal.SIGKILL)
        else:  # the workers have just been started
            self.kill_a_worker()

    def kill_a_worker(self) -> None:
        """Kill a worker with all its processes, as a machine that goes down, and start another one."""
        self.end(self.running.pop(0), signal.SIGKILL)
        self.start()

    def stop(self) -> None:
        """End all workers, after the tasks that they have begun."""
        while self.running:
            self.end(self.running.pop())

    def end(self, worker: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
        """End a worker and its processes."""
        os.killpg(worker.pid, how)
        worker.wait(30)


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def workers(url: str, folder: Path) -> Iterator[Crew]:
    """Give a crew on a Redis of its own. A task whose worker was killed is given to another after a second."""
    needs("celery")
    with redis(folder) as broker:
        others = ("R2_", "USERIMAGES_", "DJANGO_")  # Celery would set up the Django of another test
        environ = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        environ |= {"USERIMAGES_DATABASE_URL": url, "USERIMAGES_DATA_DIR": str(folder), "REDIS_URL": broker}
        environ |= {"REBUILD_PAGE": "10", "VISIBILITY_TIMEOUT": "1"}
        crew = Crew(environ, folder / "log")
        try:
            yield crew
        finally:
            for worker in crew.running:
                crew.end(worker, signal.SIGKILL)


def picture(n: int) -> bytes:
    """Return a picture of 64 pixels that no other *n* gives."""
    return make_image("JPEG", (64, 64), seed=n)


def upload_all(images: ImageService) -> None:
    """Upload the pictures, of a hundred users."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: images.upload(f"u{n % USERS}", picture(n), image_type="gallery"), range(IMAGES)))


@attrs.define
class Churn:
    """Uploads by the old recipe and deletions, until it is told to stop."""

    images: ImageService
    stop: threading.Event = attrs.field(factory=threading.Event)
    uploaded: int = 0
    deleted: int = 0

    def __call__(self) -> None:
        """Upload a picture and delete another one, again and again."""
        while not self.stop.is_set():
            user = f"u{random.randrange(USERS)}"
            self.images.upload(user, picture(IMAGES + self.uploaded), image_type="gallery")
            self.uploaded += 1
            for image in self.images.list(f"u{random.randrange(USERS)}", limit=5)[4:]:
                self.images.delete(image.id)
                self.deleted += 1


@attrs.frozen
class Remaining:
    """How many images still have variants of the old recipe."""

    connection: psycopg.Connection
    recipe: str

    def __call__(self) -> int:
        """Count them."""
        query = "SELECT count(*) FROM userimages_images WHERE recipe = %s"
        (count,) = self.connection.execute(query, [self.recipe]).fetchone() or (0,)
        return int(count)

    def wait_for(self, most: int, crew: Crew) -> None:
        """Wait until at most so many are left.

        Redis gives the tasks of the dead to others when a worker starts, and every 100 seconds: so start one.
        """
        fewest, since, end = self(), time.monotonic(), time.monotonic() + _PATIENCE
        while (count := self()) > most:
            assert time.monotonic() < end, f"{count} are left\n" + crew.log.read_text(errors="replace")[-3000:]
            if count < fewest:
                fewest, since = count, time.monotonic()
            elif time.monotonic() > since + 5:
                crew.start()
                since = time.monotonic()
            time.sleep(0.005)


def kill_on_the_way(crew: Crew, remaining: Remaining) -> int:
    """Kill processes of a worker and whole workers while there is work, and return how many."""
    if not rig.TORTURE:
        for left, kill in ((250, crew.kill_a_process), (170, crew.kill_a_worker), (90, crew.kill_a_worker)):
            remaining.wait_for(left, crew)
            kill()
        return 3
    kills = 0
    while (count := remaining()) > IMAGES // 20:
        remaining.wait_for(count - IMAGES // 200, crew)  # every few seconds
        random.choice([crew.kill_a_process, crew.kill_a_process, crew.kill_a_worker])()
        kills += 1
    return kills


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes of a worker are read from /proc")
def test_killed_workers_lose_nothing(own_database: str, tmp_path: Path, clock: rig.Clock) -> None:
    """Every image is rebuilt and whole, though workers are killed; after a day no old object is left.

    In the long form, uploads and deletions go on meanwhile.
    """
    repository = SQLAlchemyRepository(own_database)
    repository.create_schema()
    processor = PillowProcessor()
    images = ImageService(DiskStorage(tmp_path / "objects"), repository, processor=processor, clock=clock)
    upload_all(images)
    churn = Churn(images)
    with (
        workers(own_database, tmp_path) as crew,
        psycopg.connect(own_database, autocommit=True) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        remaining = Remaining(connection, processor.recipe_id("gallery"))
        for _ in range(1 + rig.TORTURE):
            crew.start()
        crew.send("rebuild")
        began = time.monotonic()
        if rig.TORTURE:
            going_on = pool.submit(churn)
        try:
            kills = kill_on_the_way(crew, remaining)
        finally:
            churn.stop.set()
        if rig.TORTURE:
            going_on.result()
            crew.send("rebuild")  # for what came meanwhile
        remaining.wait_for(0, crew)
        rig.count("seconds of a rebuild while workers were killed", round(time.monotonic() - began))
        console = [sys.executable, "-m", "userimages", "--app", "tasks:images", "rebuild", "--json"]
        done = subprocess.run(console, env=crew.environ, cwd=EXAMPLE, capture_output=True, text=True, check=True)
        crew.stop()
    listed = {id: image for n in range(USERS) for id, image in rig.check_whole(images, f"u{n}").items()}
    assert json.loads(done.stdout) == {"rebuilt": 0, "current": len(listed), "failed": [], "stopped_at": None}
    assert len(listed) == IMAGES + churn.uploaded - churn.deleted
    assert {tuple(image.variants) for image in listed.values()} == {("320", "640", "1280", "card")}
    for what, number in (("kills", kills), ("uploads", churn.uploaded), ("deletions", churn.deleted)):
        rig.count(f"{what} beside a rebuild on Celery", number)
    clock.move(hours=25)
    rig.sweep_twice(images, clock)
    assert list(rig.check_whole(images, "u0")) == [id for id, image in listed.items() if image.user == "u0"]
    rig.check_nothing_left(images, [f"u{n}" for n in range(USERS)], root=tmp_path / "objects")
    repository.close()
