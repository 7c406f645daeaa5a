"""The pytest plugin: fixtures whose names begin with ``userimages_``, nothing autouse."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from userimages.repositories.memory import MemoryRepository
    from userimages.service import ImageService
    from userimages.storages.memory import MemoryStorage


@pytest.fixture
def userimages_storage() -> "MemoryStorage":
    """Give an empty storage in memory."""
    from userimages.storages.memory import MemoryStorage

    return MemoryStorage()


@pytest.fixture
def userimages_repository() -> "MemoryRepository":
    """Give an empty repository in memory."""
    from userimages.repositories.memory import MemoryRepository

    return MemoryRepository()


@pytest.fixture
def userimages_service(
    userimages_storage: "MemoryStorage", userimages_repository: "MemoryRepository"
) -> "ImageService":
    """Give a service in memory, on the two fixtures above."""
    from userimages.service import ImageService

    return ImageService(userimages_storage, userimages_repository)
