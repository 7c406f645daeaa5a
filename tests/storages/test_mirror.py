"""MirrorStorage: which of the two is asked, and what is left if one of them fails."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from userimages import ImageService, KeyTakenError, ObjectNotFoundError, StorageError, StorageUnavailableError
from userimages.keys import staging_key
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.mirror import MirrorStorage
from userimages.storages.r2 import R2Storage
from userimages.testing import instant_processor
from userimages.testing.faults import TIMED_OUT, after, before, faulty

KEY = "users/ana/images/profile_1795000000000000_aaaaaabbbbbbbbbbbbbbbb.jpg"
REFUSED = StorageError("The store denied access.", hint="Grant write access.")


@pytest.fixture
def first() -> MemoryStorage:
    return MemoryStorage(public_url="https://old.example.com")


@pytest.fixture
def second() -> MemoryStorage:
    return MemoryStorage(public_url="https://new.example.com")


def keys(storage: object) -> list[str]:
    return [found.key for found in storage.list()]  # type: ignore[attr-defined]


def test_both_hold_what_was_put(first, second) -> None:
    """Both hold what was put, and the first has the URL."""
    storage = MirrorStorage(first, second)
    storage.put(KEY, b"cat", mime_type="image/jpeg")
    assert keys(first) == keys(second) == keys(storage) == [KEY]
    assert storage.url(KEY) == first.url(KEY)
    storage.delete([KEY])
    assert keys(first) == keys(second) == []


def test_what_the_first_lacks_is_read_from_the_second(first, second) -> None:
    """It is listed, too, and deleted, because what can be read must be found."""
    storage, other = MirrorStorage(first, second), KEY.replace("ana", "ben")
    second.put(KEY, b"cat", mime_type="image/jpeg")
    first.put(other, b"dog", mime_type="image/jpeg")
    assert storage.open(KEY, start=1, length=1).read() == b"a"
    assert keys(storage) == [KEY, other]
    storage.delete([KEY, other])
    with pytest.raises(ObjectNotFoundError):
        storage.open(KEY)


def test_the_second_is_not_asked_if_the_first_has_it(first, second) -> None:
    """The second is not asked if the first has it."""
    storage = MirrorStorage(first, faulty(second, open=before(TIMED_OUT)))
    storage.put(KEY, b"cat", mime_type="image/jpeg")
    assert storage.open(KEY).read() == b"cat"
    with pytest.raises(StorageUnavailableError):
        storage.open(KEY.replace("ana", "ben"))


@pytest.mark.parametrize(
    "fault", [before(REFUSED), before(TIMED_OUT), after(TIMED_OUT)], ids=["refused", "not done", "done"]
)
@pytest.mark.parametrize("position", [0, 1])
def test_an_upload_fails_if_one_store_does(first, second, position: int, fault) -> None:
    """Nothing is listed, and after two sweeps neither store holds anything."""
    now = datetime.now(UTC)
    stores = [first, second]
    stores[position] = faulty(stores[position], put=[fault, None, fault])
    repository = MemoryRepository()
    images = ImageService(MirrorStorage(*stores), repository, processor=instant_processor, clock=lambda: now)
    with pytest.raises(StorageError):
        images.upload("ana", b"x", image_type="profile")
    assert len(images.list("ana")) == 0
    for hours in (1, 3):
        later = now + timedelta(hours=hours)
        ImageService(MirrorStorage(first, second), repository, clock=lambda later=later: later).sweep()
    assert (keys(first), keys(second), repository.list_intents()) == ([], [], ())


def test_the_first_refuses_what_the_second_has_taken(first, second) -> None:
    """So an object may be left: the error says that it may have happened, and keeps the advice."""
    storage = MirrorStorage(faulty(first, put=before(REFUSED)), second)
    with pytest.raises(StorageUnavailableError, match=r"denied access\. Grant write access\."):
        storage.put(KEY, b"cat", mime_type="image/jpeg")
    assert keys(second) == [KEY]


@pytest.mark.parametrize("position", [0, 1])
def test_other_bytes_in_one_of_them_are_refused(first, second, position: int) -> None:
    """Other bytes in one of them are refused."""
    (first, second)[position].put(KEY, b"dog", mime_type="image/jpeg")
    with pytest.raises(KeyTakenError):
        MirrorStorage(first, second).put(KEY, b"cat", mime_type="image/jpeg")
    assert (first, second)[position].open(KEY).read() == b"dog"


@pytest.mark.parametrize("position", [0, 1])
def test_a_deletion_is_tried_in_both(first, second, position: int) -> None:
    """A deletion is tried in both."""
    stores = [first, second]
    MirrorStorage(*stores).put(KEY, b"cat", mime_type="image/jpeg")
    stores[position] = faulty(stores[position], delete=[before(REFUSED)])
    storage = MirrorStorage(*stores)
    with pytest.raises(StorageError, match="denied"):
        storage.delete([KEY])
    assert [keys(first), keys(second)] == [[KEY] * (position == number) for number in (0, 1)]
    storage.delete([KEY])
    assert keys(storage) == []


def test_of_two_failures_the_unknown_one_is_raised(first, second) -> None:
    """Then nobody asks a store again at once that does not answer."""
    storage = MirrorStorage(faulty(first, delete=before(REFUSED)), faulty(second, delete=before(TIMED_OUT)))
    with pytest.raises(StorageUnavailableError):
        storage.delete([KEY])


def test_the_proof_of_a_deletion_counts_both(first, second) -> None:
    """What is left in the second store alone is left."""
    images = ImageService(MirrorStorage(first, second), MemoryRepository(), processor=instant_processor)
    images.upload("ana", b"x", image_type="profile")
    second.put(KEY, b"stray", mime_type="image/jpeg")
    assert images.delete_user("ana").left == (KEY,)


def test_what_is_staged_is_in_the_first_alone(first, second) -> None:
    """The second may be a public bucket. After a change of direction a ticket is still good."""
    signer = UrlSigner(["a-key-of-at-least-32-characters-1234"])
    repository = MemoryRepository()
    images = ImageService(MirrorStorage(first, second), repository, processor=instant_processor, signer=signer)
    ticket = images.begin_upload("ana", size_bytes=3, mime_type="image/jpeg")
    images.storage.put(staging_key("ana", ticket.id), b"cat", mime_type="image/jpeg")
    assert (len(keys(first)), keys(second)) == (1, [])
    turned = ImageService(MirrorStorage(second, first), repository, processor=instant_processor, signer=signer)
    assert turned.finish_upload("ana", ticket.id, image_type="cover").id == ticket.id
    turned.delete_user("ana")
    assert (keys(first), keys(second)) == ([], [])


def test_a_refusal_of_what_is_staged_is_known(first, second) -> None:
    """A refusal of what is staged is known."""
    storage = MirrorStorage(faulty(first, put=before(REFUSED)), second)
    with pytest.raises(StorageError) as refused:
        storage.put("staging/ana/1", b"cat", mime_type="image/jpeg")
    assert type(refused.value) is StorageError


def test_it_signs_a_put_if_the_first_does(first, tmp_path: Path) -> None:
    """It signs a put if the first does."""
    r2 = R2Storage(account_id="0" * 32, access_key_id="id", secret_access_key="secret", bucket_name="images")
    assert MirrorStorage(r2, first).sign_put == r2.sign_put
    assert not hasattr(MirrorStorage(DiskStorage(tmp_path), r2), "sign_put")


def test_the_check_tries_both(first, second) -> None:
    """One that cannot be written is named by a line."""
    refusing = faulty(second, put=before(REFUSED))
    checked = ImageService(MirrorStorage(first, refusing), MemoryRepository()).check()
    assert [line.ok for line in checked.checks if line.name == "write"] == [True, False]


def test_it_shows_both_and_no_secret(first) -> None:
    """It shows both and no secret."""
    r2 = R2Storage(account_id="0" * 32, access_key_id="id", secret_access_key="hush", bucket_name="images")
    shown = repr(MirrorStorage(first, r2))
    assert shown.startswith("MirrorStorage(MemoryStorage(")
    assert "hush" not in shown
