from collections.abc import Sequence

import pytest

from userimages import (
    ConflictError,
    ImageNotFoundError,
    ImageService,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
)
from userimages.caching import CachingRepository
from userimages.errors import DatabaseBusyError
from userimages.lifecycle.deletion import BATCH
from userimages.model import Intent, UserDeletion
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import Call, after, before, faulty


class Undeletable(MemoryStorage):
    """A storage that does not delete while *broken*."""

    broken = True

    def delete(self, keys) -> None:
        if self.broken:
            raise StorageUnavailableError("The store did not answer.")
        super().delete(keys)


@pytest.mark.contract("C9")
def test_delete_removes_bytes_and_row(images: ImageService, user: str) -> None:
    """Delete removes bytes and row."""
    image = images.upload(user, b"x", image_type="profile")

    images.delete(image.id)

    assert not images.list(user)
    assert not list(images.storage.list(f"users/{user}/"))
    with pytest.raises(ImageNotFoundError):
        images.delete(image.id)


@pytest.mark.contract("C9")
def test_no_row_is_ever_without_its_file(tiny_processor) -> None:
    """No row is ever without its file."""
    storage = Undeletable()
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)
    image = images.upload("ana", b"x", image_type="profile")

    with pytest.raises(StorageError):
        images.delete(image.id)
    assert not images.list("ana")

    storage.broken = False
    assert images.sweep().failed == 0
    assert not list(storage.list())


def test_deleted_urls_are_told_to_who_purges_a_cdn(tiny_processor) -> None:
    """URLs that were deleted are told to who purges a CDN."""
    purged: list[str] = []
    storage = MemoryStorage(public_url="https://img.example")
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, on_deleted=purged.extend)
    image = images.upload("ana", b"x", image_type="profile")

    images.delete(image.id)

    assert purged == [image.url, *(variant.url for variant in image.variants.values())]


def test_a_failing_purge_does_not_fail_the_deletion(tiny_processor, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by its class alone, and the sweep repeats it."""

    def purge(urls) -> None:
        raise OSError("no route")

    storage = MemoryStorage(public_url="https://img.example")
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, on_deleted=purge)

    images.delete(images.upload("ana", b"x", image_type="profile").id)

    assert not list(storage.list())
    (logged,) = (each for each in caplog.records if each.event == "on_deleted")
    assert (logged.getMessage(), logged.objects) == ("on_deleted failed: OSError", 3)


def test_delete_user_removes_all_and_counts(images: ImageService, user: str) -> None:
    """Delete user removes all and counts."""
    for _ in range(3):
        images.upload(user, b"x", image_type="gallery", is_primary=True)
    other = images.upload(user + "2", b"x", image_type="gallery")

    assert images.delete_user(user) == UserDeletion(3)
    assert images.delete_user(user) == UserDeletion(0)
    assert images.primary(user) is None
    assert not list(images.storage.list(f"users/{user}/"))
    assert images.get(other.id) == other


def test_what_is_uploaded_meanwhile_is_deleted_too(tiny_processor) -> None:
    """A user who uploads while all images go leaves nothing, because passes are repeated until one finds nothing."""
    late = [b"first", b"second"]

    class Meanwhile(MemoryRepository):
        def begin_delete(self, ids, *, user=None) -> Sequence[Intent]:
            intents = super().begin_delete(ids, user=user)
            if late:
                images.upload("ana", late.pop(), image_type="gallery")
            return intents

    images = ImageService(MemoryStorage(), Meanwhile(), processor=tiny_processor)
    images.upload("ana", b"x", image_type="gallery")

    assert images.delete_user("ana") == UserDeletion(3)
    assert len(images.list("ana")) == 0
    assert not list(images.storage.list("users/ana/"))


def test_an_image_that_cannot_go_keeps_no_other(tiny_processor) -> None:
    """One image that cannot be deleted does not keep the others."""

    class Referenced(MemoryRepository):
        def begin_delete(self, ids, *, user=None) -> Sequence[Intent]:
            if kept.id in ids:
                raise ConflictError("A row of yours refers to this image.")
            return super().begin_delete(ids, user=user)

    images = ImageService(MemoryStorage(), Referenced(), processor=tiny_processor)
    uploaded = [images.upload("ana", b"x", image_type="gallery") for _ in range(3)]
    kept = uploaded[1]

    with pytest.raises(ConflictError):
        images.delete_user("ana")

    assert [image.id for image in images.list("ana")] == [kept.id]
    assert images.open(kept.id).read() == b"x"


def test_one_of_two_that_cannot_go_keeps_no_other(tiny_processor) -> None:
    """Two images are enough for a page whose one transaction is refused. The first error is the one that is raised."""
    repository = MemoryRepository()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    kept, gone = (images.upload("ana", b"x", image_type="gallery").id for _ in range(2))

    def refuse(call: Call) -> Sequence[Intent]:
        if kept in call.args[0]:
            raise ConflictError(f"{len(call.args[0])} images.")
        return call.do()

    failing = ImageService(images.storage, faulty(repository, begin_delete=refuse), processor=tiny_processor)
    with pytest.raises(ConflictError, match="1 images"):
        failing.delete_user("ana")
    assert images.get_many([kept, gone]).keys() == {kept}


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("fault", [before, after])
def test_a_lost_answer_is_counted_as_it_was(tiny_processor, caplog, fault, page: int) -> None:
    """What may have been deleted is read again, page by page; the rest of the user goes all the same."""
    caplog.set_level("INFO", logger="userimages")
    repository = MemoryRepository()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    for n in range(BATCH + 2):
        images.upload("ana", b"%d" % n, image_type="gallery")
    lost = faulty(repository, begin_delete=[*[None] * page, fault(RepositoryError("Lost.")), None, None])
    failing = ImageService(images.storage, lost, processor=tiny_processor)
    with pytest.raises(RepositoryError, match="Lost"):
        failing.delete_user("ana")
    assert images.usage("ana").images == 0
    (logged,) = (each for each in caplog.records if each.event == "delete_user" and each.levelname == "WARNING")
    assert logged.images == BATCH + 2


def test_a_busy_database_ends_the_deletion_of_a_user(tiny_processor) -> None:
    """The next page would wait for as long."""
    repository = MemoryRepository()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    for n in range(BATCH + 2):
        images.upload("ana", b"%d" % n, image_type="gallery")
    busy = faulty(repository, begin_delete=[before(DatabaseBusyError("Busy.")), before(AssertionError("asked again"))])
    with pytest.raises(DatabaseBusyError):
        ImageService(images.storage, busy, processor=tiny_processor).delete_user("ana")
    assert images.usage("ana").images == BATCH + 2


@pytest.mark.parametrize(("error", "requests"), [(StorageUnavailableError, 1), (StorageError, 2 + 3 * BATCH // 2)])
def test_what_was_replaced_goes_by_the_hundred(
    tiny_processor, caplog, error: type[StorageError], requests: int
) -> None:
    """A store that is away is asked once. One that refuses is asked for each hundred, and then for each image."""
    repository, asked = MemoryRepository(), []
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    for n in range(3 * BATCH // 2):
        images.upload("ana", b"%d" % n, image_type="cover")

    def fault(call: Call) -> None:
        asked.append(call.args[0])
        raise error("No.")

    caplog.clear()
    failing = ImageService(faulty(images.storage, delete=fault), repository, processor=tiny_processor)
    failing.upload("ana", b"new", image_type="cover", replace=True)
    assert len(asked) == requests
    said = [each.getMessage() for each in caplog.records if each.event == "left_to_sweep"]
    assert said == ["left to the sweep: No."] * (BATCH if requests == 1 else 3 * BATCH // 2)
    assert len(images.list("ana")) == 1


def test_what_a_store_refuses_keeps_no_other_page(tiny_processor) -> None:
    """Its intents are left to the sweep, and the second page goes."""
    repository = MemoryRepository()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    for n in range(BATCH + 2):
        images.upload("ana", b"%d" % n, image_type="gallery")
    storage = faulty(images.storage, delete=[before(StorageError("Locked."))] * (BATCH + 1))
    with pytest.raises(StorageError, match="Locked"):
        ImageService(storage, repository, processor=tiny_processor).delete_user("ana")
    assert images.usage("ana").images == 0
    assert len(repository.list_intents(limit=2 * BATCH)) == BATCH


def test_at_most_a_thousand_keys_are_left(tiny_processor) -> None:
    """What is staged for the user is among them, because it is theirs too."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)
    storage = faulty(images.storage, delete=lambda call: None)
    keys = ("staging/ana/x", *(f"users/ana/images/{n:04}" for n in range(1200)))
    for key in keys:
        images.storage.put(key, b"x", mime_type="image/jpeg")
    locked = ImageService(storage, images.repository, processor=tiny_processor)
    assert locked.delete_user("ana").left == keys[1:1001]
    images.storage.delete(keys[1:])
    assert locked.delete_user("ana").left == keys[:1]


def test_nobody_is_told_of_urls_that_are_not_public(tiny_processor) -> None:
    """A storage without a public domain has nothing to purge."""
    told: list[Sequence[str]] = []
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, on_deleted=told.append)
    images.delete(images.upload("ana", b"x", image_type="cover").id)
    assert told == []


