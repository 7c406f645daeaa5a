"""Processes, not only threads, at the same rows at once."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.records import new_image, new_user, publish

RACING = Path(__file__).with_name("racing.py")
CALLERS, CALLS = (32, 500) if os.environ.get("USERIMAGES_TORTURE") else (4, 100)


def race(url: str, runners: Sequence[tuple[str, int]], ids: Sequence[object] = ()) -> None:
    """Start one process for each (verb, number), let them go at once, and expect all to end well."""
    commands = [[sys.executable, str(RACING), url, verb, str(number), *map(str, ids)] for verb, number in runners]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for command in commands]  # type: ignore[call-overload]
    try:
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        failures = [
            stderr[-2000:] for _, stderr in (process.communicate(timeout=600) for process in processes) if stderr
        ]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert not failures, failures[0][-2000:]


@pytest.mark.contract("C10")
def test_set_primary_by_processes_always_shows_one(url: str, repository: SQLAlchemyRepository) -> None:
    """It never fails, and never shows two primaries or none."""
    user = new_user()
    images = [publish(repository, new_image(user), is_primary=True) for _ in range(4)]
    race(url, [*[("set_primary", CALLS)] * CALLERS, ("watch", CALLS)], [image.id for image in images])
    assert len(repository.primaries([user])) == 1


def test_create_schema_by_processes_at_once(url: str) -> None:
    """Create schema by processes at once."""
    race(url, [("create_schema", 3)] * 4)
    repository = SQLAlchemyRepository(url)
    assert repository.missing_schema() == ()
    repository.close()
