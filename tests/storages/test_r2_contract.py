"""R2Storage keeps the contract: on moto at R2's own address, and on SeaweedFS, a real S3 server."""

import pytest

from userimages.errors import StorageError
from userimages.storages.r2 import R2Storage
from userimages.testing.storage_contract import StorageContract, keys_of, new_user


class TestR2StorageOnMoto(StorageContract):
    @pytest.fixture
    def storage(self, r2_moto):
        return r2_moto


class TestR2StorageOnSeaweedFS(StorageContract):
    @pytest.fixture
    def storage(self, r2_seaweedfs):
        return r2_seaweedfs

    def test_list_is_in_byte_order_of_the_whole_key(self, storage: R2Storage) -> None:
        """SeaweedFS sorts folder by folder, so the listing must stop rather than mislead an audit."""
        user = new_user()
        for name in ("a", "a-b"):
            storage.put(f"{user}{name}/images/cat.jpg", b"cat", mime_type="image/jpeg")
        with pytest.raises(StorageError, match="byte order"):
            keys_of(storage, user)
