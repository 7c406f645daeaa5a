"""The page ``docs/how-to/moving.md`` is followed block by block, while another process uploads and deletes."""

import hashlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import rig
from aged import Aged

from userimages import ImageService, Storage
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.mirror import MirrorStorage
from userimages.storages.r2 import R2Storage
from userimages.testing import instant_processor

PAGE = Path(__file__).parents[2] / "docs/how-to/moving.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

START = """\
from userimages.config import service_from_env

images = service_from_env()
"""
TRAFFIC = """\
import contextlib, random, signal, sys, threading
import myapp
from userimages import ImageNotFoundError
from userimages.testing import make_image

stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
mine, common = [], sys.argv[1:]
while not stopped.wait(0.05):  # so that the commands have the machine, too
    picture = make_image("PNG", (40, 30), seed=random.randrange(10**6))
    image = myapp.images.upload(f"u{random.randrange(5)}", picture, image_type="gallery")
    print("+", image.id, flush=True)
    mine.append(image.id)
    if len(mine) > 2:
        id = mine.pop(random.randrange(len(mine))) if not common or random.random() < 0.5 else common.pop()
        print("?", id, flush=True)
        with contextlib.suppress(ImageNotFoundError):  # the application that is just being stopped has deleted it
            myapp.images.delete(id)
        print("-", id, flush=True)
"""


