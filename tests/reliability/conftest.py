"""The places on which the proofs run, and how long: USERIMAGES_TORTURE=1 runs everything and prints the figures."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from userimages import Storage

sys.path.insert(0, str(Path(__file__).parent))

import rig

PAIRS = ["sqlite+disk", "postgresql+s3"] + ["postgresql+disk", "sqlite+s3"] * rig.TORTURE

PROOFS = ("tests/reliability/", "tests/repositories/test_races.py")


@pytest.fixture(params=PAIRS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[rig.Place]:
    """Give each pair of a database and a store in turn, both empty and of this test alone."""
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    database, store = request.param.split("+")
    url = request.getfixturevalue("own_database") if database == "postgresql" else f"sqlite:///{tmp_path}/db.sqlite3"
    if store == "s3":
        storage = request.getfixturevalue("bucket")
    else:
        from userimages.storages.disk import DiskStorage

        storage = DiskStorage(tmp_path / "objects")
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    yield rig.Place(request.param, storage, repository, url, None if store == "s3" else tmp_path / "objects")
    repository.close()


@pytest.fixture
def bucket(seaweedfs: Any, s3_storage: Storage) -> Storage:
    """Give the storage on the S3 server, with an empty bucket."""
    return s3_storage


@pytest.fixture
def clock() -> rig.Clock:
    """Give a clock that stands still until it is moved."""
    return rig.Clock()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the proofs."""
    if rig.FIGURES:
        terminalreporter.section("figures")
        for what, number in sorted(rig.FIGURES.items()):
            terminalreporter.write_line(f"{number:10,} {what}")
        failed = terminalreporter.stats.get("failed", [])
        violations = sum(report.nodeid.startswith(PROOFS) for report in failed)
        terminalreporter.write_line(f"{violations:10,} violations")
