"""A repository that breaks one sentence of the contract is noticed, whichever it is."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest

from userimages.errors import ConflictError
from userimages.model import REVISED, Intent, PublishResult, Usage, UserImage
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


@breaks("publish")
def forgets_what_it_has_published(good: Any, intent: Intent, image: UserImage, **how: Any) -> PublishResult | None:
    there = good.get(image.id)
    return None if there else good.publish(intent, image, **how)


@breaks("revise")
def forgets_what_it_has_revised(good: Any, intent: Intent, image: UserImage, **how: Any) -> UserImage | None:
    there = good.get(image.id)
    return None if there and there.recipe == image.recipe else good.revise(intent, image, **how)


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
        others = [good.begin_delete([each.id])[0] for each in good.list(image.user, limit=99) if each.id != image.id]
        return PublishResult(published.image, (*published.replaced, *others))
    return published


def without_a_ticket(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    """Publish as if there were no ticket, and give it back as it was."""
    intents = good.__self__._intents
    ticket = None if image.id == intent.id else intents.pop(image.id, None)
    published = good.publish(intent, image, **how)
    if ticket is not None:
        intents[image.id] = ticket
    return published


@breaks("publish")
def leaves_the_ticket_open(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    ticket = good.__self__._intents.get(image.id)
    return (
        good.publish(intent, image, **how)
        if ticket and ticket.claimed
        else without_a_ticket(good, intent, image, **how)
    )


@breaks("publish")
def makes_a_second_image_of_a_ticket(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    ticket = good.__self__._intents.get(image.id)
    return (
        without_a_ticket(good, intent, image, **how)
        if ticket and ticket.claimed
        else good.publish(intent, image, **how)
    )


@breaks("publish")
def claims_the_ticket_in_any_case(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    published = good.publish(intent, image, **how)
    ticket = good.__self__._intents.get(image.id)
    if published is None and ticket is not None:
        good.__self__._intents[image.id] = attrs.evolve(ticket, claimed=True)
    return published


@breaks("publish")
def forgets_the_ticket(good: Any, intent: Intent, image: UserImage, **how: bool) -> Any:
    published = good.publish(intent, image, **how)
    if published is not None:
        good.__self__._intents.pop(image.id, None)
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
def finds_the_first_user_only(good: Any, users: Sequence[str], **scope: Any) -> Any:
    return good.primaries(users[:1], **scope)


@breaks("primaries")
def finds_the_newest(good: Any, users: Sequence[str], **scope: Any) -> Any:
    return tuple(image for user in users for image in good.list(user, limit=1))


@breaks("primaries")
def knows_no_type(good: Any, users: Sequence[str], *, image_type: str | None = None) -> Any:
    return good.primaries(users)


@breaks("primaries")
def takes_any_scope(good: Any, users: Sequence[str], *, image_type: str | None = None) -> Any:
    found = [good.primaries(users, image_type=each) for each in (None, "profile", "gallery", "cover")]
    return tuple(
        {image.user: image for page in found for image in page if image_type in (None, image.image_type)}.values()
    )


@breaks("primaries")
def forgets_the_one_over_all_types(good: Any, users: Sequence[str], *, image_type: str | None = None) -> Any:
    scopes = good.__self__._primaries
    return tuple(
        each for each in good.primaries(users, image_type=image_type) if (each.user, image_type or "") in scopes
    )


@breaks("set_primary")
def sets_anybody_s(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    return good.set_primary(id, **rule)


@breaks("set_primary")
def sets_it_once(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    found = good.get(id, user=user)
    return None if found is None or found.is_primary else good.set_primary(id, **rule)


@breaks("set_primary")
def returns_it_as_it_was(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    before = good.get(id, user=user)
    good.set_primary(id, user=user, **rule)
    return before


@breaks("set_primary")
def clears_and_then_sets(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    found = good.get(id, user=user)
    if found is not None:
        good.__self__._primaries.pop((found.user, ""), None)
        time.sleep(0.002)  # the gap that a reader may look into
    return good.set_primary(id, user=user, **rule)


@breaks("set_primary")
def says_yes_to_nothing(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    return good.set_primary(id, user=user, **rule) or good.get(id)


@breaks("set_primary")
def knows_one_rule_only(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    return good.set_primary(id, user=user)


@breaks("set_primary")
def leaves_what_the_rule_forbids(good: Any, id: UUID, *, user: str | None = None, **rule: Any) -> Any:
    scopes = good.__self__._primaries
    before = dict(scopes)
    made = good.set_primary(id, user=user, **rule)
    for scope, primary in before.items():
        scopes.setdefault(scope, primary)
    return made


@breaks("update")
def updates_anybody_s(good: Any, id: UUID, changes: Any, *, user: str | None = None) -> Any:
    return good.update(id, changes)


@breaks("update")
def updates_the_answer_only(good: Any, id: UUID, changes: Any, *, user: str | None = None) -> Any:
    found = good.get(id, user=user)
    return found and attrs.evolve(found, **changes)


@breaks("update")
def answers_with_the_old_caption(good: Any, id: UUID, changes: Any, *, user: str | None = None) -> Any:
    before = good.get(id, user=user)
    good.update(id, changes, user=user)
    return before


@breaks("update")
def updates_the_caption_only(good: Any, id: UUID, changes: Any, *, user: str | None = None) -> Any:
    return good.update(id, {name: value for name, value in changes.items() if name != "meta"}, user=user)


@breaks("update")
def passes_over_what_it_does_not_know(good: Any, id: UUID, changes: Any, *, user: str | None = None) -> Any:
    return good.update(id, {name: value for name, value in changes.items() if name in ("caption", "meta")}, user=user)


@breaks("get_many")
def finds_the_first_only(good: Any, ids: Sequence[UUID]) -> Any:
    return good.get_many(ids[:1])


@breaks("get_many")
def wants_them_all(good: Any, ids: Sequence[UUID]) -> Any:
    found = good.get_many(ids)
    return found if len(found) == len(ids) else ()


@breaks("get_many")
def forgets_who_is_primary_of_many(good: Any, ids: Sequence[UUID]) -> Any:
    return tuple(attrs.evolve(each, is_primary=False) for each in good.get_many(ids))


@breaks("recent")
def goes_by_the_key(good: Any, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Any:
    found = good.recent(limit=10_000, after=after, image_type=image_type)
    return tuple(sorted(found, key=lambda image: image.key, reverse=True)[:limit])


@breaks("recent")
def repeats_the_last(good: Any, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Any:
    return good.recent(limit=limit, after=after and UUID(int=after.int + 1), image_type=image_type)


@breaks("recent")
def narrows_to_nothing(good: Any, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Any:
    return good.recent(limit=limit, after=after)


@breaks("usage")
def counts_the_image_alone(good: Any, user: str) -> Any:
    return Usage(good.usage(user).images, sum(each.size_bytes for each in good.list(user, limit=10_000)))


@breaks("usage")
def sums_as_a_decimal(good: Any, user: str) -> Any:
    usage = good.usage(user)
    return Usage(usage.images, Decimal(usage.stored_bytes))  # type: ignore[arg-type]


@breaks("usage")
def counts_everybody_s(good: Any, user: str) -> Any:
    rows = good.list_by_key(limit=10_000)
    return Usage(len(rows), sum(each.stored_bytes for each in rows))


@breaks("begin_delete")
def deletes_anybody_s(good: Any, ids: Sequence[UUID], *, user: str | None = None) -> Any:
    return good.begin_delete(ids)


@breaks("begin_delete")
def deletes_the_first_only(good: Any, ids: Sequence[UUID], *, user: str | None = None) -> Any:
    return good.begin_delete(ids[:1], user=user)


@breaks("begin_delete")
def leaves_no_intent(good: Any, ids: Sequence[UUID], *, user: str | None = None) -> Any:
    intents = good.begin_delete(ids, user=user)
    good.finish(intents)
    return intents


@breaks("begin_delete")
def forgets_the_variants(good: Any, ids: Sequence[UUID], *, user: str | None = None) -> Any:
    intents = good.begin_delete(ids, user=user)
    good.finish(intents)
    intents = [attrs.evolve(intent, object_keys=intent.object_keys[:1]) for intent in intents]
    for intent in intents:
        good.begin_upload(intent, now=intent.lease_until)
    return intents


@breaks("begin_delete")
def gives_a_live_intent(good: Any, ids: Sequence[UUID], *, user: str | None = None) -> Any:
    intents = good.begin_delete(ids, user=user)
    good.finish(intents)
    intents = [attrs.evolve(each, lease_until=datetime.now(each.lease_until.tzinfo)) for each in intents]
    for intent in intents:
        good.begin_upload(intent, now=intent.lease_until)
    return intents


@breaks("finish")
def finishes_nothing(good: Any, intents: Sequence[Intent]) -> None:
    pass


@breaks("finish")
def finishes_the_first_only(good: Any, intents: Sequence[Intent]) -> None:
    good.finish(intents[:1])


@breaks("finish")
def fails_the_second_time(good: Any, intents: Sequence[Intent]) -> None:
    for intent in intents:
        del good.__self__._intents[intent.id]


@breaks("finish")
def finishes_all_of_the_user(good: Any, intents: Sequence[Intent]) -> None:
    users = {intent.user for intent in intents}
    good.finish([each for each in good.__self__._intents.values() if each.user in users])


@breaks("list_intents")
def lists_none(good: Any, *, after: UUID | None = None, limit: int = 1000) -> Any:
    return ()


@breaks("list_intents")
def claims_what_it_lists(good: Any, *, after: UUID | None = None, limit: int = 1000) -> Any:
    good.claim_expired(datetime(9000, 1, 1, tzinfo=UTC), limit=10_000)
    return good.list_intents(after=after, limit=limit)


@breaks("list_intents")
def lists_them_in_no_order(good: Any, *, after: UUID | None = None, limit: int = 1000) -> Any:
    return good.list_intents(after=after, limit=limit)[::-1]


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


@breaks("revise")
def revises_what_is_another_by_now(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
    return good.revise(intent, image, of=good.get(image.id) or of, **until)


@breaks("revise")
def compares_the_recipe_alone(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
    found = good.get(image.id)
    return good.revise(intent, image, of=found if found and found.recipe == of.recipe else of, **until)


@breaks("revise")
def compares_the_variants_alone(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
    found = good.get(image.id)
    return good.revise(intent, image, of=found if found and found.variants == of.variants else of, **until)


@breaks("revise")
def needs_no_intent(good: Any, intent: Intent, image: UserImage, **how: Any) -> Any:
    again = attrs.evolve(intent, id=UUID(int=intent.id.int + 1))
    good.begin_upload(again, now=intent.lease_until)
    done = good.revise(again, image, **how)
    good.finish([again, intent] if done else [again])
    return done


@breaks("revise")
def revises_what_a_sweep_claimed(good: Any, intent: Intent, image: UserImage, **how: Any) -> Any:
    if (held := good.__self__._intents.get(intent.id)) is not None:
        good.__self__._intents[intent.id] = attrs.evolve(held, claimed=False)
    return good.revise(intent, image, **how)


@breaks("revise")
def leaves_the_intent_of_a_revision(good: Any, intent: Intent, image: UserImage, **how: Any) -> Any:
    done = good.revise(intent, image, **how)
    if done:
        good.begin_upload(intent, now=intent.lease_until)
    return done


@breaks("revise")
def revises_the_answer_only(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
    done = good.revise(intent, image, of=of, **until)
    if done:
        row = good.__self__._rows[image.id]
        good.__self__._rows[image.id] = attrs.evolve(row, image=of)
    return done


@breaks("revise")
def writes_the_whole_record(good: Any, intent: Intent, image: UserImage, **how: Any) -> Any:
    done = good.revise(intent, image, **how)
    return done and good.update(image.id, {"caption": image.caption, "meta": image.meta})


def _with_intents(good: Any, change: Callable[[Intent], Intent | None], *arguments: Any, **how: Any) -> Any:
    """Revise, and change the intents that this inserts."""
    intents = good.__self__._intents
    before = set(intents)
    done = good.revise(*arguments, **how)
    for id in set(intents) - before:
        changed = change(intents.pop(id))
        if changed is not None:
            intents[id] = changed
    return done


@breaks("revise")
def forgets_the_old_objects(good: Any, *arguments: Any, **how: Any) -> Any:
    return _with_intents(good, lambda intent: None, *arguments, **how)


@breaks("revise")
def gives_no_grace(good: Any, *arguments: Any, **how: Any) -> Any:
    return _with_intents(
        good, lambda each: attrs.evolve(each, lease_until=datetime(1970, 1, 1, tzinfo=UTC)), *arguments, **how
    )


@breaks("revise")
def gives_up_what_is_still_named(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
    keys = of.object_keys[1:]
    change = lambda each: attrs.evolve(each, object_keys=keys)  # noqa: E731
    return _with_intents(good, change, intent, image, of=of, **until)


@breaks("revise")
def leaves_an_intent_of_nothing(good: Any, intent: Intent, image: UserImage, **how: Any) -> Any:
    done = good.revise(intent, image, **how)
    if done:
        empty = attrs.evolve(intent, id=UUID(int=intent.id.int + 1), object_keys=())
        good.begin_upload(empty, now=intent.lease_until)
    return done


def _breaks_one_fact(name: str) -> None:
    def keeps(good: Any, intent: Intent, image: UserImage, *, of: UserImage, **until: Any) -> Any:
        return good.revise(intent, attrs.evolve(image, **{name: getattr(of, name)}), of=of, **until)

    keeps.__name__ = f"keeps_the_{name}"
    breaks("revise")(keeps)


for _name in REVISED:
    _breaks_one_fact(_name)


def test_a_good_repository_passes() -> None:
    """A good repository passes."""
    assert list(failures(MemoryRepository)) == []


def test_each_method_is_broken_in_two_ways_at_least() -> None:
    """Each method is broken in two ways at least."""
    from userimages.protocols import ImageRepository

    methods = {name for name in vars(ImageRepository) if not name.startswith("_")}
    assert BREAKS.keys() == methods | {"revise"}
    assert all(len(ways) >= 2 for ways in BREAKS.values())


@pytest.mark.parametrize(
    ("method", "wrong"), [pytest.param(m, w, id=f"{m}-{n}") for m, ways in BREAKS.items() for n, w in ways.items()]
)
def test_the_contract_notices_a_method_that(method: str, wrong: Break) -> None:
    """The contract notices a method that is broken."""
    assert next(failures(lambda: broken(method, wrong)), None), "the contract let it pass"
