"""R2Storage on moto and on SeaweedFS, each under the check of what is sent."""

import os
from collections.abc import Iterator

import pytest

from userimages.storages.r2 import R2Storage
from userimages.testing.wire_check import WireCheck, check_wire

Checked = tuple[R2Storage, WireCheck]

MOTO_ENVIRON = {
    "R2_ACCOUNT_ID": "account",
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_BUCKET_NAME": "userimages",
    "R2_JURISDICTION": "eu",
    "R2_PUBLIC_DOMAIN": "img.example.com",
}


@pytest.fixture
def moto(_moto_client: Checked, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answer at R2's own address out of this process, from one empty bucket ``userimages``."""
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", R2Storage.from_env(MOTO_ENVIRON).endpoint)
    import boto3
    from moto import mock_aws

    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="userimages")
        yield


@pytest.fixture
def r2_moto(moto: None, _moto_client: Checked) -> Iterator[R2Storage]:
    yield from let_through(_moto_client)


@pytest.fixture
def r2_seaweedfs(_seaweedfs_client: Checked) -> Iterator[R2Storage]:
    yield from let_through(_seaweedfs_client)


@pytest.fixture(scope="session")
def _moto_client() -> Checked:
    if not os.environ.get("CI"):
        pytest.importorskip("moto")
    import moto.core.models  # noqa: F401 - hooks itself into clients that are made from here on

    return checked(R2Storage.from_env(MOTO_ENVIRON))


@pytest.fixture(scope="session")
def _seaweedfs_client(seaweedfs) -> Checked:
    return checked(R2Storage.from_env(seaweedfs.environ()))


def checked(storage: R2Storage) -> Checked:
    """Put the wire check before a storage."""
    return storage, check_wire(storage.client)


def let_through(checked: Checked) -> Iterator[R2Storage]:
    """Yield the storage, and see afterwards that the check had nothing to refuse."""
    storage, check = checked
    yield storage
    assert check.refused == []


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "R2_"))]:
        monkeypatch.delenv(name)