@pytest.mark.parametrize("error", [DatabaseBusyError("Busy."), RepositoryError("Lost.")])
def test_an_intent_that_stays_does_not_fail_a_deletion(tiny_processor, error: RepositoryError) -> None:
    """The image and its bytes are gone, so nobody is told that the database did nothing; the sweep does the rest."""
    repository = MemoryRepository()
    images = ImageService(MemoryStorage(), faulty(repository, finish=[before(error)]), processor=tiny_processor)
    image = images.upload("ana", b"x", image_type="cover")
    images.delete(image.id)
    assert not list(images.storage.list())
    assert images.sweep().finished == 1
    assert not repository.list_intents()


def test_a_cache_is_renewed_after_a_possible_deletion(tiny_processor) -> None:
    """A cache is renewed if a deletion may have been."""

    class Cache(dict):  # type: ignore[type-arg]
        def set(self, key: str, value: object, timeout: int) -> None:
            self[key] = value

    repository = faulty(MemoryRepository(), begin_delete=[after(RepositoryError("Lost."))])
    images = ImageService(MemoryStorage(), CachingRepository(repository, Cache()), processor=tiny_processor)
    images.upload("ana", b"x", image_type="cover")
    assert len(images.list("ana")) == 1
    with pytest.raises(RepositoryError):
        images.delete_user("ana")
    assert len(images.list("ana")) == 0


def test_what_is_deleted_is_never_decided_by_a_cache(tiny_processor) -> None:
    """What is deleted is never decided by a cache."""

    class Cache(dict):  # type: ignore[type-arg]
        def set(self, key: str, value: object, timeout: int) -> None:
            self[key] = value

    storage, repository = MemoryStorage(), MemoryRepository()
    one, other = (
        ImageService(storage, CachingRepository(repository, Cache()), processor=tiny_processor) for _ in range(2)
    )
    assert one.list("ana", limit=BATCH - 1).images == ()  # what a deletion asks for, because a page asks for one more
    other.upload("ana", b"x", image_type="cover")

    assert one.delete_user("ana") == UserDeletion(1)
    assert not list(storage.list())
