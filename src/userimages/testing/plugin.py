"""The pytest plugin: three fixtures, none of them autouse.

Imports are inside the fixtures, because pytest loads the plugin in every run.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from userimages.repositories.memory import MemoryRepository
    from userimages.service import ImageService
    from userimages.storages.memory import MemoryStorage


@pytest.fixture
def userimages_storage() -> "MemoryStorage":
    """Return an empty storage in memory."""
    from userimages.storages.memory import MemoryStorage

    return MemoryStorage()


@pytest.fixture
def userimages_repository() -> "MemoryRepository":
    """Return an empty repository in memory."""
    from userimages.repositories.memory import MemoryRepository

    return MemoryRepository()


@pytest.fixture
def userimages_service(
    userimages_storage: "MemoryStorage", userimages_repository: "MemoryRepository"
) -> "ImageService":
    """Return a service on the storage and the repository of the other two fixtures."""
    from userimages.service import ImageService

    return ImageService(userimages_storage, userimages_repository)