@attrs.define
class Machine:
    """A folder with the application, its environment, and the process that works on it."""

    folder: Path
    environ: dict[str, str]
    kill_first: Callable[[], bool]
    there: set[str] = attrs.field(factory=set)
    gone: set[str] = attrs.field(factory=set)
    kills: int = 0
    orphans: int = 0
    _traffic: subprocess.Popen[str] | None = None

    def deploy(self, app: str) -> None:
        """Start the new application, and then stop the old one: for a while both work."""
        (self.folder / "myapp.py").write_text(app)
        old, self._traffic = self._traffic, None
        self.start()
        if old:
            self._end(old)

    def start(self) -> None:
        """Let a process upload and delete, also images that others have uploaded, and wait until it does."""
        if self._traffic is None:
            common = random.sample(sorted(self.there), len(self.there) // 3)
            command = [sys.executable, "-c", TRAFFIC, *common]
            self._traffic = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert self._traffic.stdout
            first = self._traffic.stdout.readline()
            assert first, self._traffic.communicate()[1]
            self._note(first)

    def stop(self) -> None:
        """Stop the application."""
        if self._traffic:
            self._end(self._traffic)
        self._traffic = None

    def run(self, line: str, expected: str) -> None:
        """Run a command of the page, in the second place if the first try is killed, and compare what it prints."""
        line = re.sub(r"\$(\w+)", lambda found: self.environ[found[1]], line)
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.environ[name] = value
            return
        command = shlex.split(line)
        if command[0] == "python":
            self.stop()
        if killed := command[0] != "rm" and self.kill_first():
            self._run_and_kill(command)
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if not killed:
            assert re.fullmatch(_pattern(expected), done.stdout), f"{line}\n{done.stdout}\n{done.stderr}"

    def _run_and_kill(self, command: list[str]) -> None:
        """Let a command run for a part of the time that it needs, then kill it."""
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(random.uniform(0.2, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            self.kills += 1
        process.wait()

    def _end(self, traffic: subprocess.Popen[str]) -> None:
        killed = self.kill_first()
        traffic.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
        out, errors = traffic.communicate(timeout=60)
        self.kills += killed
        assert killed or traffic.returncode == 0, errors
        for line in out.splitlines():
            self._note(line)

    def _note(self, line: str) -> None:
        what, _, id = line.strip().partition(" ")
        assert what in {"+", "?", "-"}, line
        (self.there.add if what == "+" else self.there.discard)(id)
        if what == "-":
            self.gone.add(id)


def _pattern(expected: str) -> str:
    """Return what output matches: a zero is a zero, other numbers may be any."""
    return re.sub(r"(?<![\w,])[1-9][\d,]*(?!\w)", "[0-9,]+", re.escape(expected).replace(r"\,", ","))


@pytest.fixture
def machine(tmp_path: Path, seaweedfs: Any, new_database: Callable[[], str]) -> Iterator[Machine]:
    """Give an application that has begun on the disk and SQLite, and a bucket and a database that are empty."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_"))}
    environ |= seaweedfs.environ() | {"USERIMAGES_STORAGE": "disk"}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}", "NEW_DATABASE_URL": new_database()}
    machine = Machine(tmp_path, environ, lambda: False)
    yield machine
    if machine._traffic:
        machine._traffic.kill()
        machine._traffic.communicate()


def contents(storage: Storage) -> dict[str, str]:
    """Return the SHA-256 of every object."""
    found = {}
    for each in storage.list("users/"):
        with storage.open(each.key) as stream:
            found[each.key] = hashlib.sha256(stream.read()).hexdigest()
    return found


def check_stores(machine: Machine, url: str, first: Storage, second: Storage | None) -> None:
    """Check with nothing under way that every image is whole, that both stores are equal, and what types they have."""
    machine.stop()
    repository = SQLAlchemyRepository(url)
    storage = MirrorStorage(first, second) if second else first
    clock = rig.Clock()
    rig.sweep_twice(ImageService(storage, repository, processor=instant_processor, clock=clock), clock)
    rows = repository.list_by_key(limit=1000)
    named = {part.key: part for image in rows for part in (image, *image.variants.values())}
    if machine.kills:  # what a copy has put and was killed before it could take it back
        aged = ImageService(Aged(storage), repository, processor=instant_processor)
        machine.orphans += aged.audit(delete=True, max_share=1.0).deleted
    for each in filter(None, (first, second)):
        assert contents(each) == {key: part.sha256 for key, part in named.items()}
        if isinstance(each, R2Storage):
            for key, part in named.items():
                head = each.client.head_object(Bucket=each.bucket_name, Key=key)
                assert head["ContentType"] == part.mime_type
    listed = {str(image.id) for image in rows}
    assert machine.there <= listed
    assert not machine.gone & listed
    assert repository.list_intents() == ()
    repository.close()


@pytest.mark.parametrize("seed", [None, *range(10)] if rig.TORTURE else [None])
def test_the_page_is_followed_literally(machine: Machine, seed: int | None) -> None:
    """There and, in full, back. With a seed, each command and each process may be killed at any moment."""
    dice = random.Random(seed)
    environ = machine.environ
    sqlite = f"sqlite:///{machine.folder}/userimages-data/userimages.sqlite3"
    bucket_environ = {name: value for name, value in environ.items() if name.startswith("R2_")}
    for name in bucket_environ:
        del environ[name]
    machine.deploy(START)
    environ |= bucket_environ
    del environ["USERIMAGES_STORAGE"]
    if seed is not None:
        machine.kill_first = lambda: dice.random() < 0.6
    bucket = R2Storage.from_env(bucket_environ)
    database, stores = sqlite, None

    text = PAGE.read_text().replace("postgresql://app@db.example.com/app", environ["NEW_DATABASE_URL"])
    blocks = [(kind, block) for kind, block in BLOCK.findall(text) if kind == "console" or block.startswith("# ")]
    assert len(blocks) == 15
    for kind, block in blocks if rig.TORTURE else blocks[:8]:
        if kind == "python":
            name, _, code = block.partition("\n")
            if name == "# move.py":
                (machine.folder / "move.py").write_text(code)
                continue
            if stores and "MirrorStorage" not in code:
                machine.stop()
                check_stores(machine, database, *stores)
            machine.deploy(code)
            mirror = re.search(r"MirrorStorage\((\w+), (\w+)\)", code)
            disk = DiskStorage(machine.folder / "userimages-data/objects") if "DiskStorage" in code else None
            names = {"disk": disk, "bucket": bucket}
            stores = tuple(names[each] for each in mirror.groups()) if mirror else (disk or bucket, None)
            continue
        for command in block.split("$ ")[1:]:
            line, _, expected = command.partition("\n")
            machine.run(line, expected)
        machine.start()
        database = environ.get("USERIMAGES_DATABASE_URL", sqlite)
        database = database.replace("sqlite:///user", f"sqlite:///{machine.folder}/user")
    assert stores
    check_stores(machine, database, *stores)
    rig.count("kills while the page on moving is followed", machine.kills)
    rig.count("objects that a killed copy left and the audit deleted", machine.orphans)
