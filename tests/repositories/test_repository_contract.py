"""Every repository of ours keeps the contract, plain and behind a cache."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from userimages.caching import CachingRepository
from userimages.protocols import ImageRepository
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.repository_contract import RepositoryContract


class PicklingCache(dict[str, bytes]):
    """A cache that keeps nothing but bytes, as one in another process would."""

    def get(self, key: str) -> object:  # type: ignore[override]
        return pickle.loads(self[key]) if key in self else None

    def set(self, key: str, value: object, timeout: int) -> None:
        self[key] = pickle.dumps(value)


class PlainAndCached(RepositoryContract):
    @pytest.fixture(params=["plain", "cached"])
    def repository(self, request: pytest.FixtureRequest, plain: ImageRepository) -> ImageRepository:
        return plain if request.param == "plain" else CachingRepository(plain, PicklingCache())


class TestMemory(PlainAndCached):
    @pytest.fixture
    def plain(self) -> ImageRepository:
        return MemoryRepository()


class TestSQLite(PlainAndCached):
    @pytest.fixture
    def plain(self, tmp_path: Path) -> Iterator[ImageRepository]:
        repository = SQLAlchemyRepository(f"sqlite:///{tmp_path / 'images.db'}")
        repository.create_schema()
        yield repository
        repository.close()


class TestSQLiteInMemory(PlainAndCached):
    @pytest.fixture
    def plain(self) -> Iterator[ImageRepository]:
        repository = SQLAlchemyRepository("sqlite://")
        repository.create_schema()
        yield repository
        repository.close()


@pytest.fixture(scope="module")
def shared(postgresql: str) -> Iterator[ImageRepository]:
    """Give one repository to all tests, as a server is shared."""
    repository = SQLAlchemyRepository(postgresql)
    repository.create_schema()
    yield repository
    repository.close()


class TestPostgreSQL(PlainAndCached):
    @pytest.fixture
    def plain(self, shared: ImageRepository) -> ImageRepository:
        return shared
