"""Every repository of ours keeps the contract, plain and behind a cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from userimages.ports import ImageRepository
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.testing.repository_contract import RepositoryContract


class TestMemory(RepositoryContract):
    @pytest.fixture
    def repository(self) -> ImageRepository:
        return MemoryRepository()


class TestSQLite(RepositoryContract):
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Iterator[ImageRepository]:
        repository = SQLAlchemyRepository(f"sqlite:///{tmp_path / 'images.db'}")
        repository.create_schema()
        yield repository
        repository.close()


class TestSQLiteInMemory(RepositoryContract):
    @pytest.fixture
    def repository(self) -> Iterator[ImageRepository]:
        repository = SQLAlchemyRepository("sqlite://")
        repository.create_schema()
        yield repository
        repository.close()


class TestPostgreSQL(RepositoryContract):
    @pytest.fixture
    def repository(self, postgresql: str) -> Iterator[ImageRepository]:
        repository = SQLAlchemyRepository(postgresql)
        repository.create_schema()
        yield repository
        repository.close()
