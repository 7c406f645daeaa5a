"""The storages without a server keep the contract."""

import pytest

from userimages.errors import KeyTakenError
from userimages.storages.by_type import ByType
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.mirror import MirrorStorage
from userimages.testing.storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self):
        return MemoryStorage()


class TestPublicMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self):
        return MemoryStorage(public_url="https://img.example.com/")


class TestDiskStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path):
        return DiskStorage(tmp_path, public_url="https://img.example.com")


class TestByType(StorageContract):
    """Its keys have types, and some have none; one storage may hold several types."""

    @pytest.fixture
    def storage(self, tmp_path):
        shared = MemoryStorage(public_url="https://img.example.com")
        return ByType({"gallery": DiskStorage(tmp_path), "profile": shared, "cover": shared})


class TestMirrorStorage(StorageContract):
    """Of two that differ in everything."""

    @pytest.fixture
    def storage(self, tmp_path):
        return MirrorStorage(DiskStorage(tmp_path), MemoryStorage(public_url="https://img.example.com"))


@pytest.mark.contract("C3")
@pytest.mark.parametrize("make", [lambda _: MemoryStorage(), DiskStorage], ids=["memory", "disk"])
def test_a_key_is_never_overwritten(tmp_path, make):
    """A key is never overwritten."""
    storage = make(tmp_path)
    storage.put("users/ana/images/cat.jpg", b"cat", mime_type="image/jpeg")

    with pytest.raises(KeyTakenError):
        storage.put("users/ana/images/cat.jpg", b"dog", mime_type="image/jpeg")
    with storage.open("users/ana/images/cat.jpg") as stream:
        assert stream.read() == b"cat"
