"""CachingRepository: what it saves, and that nobody reads what is no longer so."""

import json
import logging
import pickle
from collections.abc import Callable
from datetime import UTC
from typing import Any
from uuid import UUID

import attrs
import pytest

from userimages import ConfigurationError, ImageService, RepositoryError
from userimages.caching import CachingRepository
from userimages.model import UserImage
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image
from userimages.testing.records import (
    COVER,
    GALLERY,
    begin_upload,
    delete_one,
    finish_all,
    ids,
    new_image,
    new_user,
    publish,
)


class Cache:
    """A cache that takes text, gives bytes as Redis does, and loses what it is told to lose."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.timeouts: list[int] = []

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: str, timeout: int) -> None:
        self.timeouts.append(timeout)
        self.kept[key] = value.encode()


class Counting(MemoryRepository):
    """Counts its listings, and lets something happen in the middle of one."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0
        self.meanwhile: Callable[[], object] | None = None

    def list(self, user: str, **position: Any) -> Any:
        self.lists += 1
        found = super().list(user, **position)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return found


class Broken:
    """A cache whose server is down."""

    def get(self, key: str) -> Any:
        raise ConnectionError("cache.internal:11211 refused")

    set = get


@pytest.fixture
def inner() -> Counting:
    return Counting()


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def repository(inner: Counting, cache: Cache) -> CachingRepository:
    return CachingRepository(inner, cache)


@pytest.fixture
def image(repository: CachingRepository) -> UserImage:
    return publish(repository, new_image(new_user()), is_primary=True)


@pytest.mark.contract("C29")
@pytest.mark.cost
def test_a_page_that_is_read_again_costs_no_statement(
    repository: CachingRepository, inner: Counting, cache: Cache, image: UserImage
) -> None:
    """A page that is read again costs no statement."""
    pages = [repository.list(image.user, limit=9) for _ in range(5)]
    assert pages == [(image,)] * 5
    assert inner.lists == 1
    assert set(cache.timeouts) == {300}


def test_every_page_is_kept_by_itself(repository: CachingRepository, image: UserImage) -> None:
    """Every page is kept by itself."""
    other = publish(repository, new_image(image.user, COVER))
    position = max((each.uploaded_at, each.id) for each in (image, other))
    for _ in range(2):
        assert len(repository.list(image.user, limit=9)) == 2
        assert len(repository.list(image.user, limit=1)) == 1
        assert ids(repository.list(image.user, limit=9, image_type=GALLERY)) == [image.id]
        assert len(repository.list(image.user, limit=9, after=position)) == 1
        assert repository.list(new_user(), limit=9) == ()


def _replace(repository: CachingRepository, image: UserImage) -> None:
    publish(repository, new_image(image.user), replace=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda repository, image: publish(repository, new_image(image.user)),
        _replace,
        lambda repository, image: repository.set_primary(image.id),
        lambda repository, image: repository.update(image.id, {"caption": "new"}),
        lambda repository, image: delete_one(repository, image.id),
        lambda repository, image: delete_one(repository, image.id, user=image.user),
    ],
    ids=["publish", "replace", "set_primary", "update", "begin_delete", "retire_of_user"],
)
@pytest.mark.contract("C29")
def test_no_reader_sees_a_page_from_before_a_change(
    repository: CachingRepository, inner: Counting, change: Callable[[CachingRepository, UserImage], object]
) -> None:
    """No reader sees a page from before a change."""
    image = publish(repository, new_image(new_user()))
    before = repository.list(image.user, limit=9)
    change(repository, image)
    after = repository.list(image.user, limit=9)
    assert after == inner.list(image.user, limit=9)
    assert after != before


def test_a_change_leaves_the_pages_of_other_users(
    repository: CachingRepository, inner: Counting, image: UserImage
) -> None:
    """A change of one user leaves the pages of others."""
    repository.list(image.user, limit=9)
    publish(repository, new_image(new_user()))
    repository.list(image.user, limit=9)
    assert inner.lists == 1


def test_a_page_being_read_during_a_change_is_lost(
    repository: CachingRepository, inner: Counting, image: UserImage
) -> None:
    """A page that was being read during a change is lost."""
    inner.meanwhile = lambda: repository.update(image.id, {"caption": "new"})
    assert repository.list(image.user, limit=9) == (image,)
    assert repository.list(image.user, limit=9)[0].caption == "new"


def test_a_lost_version_brings_no_old_page_back(repository: CachingRepository, cache: Cache, image: UserImage) -> None:
    """A version that the cache lost brings no old page back."""
    repository.list(image.user, limit=9)
    pages = dict(cache.kept)
    repository.update(image.id, {"caption": "new"})
    cache.kept.clear()
    repository.list(image.user, limit=9)
    cache.kept = {**pages, **cache.kept}
    assert repository.list(image.user, limit=9)[0].caption == "new"


