"""A repository that breaks one sentence of the contract is noticed, whichever it is."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest

from userimages.errors import ConflictError
from userimages.model import Intent, PublishResult, UserImage
from userimages.repositories.memory import MemoryRepository
from userimages.testing.repository_contract import RepositoryContract

Break = Callable[..., Any]
BREAKS: dict[str, dict[str, Break]] = {}


def breaks(method: str) -> Callable[[Break], Break]:
    """Register a function that stands in for *method* of a good repository, which it is given first."""

    def register(wrong: Break) -> Break:
        BREAKS.setdefault(method, {})[wrong.__name__] = wrong
        return wrong

    return register


def failures(repository_of: Callable[[], Any]) -> Iterator[str]:
    """Run the whole contract, each test on a new repository; yield the names of the tests that fail."""
    contract = RepositoryContract()
    for name in dir(contract):
        if name.startswith("test_"):
            try:
                getattr(contract, name)(repository_of())
            except (Exception, pytest.fail.Exception):
                yield name


def broken(method: str, wrong: Break) -> MemoryRepository:
    """Return a good repository with one method that is *wrong*."""

    class Broken(MemoryRepository):
        pass

    def stand_in(self: MemoryRepository, *arguments: Any, **options: Any) -> Any:
        return wrong(super(Broken, self), *arguments, **options)

    setattr(Broken, method, stand_in)
    return Broken()


@breaks("begin_upload")
def looks_at_no_image(good: Any, intent: Intent, *, now: datetime) -> None:
    made = good.begin_upload(intent, now=now)
    if made is not None:
        good.begin_upload(attrs.evolve(intent, idempotency_key=None), now=now)


@breaks("begin_upload")
def inserts_nothing(good: Any, intent: Intent, *, now: datetime) -> None:
    if intent.idempotency_key is not None:
        return good.begin_upload(intent, now=now)
    return None


@breaks("begin_upload")
def compares_no_input(good: Any, intent: Intent, *, now: datetime) -> Any:
    return good.begin_upload(attrs.evolve(intent, input_sha256="c" * 64), now=now)


@breaks("begin_upload")
def takes_the_key_from_the_living(good: Any, intent: Intent, *, now: datetime) -> Any:
    return good.begin_upload(intent, now=now + timedelta(days=1))


@breaks("begin_upload")
def frees_no_key(good: Any, intent: Intent, *, now: datetime) -> Any:
    return good.begin_upload(intent, now=now - timedelta(days=1))


@breaks("begin_upload")
def forgets_the_key(good: Any, intent: Intent, *, now: datetime) -> Any:
    return good.begin_upload(attrs.evolve(intent, idempotency_key=None), now=now)


@breaks("begin_upload")
def inserts_before_it_refuses(good: Any, intent: Intent, *, now: datetime) -> Any:
    try:
        return good.begin_upload(intent, now=now)
    except ConflictError:
        good.begin_upload(attrs.evolve(intent, idempotency_key=None), now=now)
        raise


@breaks("publish")
def publishes_what_was_taken(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    published = good.publish(intent, image, **how)
    if published is None and good.get(image.id) is None:
        again = attrs.evolve(intent, id=image.id, idempotency_key=None)
        good.begin_upload(again, now=intent.lease_until)
        published = good.publish(again, image, **how)
    return published


@breaks("publish")
def leaves_the_intent(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    published = good.publish(intent, image, **how)
    if published is not None:
        good.begin_upload(attrs.evolve(intent, idempotency_key=None), now=intent.lease_until)
    return published


@breaks("publish")
def makes_nothing_primary(good: Any, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Any:
    return good.publish(intent, image, is_primary=False, replace=replace)


@breaks("publish")
def makes_everything_primary(good: Any, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Any:
    return good.publish(intent, image, is_primary=True, replace=replace)


@breaks("publish")
def makes_the_first_primary(good: Any, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Any:
    first = not good.list(image.user, limit=1)
    return good.publish(intent, image, is_primary=is_primary or first, replace=replace)


@breaks("publish")
def replaces_nothing(good: Any, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Any:
    return good.publish(intent, image, is_primary=is_primary, replace=False)


@breaks("publish")
def replaces_every_type(good: Any, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> Any:
    published = good.publish(intent, image, is_primary=is_primary, replace=replace)
    if published and replace:
        others = [good.begin_delete(each.id) for each in good.list(image.user, limit=99) if each.id != image.id]
        return PublishResult(published.image, (*published.replaced, *others))
    return published


@breaks("publish")
def keeps_urls(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    published = good.publish(intent, image, **how)
    return published and attrs.evolve(published, image=attrs.evolve(published.image, url=image.url))


@breaks("get")
def finds_anybody_s(good: Any, id: UUID, *, user: str | None = None) -> Any:
    return good.get(id)


@breaks("get")
def finds_nothing_with_a_user(good: Any, id: UUID, *, user: str | None = None) -> Any:
    return good.get(id) if user is None else None


@breaks("get")
def forgets_who_is_primary(good: Any, id: UUID, *, user: str | None = None) -> Any:
    found = good.get(id, user=user)
    return found and attrs.evolve(found, is_primary=False)


@breaks("list")
def lists_the_oldest_first(good: Any, user: str, *, limit: int, **narrower: Any) -> Any:
    return good.list(user, limit=10_000, **narrower)[::-1][:limit]


@breaks("list")
def leaves_ties_open(good: Any, user: str, *, limit: int, **narrower: Any) -> Any:
    found = sorted(good.list(user, limit=10_000, **narrower), key=lambda image: image.id)
    return tuple(sorted(found, key=lambda image: image.uploaded_at, reverse=True)[:limit])


@breaks("list")
def goes_on_after_the_instant_alone(good: Any, user: str, *, after: Any = None, **narrower: Any) -> Any:
    return good.list(user, after=after and (after[0], UUID(int=0)), **narrower)


@breaks("list")
def begins_with_the_position(good: Any, user: str, *, after: Any = None, **narrower: Any) -> Any:
    return good.list(user, after=after and (after[0], UUID(int=after[1].int + 1)), **narrower)


@breaks("list")
def lists_every_type(good: Any, user: str, *, image_type: Any = None, **narrower: Any) -> Any:
    return good.list(user, **narrower)


@breaks("list")
def narrows_after_the_limit(good: Any, user: str, *, image_type: Any = None, **narrower: Any) -> Any:
    return tuple(each for each in good.list(user, **narrower) if image_type in (None, each.image_type))


@breaks("list")
def knows_no_limit(good: Any, user: str, *, limit: int, **narrower: Any) -> Any:
    return good.list(user, limit=10_000, **narrower)


@breaks("list")
def lists_alike_users(good: Any, user: str, **narrower: Any) -> Any:
    return tuple(image for alike in {user, user.lower()} for image in good.list(alike, **narrower))


@breaks("primaries")
def finds_the_first_user_only(good: Any, users: Sequence[str]) -> Any:
    return good.primaries(users[:1])


@breaks("primaries")
def finds_the_newest(good: Any, users: Sequence[str]) -> Any:
    return tuple(image for user in users for image in good.list(user, limit=1))


@breaks("set_primary")
def sets_anybody_s(good: Any, id: UUID, *, user: str | None = None) -> Any:
    return good.set_primary(id)


@breaks("set_primary")
def sets_it_once(good: Any, id: UUID, *, user: str | None = None) -> Any:
    found = good.get(id, user=user)
    return None if found is None or found.is_primary else good.set_primary(id)


@breaks("set_primary")
def returns_it_as_it_was(good: Any, id: UUID, *, user: str | None = None) -> Any:
    before = good.get(id, user=user)
    good.set_primary(id, user=user)
    return before


@breaks("set_primary")
def clears_and_then_sets(good: Any, id: UUID, *, user: str | None = None) -> Any:
    found = good.get(id, user=user)
    if found is not None:
        good.__self__._primaries.pop(found.user, None)
        time.sleep(0.002)  # the gap that a reader may look into
    return good.set_primary(id, user=user)


@breaks("set_primary")
def says_yes_to_nothing(good: Any, id: UUID, *, user: str | None = None) -> Any:
    return good.set_primary(id, user=user) or good.get(id)


@breaks("update")
def updates_anybody_s(good: Any, id: UUID, *, caption: str, user: str | None = None) -> Any:
    return good.update(id, caption=caption)


@breaks("update")
def updates_the_answer_only(good: Any, id: UUID, *, caption: str, user: str | None = None) -> Any:
    found = good.get(id, user=user)
    return found and attrs.evolve(found, caption=caption)


@breaks("update")
def answers_with_the_old_caption(good: Any, id: UUID, *, caption: str, user: str | None = None) -> Any:
    before = good.get(id, user=user)
    good.update(id, caption=caption, user=user)
    return before


@breaks("begin_delete")
def retires_anybody_s(good: Any, id: UUID, *, user: str | None = None) -> Any:
    return good.begin_delete(id)


@breaks("begin_delete")
def leaves_no_intent(good: Any, id: UUID, *, user: str | None = None) -> Any:
    intent = good.begin_delete(id, user=user)
    if intent is not None:
        good.finish(intent)
    return intent


@breaks("begin_delete")
def forgets_the_variants(good: Any, id: UUID, *, user: str | None = None) -> Any:
    intent = good.begin_delete(id, user=user)
    if intent is not None:
        good.finish(intent)
        intent = attrs.evolve(intent, object_keys=intent.object_keys[:1])
        good.begin_upload(intent, now=intent.lease_until)
    return intent


@breaks("begin_delete")
def gives_a_live_intent(good: Any, id: UUID, *, user: str | None = None) -> Any:
    intent = good.begin_delete(id, user=user)
    if intent is not None:
        good.finish(intent)
        intent = attrs.evolve(intent, lease_until=datetime.now(intent.lease_until.tzinfo))
        good.begin_upload(intent, now=intent.lease_until)
    return intent


@breaks("finish")
def forgets_nothing(good: Any, intent: Intent) -> None:
    pass


@breaks("finish")
def fails_the_second_time(good: Any, intent: Intent) -> None:
    del good.__self__._intents[intent.id]


@breaks("finish")
def forgets_all_of_the_user(good: Any, intent: Intent) -> None:
    for each in list(good.__self__._intents.values()):
        if each.user == intent.user:
            good.finish(each)


@breaks("claim_expired")
def takes_nothing(good: Any, now: datetime, *, limit: int) -> Any:
    over = [each for each in good.__self__._intents.values() if each.lease_until <= now]
    return tuple(sorted(over, key=lambda each: each.lease_until)[:limit])


@breaks("claim_expired")
def waits_a_moment_longer(good: Any, now: datetime, *, limit: int) -> Any:
    return good.claim_expired(now - timedelta(microseconds=1), limit=limit)


@breaks("claim_expired")
def is_early(good: Any, now: datetime, *, limit: int) -> Any:
    return good.claim_expired(now + timedelta(minutes=1), limit=limit)


@breaks("claim_expired")
def says_taken_at_once(good: Any, now: datetime, *, limit: int) -> Any:
    return tuple(attrs.evolve(each, claimed=True) for each in good.claim_expired(now, limit=limit))


@breaks("claim_expired")
def never_says_taken(good: Any, now: datetime, *, limit: int) -> Any:
    return tuple(attrs.evolve(each, claimed=False) for each in good.claim_expired(now, limit=limit))


@breaks("claim_expired")
def moves_it_on_each_time(good: Any, now: datetime, *, limit: int) -> Any:
    found = good.claim_expired(now, limit=limit)
    for each in found:
        if each.claimed:
            good.__self__._intents[each.id] = attrs.evolve(each, lease_until=each.lease_until + timedelta(hours=1))
    return found


@breaks("claim_expired")
def gives_the_latest_first(good: Any, now: datetime, *, limit: int) -> Any:
    return good.claim_expired(now, limit=limit)[::-1]


@breaks("claim_expired")
def takes_all(good: Any, now: datetime, *, limit: int) -> Any:
    return good.claim_expired(now, limit=10_000)


@breaks("list_by_key")
def sorts_as_people_do(good: Any, *, after: str = "", limit: int = 1000) -> Any:
    found = sorted(good.list_by_key(limit=10_000), key=lambda image: image.key.casefold())
    return tuple(each for each in found if each.key.casefold() > after.casefold())[:limit]


@breaks("list_by_key")
def begins_with_the_key(good: Any, *, after: str = "", limit: int = 1000) -> Any:
    return tuple(each for each in good.list_by_key(limit=10_000) if each.key >= after)[:limit]


@breaks("list_by_key")
def gives_all_rows(good: Any, *, after: str = "", limit: int = 1000) -> Any:
    return good.list_by_key(after=after, limit=10_000)


@breaks("list_by_key")
def forgets_the_primaries(good: Any, *, after: str = "", limit: int = 1000) -> Any:
    return tuple(attrs.evolve(each, is_primary=False) for each in good.list_by_key(after=after, limit=limit))


def test_a_good_repository_passes() -> None:
    assert list(failures(MemoryRepository)) == []


def test_each_method_is_broken_in_two_ways_at_least() -> None:
    from userimages.protocols import ImageRepository

    methods = {name for name in vars(ImageRepository) if not name.startswith("_")}
    assert BREAKS.keys() == methods
    assert all(len(ways) >= 2 for ways in BREAKS.values())


@pytest.mark.parametrize(
    ("method", "wrong"), [pytest.param(m, w, id=f"{m}-{n}") for m, ways in BREAKS.items() for n, w in ways.items()]
)
def test_the_contract_notices_a_method_that(method: str, wrong: Break) -> None:
    assert next(failures(lambda: broken(method, wrong)), None), "the contract let it pass"