def test_a_change_of_unknown_outcome_renews_the_pages(
    repository: CachingRepository, inner: Counting, image: UserImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change whose outcome is unknown renews the pages."""

    def lost_after_commit(*arguments: object, **options: object) -> None:
        MemoryRepository.publish(inner, *arguments, **options)  # type: ignore[arg-type]
        raise RepositoryError("The connection was lost.")

    assert len(repository.list(image.user, limit=9)) == 1
    monkeypatch.setattr(inner, "publish", lost_after_commit)
    another = new_image(image.user)
    with pytest.raises(RepositoryError):
        repository.publish(begin_upload(repository, another), another, is_primary=False, replace=False)
    assert len(repository.list(image.user, limit=9)) == 2


def test_a_broken_cache_breaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A broken cache breaks nothing, and is logged without a name."""
    repository = CachingRepository(MemoryRepository(), Broken())  # type: ignore[arg-type]
    image = publish(repository, new_image("ana-the-user"), is_primary=True)
    assert repository.list(image.user, limit=9) == (image,)
    assert repository.update(image.id, {"caption": "new"})
    assert delete_one(repository, image.id)
    assert repository.list(image.user, limit=9) == ()
    assert finish_all(repository) == 1
    failures = [record for record in caplog.records if getattr(record, "event", "") == "cache"]
    assert failures
    assert all(record.levelno == logging.WARNING and "ana" not in record.getMessage() for record in failures)


@pytest.mark.parametrize("rubbish", [b"rubbish", b"{}", b"[1]", b"[{}]", b"\xff", b'[{"id": "1"}]', ["list"], 1])
def test_what_is_no_page_is_read_again(
    repository: CachingRepository, cache: Cache, image: UserImage, rubbish: Any
) -> None:
    """What is not a page is read again, and so is what cannot be a version."""
    repository.list(image.user, limit=9)
    cache.kept = dict.fromkeys(cache.kept, rubbish)
    assert repository.list(image.user, limit=9) == (image,)


def test_every_fact_of_a_listing_comes_back(repository: CachingRepository, inner: Counting) -> None:
    """A page from the cache is the page of the repository: variants, meta, dates and the primary flag."""
    user = new_user()
    for meta in ({"alt": "A cät", "tags": [1, None]}, {}):
        publish(repository, attrs.evolve(new_image(user), meta=meta, frames=3, caption='"ä\u2028'), is_primary=True)
    first, second = (repository.list(user, limit=9) for _ in range(2))
    assert inner.lists == 1
    for read, cached in zip((attrs.evolve(each, recipe="") for each in first), second, strict=True):
        assert attrs.asdict(read, recurse=False) == attrs.asdict(cached, recurse=False)
        assert (type(cached.id), cached.uploaded_at.tzinfo) == (UUID, UTC)


def test_values_are_json(repository: CachingRepository, cache: Cache, image: UserImage) -> None:
    """Nothing that comes from the cache can run: a pickle there is not loaded."""

    class Attack:
        def __reduce__(self) -> Any:
            return pytest.fail, ("the cache ran code",)

    repository.list(image.user, limit=9)
    pages = [value for value in cache.kept.values() if value.startswith(b"[")]
    assert [len(json.loads(page)) for page in pages] == [1]
    cache.kept = dict.fromkeys(cache.kept, pickle.dumps(Attack()))
    assert repository.list(image.user, limit=9) == (image,)


def test_two_databases_share_a_cache(cache: Cache) -> None:
    """Each application lists its own images, though users and cache are the same."""
    shop, clinic = (CachingRepository(MemoryRepository(), cache) for _ in range(2))
    image = publish(clinic, new_image("1"))
    for _ in range(2):
        assert clinic.list("1", limit=9) == (image,)
        assert shop.list("1", limit=9) == ()


def test_processes_on_one_database_share_pages(inner: Counting, cache: Cache, image: UserImage) -> None:
    """What one process has cached, another one reads, and sees its changes."""
    one, other = (CachingRepository(inner, cache) for _ in range(2))
    assert one.list(image.user, limit=9) == other.list(image.user, limit=9) == (image,)
    assert inner.lists == 1
    one.update(image.id, {"caption": "new"})
    assert other.list(image.user, limit=9)[0].caption == "new"


def test_keys_name_nobody_and_suit_memcached(repository: CachingRepository, cache: Cache) -> None:
    """Keys name nobody, and suit Memcached."""
    for user in ("ana", "ana b", "Ä" * 150, "x\ny"):
        publish(repository, new_image(user))
        repository.list(user, limit=9)
    for key in cache.kept:
        assert key.isascii()
        assert key.isprintable()
        assert not set(" :") & set(key)
        assert len(key) < 200
        assert "ana" not in key


def test_urls_are_made_new_each_time_and_never_kept(inner: Counting, cache: Cache) -> None:
    """URLs are made new each time and never kept."""
    storage = MemoryStorage()
    repository = CachingRepository(inner, cache)
    before = ImageService(storage, repository, serve_url="/before/{id}")
    image = before.upload("ana", make_image("JPEG", (40, 30)), image_type="gallery")
    assert before.list("ana")[0].url == f"/before/{image.id}"
    after = ImageService(storage, repository, serve_url="/after/{id}")
    assert after.list("ana")[0].url == f"/after/{image.id}"
    assert inner.lists == 1
    assert not any(b"/before/" in value for value in cache.kept.values())


def test_the_cache_of_django_works(inner: Counting) -> None:
    """Django's cache will do."""
    pytest.importorskip("django")
    from django.core.cache.backends.locmem import LocMemCache

    keeps_pages(CachingRepository(inner, LocMemCache("userimages", {})), inner)


def test_a_cache_of_cachelib_works(inner: Counting) -> None:
    """A cache of cachelib will do."""
    cachelib = pytest.importorskip("cachelib")
    keeps_pages(CachingRepository(inner, cachelib.SimpleCache()), inner)


def keeps_pages(repository: CachingRepository, inner: Counting) -> None:
    image = publish(repository, new_image(new_user()))
    for _ in range(3):
        assert repository.list(image.user, limit=9) == (image,)
    assert inner.lists == 1
    delete_one(repository, image.id)
    assert repository.list(image.user, limit=9) == ()


@pytest.mark.parametrize("ttl", [0, -1, 1.5, True, None])
def test_a_ttl_that_is_no_time_is_refused(inner: Counting, cache: Cache, ttl: Any) -> None:
    """A TTL that is not a time is refused."""
    with pytest.raises(ConfigurationError, match="ttl"):
        CachingRepository(inner, cache, ttl=ttl)
