# ruff: noqa: D102 - a test is named for the fact it shows
"""What every repository must do, as tests: subclass ``RepositoryContract`` and give it one fixture.

::

    class TestMyRepository(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return MyRepository(...)

The images of a test belong to random users, so the repository may be shared by many tests, one after the other. It
must hold no work of your own: the suite forgets intents whose lease lies before the year 2002.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest

from userimages.errors import ConflictError
from userimages.identity import new_id, new_stem
from userimages.model import ImageType, Intent, Published, UserImage, Variant, Variants
from userimages.ports import ImageRepository

NOW = datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
TICK = timedelta(microseconds=1)
LEASE = timedelta(minutes=10)
PROFILE, GALLERY, COVER = ImageType


class RepositoryContract:
    """The sentences of ``userimages.ports.ImageRepository``, each as a test."""

    @pytest.fixture
    def repository(self) -> ImageRepository:
        """Return the repository to test, ready for use; the only thing that a subclass must give."""
        raise NotImplementedError("Override the fixture `repository` and return yours.")

    # records

    def test_every_fact_comes_back_as_it_was_published(self, repository: ImageRepository) -> None:
        image = attrs.evolve(new_image(f"Ä {{%}} 'x' \" ; -- 🐈 {uuid4().hex}"), caption="I <3 you & \n\t'me' 🐈 é é")
        published = publish(repository, image)
        for seen in (
            published,
            repository.get(image.id),
            *repository.list(image.user, limit=1),
            *rows(repository, image),
        ):
            assert seen == image
            assert seen is not None
            assert list(seen.variants) == ["640", "320", "1280"], "the variants lost their order"
            assert isinstance(seen.image_type, ImageType)

    def test_records_come_without_urls(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        urls = {name: attrs.evolve(each, url="https://cdn/v") for name, each in image.variants.items()}
        assert publish(repository, attrs.evolve(image, url="https://cdn/i", variants=Variants(urls))) == image
        assert repository.get(image.id) == image

    def test_instants_are_aware_utc_with_microseconds(self, repository: ImageRepository) -> None:
        for at in (NOW, NOW.replace(microsecond=0), datetime(2038, 7, 19, 3, 14, 7, 1, UTC)):
            image = new_image(new_user(), at=at)
            for seen in (publish(repository, image), repository.get(image.id)):
                assert seen is not None
                assert (seen.uploaded_at, seen.uploaded_at.utcoffset()) == (at, timedelta(0))

    def test_users_that_look_alike_are_different_users(self, repository: ImageRepository) -> None:
        stem = new_user()
        users = [stem + rest for rest in ("É", "é", "e\u0301", "é ", "%", "_", "")] + [stem.upper()]
        images = {user: publish(repository, new_image(user), is_primary=True) for user in users}
        for user, image in images.items():
            assert ids(repository.list(user, limit=99)) == ids(repository.primaries([user])) == [image.id]

    # begin

    def test_begin_inserts_the_intent_whole(self, repository: ImageRepository) -> None:
        intent = new_intent(new_image(new_user()), idempotency_key="a key")
        assert repository.begin(intent, now=NOW) is None
        assert over(repository, intent.user, NOW + LEASE) == [intent]

    def test_begin_returns_the_image_that_the_key_already_made(self, repository: ImageRepository) -> None:
        first = publish(repository, new_image(new_user()), is_primary=True, idempotency_key="k")
        again = new_intent(new_image(first.user), idempotency_key="k")
        assert repository.begin(again, now=NOW) == first
        assert over(repository, first.user, NOW + LEASE) == [], "an intent was inserted"

    def test_begin_refuses_a_key_that_made_an_image_of_another_file(self, repository: ImageRepository) -> None:
        first = publish(repository, new_image(new_user()), idempotency_key="k")
        again = attrs.evolve(new_intent(new_image(first.user), idempotency_key="k"), input_sha256="e" * 64)
        with pytest.raises(ConflictError):
            repository.begin(again, now=NOW)
        assert over(repository, first.user, NOW + LEASE) == [], "an intent was inserted"

    def test_begin_refuses_a_key_that_a_live_intent_holds(self, repository: ImageRepository) -> None:
        first = begin(repository, new_image(new_user()), idempotency_key="k")
        with pytest.raises(ConflictError):
            begin(repository, new_image(first.user), idempotency_key="k", now=first.lease - TICK)
        assert over(repository, first.user, NOW + LEASE) == [first], "the second intent was inserted"

    def test_begin_takes_the_key_from_an_intent_that_is_over(self, repository: ImageRepository) -> None:
        image, other = new_image(new_user()), new_image(new_user())
        late = begin(repository, image, idempotency_key="k")
        next_try = begin(repository, attrs.evolve(other, user=image.user), idempotency_key="k", now=late.lease)
        assert repository.publish(late, image, is_primary=True, replace=True) is None
        assert repository.publish(next_try, attrs.evolve(other, user=image.user), is_primary=False, replace=False)
        assert ids(repository.list(image.user, limit=9)) == [other.id]

    def test_begin_takes_the_key_from_an_intent_that_the_sweep_took(self, repository: ImageRepository) -> None:
        late = begin(repository, new_image(new_user()), idempotency_key="k")
        assert over(repository, late.user, late.lease) == [late]
        begin(repository, new_image(late.user), idempotency_key="k", now=late.lease)

    def test_keys_are_per_user_and_exact_and_none_is_no_key(self, repository: ImageRepository) -> None:
        user = new_user()
        for key in ("k", "K", "k ", None, None):
            begin(repository, new_image(user), idempotency_key=key)
            begin(repository, new_image(new_user()), idempotency_key=key)
        assert len(over(repository, user, NOW + LEASE)) == 5

    def test_of_many_with_one_key_at_once_one_goes_on(self, repository: ImageRepository) -> None:
        for held in (False, True):
            user = new_user()
            if held:
                begin(repository, new_image(user), idempotency_key="k")
            go_on = partial(begin, repository, idempotency_key="k", now=NOW + LEASE, lease=NOW + 2 * LEASE)
            tries = [partial(go_on, new_image(user)) for _ in range(8)]
            assert sum(isinstance(outcome, Intent) for outcome in at_once(tries, ConflictError)) == 1

    def test_uploads_with_one_key_at_once_make_one_image(self, repository: ImageRepository) -> None:
        user = new_user()
        tries = [partial(upload, repository, new_image(user), idempotency_key="k") for _ in range(12)]
        made = {image.id for image in at_once(tries, ConflictError) if isinstance(image, UserImage)}
        assert made == set(ids(repository.list(user, limit=99)))
        assert len(made) == 1

    # publish

    def test_published_is_listed_and_its_intent_gone(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        intent = begin(repository, image)
        assert not repository.list(image.user, limit=9)
        assert repository.publish(intent, image, is_primary=False, replace=False) == Published(image)
        assert ids(repository.list(image.user, limit=9)) == [image.id]
        assert over(repository, image.user, NOW + LEASE) == []

    def test_publish_again_is_safe(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        intent = begin(repository, image, idempotency_key="k")
        first = repository.publish(intent, image, is_primary=True, replace=True)
        assert first
        assert repository.publish(intent, image, is_primary=True, replace=True) in (None, first)
        assert list(repository.list(image.user, limit=9)) == [first.image]

    def test_publish_changes_nothing_once_the_intent_cannot_be(self, repository: ImageRepository) -> None:
        kept = publish(repository, new_image(new_user()), is_primary=True)
        for lost in (repository.forget, lambda intent: over(repository, intent.user, intent.lease)):
            image = new_image(kept.user)
            intent = begin(repository, image)
            lost(intent)
            assert repository.publish(intent, image, is_primary=True, replace=True) is None
            assert repository.get(image.id) is None
            assert list(repository.list(kept.user, limit=9)) == [kept]

    def test_publish_goes_by_the_intent_and_not_by_the_clock(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        intent = begin(repository, image, now=NOW + 9 * LEASE)
        assert repository.publish(intent, image, is_primary=False, replace=False)

    def test_one_intent_published_by_many_makes_one_image(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        intent = begin(repository, image)
        each = partial(repository.publish, intent, image, is_primary=False, replace=False)
        assert sum(isinstance(outcome, Published) for outcome in at_once([each] * 6)) == 1

    def test_an_intent_is_either_published_or_taken(self, repository: ImageRepository) -> None:
        for _ in range(5):
            image = new_image(new_user())
            intent = begin(repository, image)
            publishing = partial(repository.publish, intent, image, is_primary=False, replace=False)
            published, taken = at_once([publishing, partial(over, repository, image.user, intent.lease)])
            assert (published is None) == (taken == [intent])
            assert (published is None) == (repository.get(image.id) is None)

    def test_is_primary_makes_the_image_the_only_primary(self, repository: ImageRepository) -> None:
        user = new_user()
        for image_type in (GALLERY, PROFILE, GALLERY):
            image = publish(repository, new_image(user, image_type), is_primary=True)
            assert image.is_primary
            assert primary_ids(repository, user) == [image.id]

    def test_an_image_is_not_primary_unless_asked(self, repository: ImageRepository) -> None:
        image = publish(repository, attrs.evolve(new_image(new_user()), is_primary=True))
        assert not image.is_primary
        assert primary_ids(repository, image.user) == []
        chosen = publish(repository, new_image(image.user), is_primary=True)
        publish(repository, new_image(image.user))
        assert primary_ids(repository, image.user) == [chosen.id]

    def test_replace_retires_every_other_image_of_the_type(self, repository: ImageRepository) -> None:
        user = new_user()
        old = [publish(repository, new_image(user, PROFILE), is_primary=True) for _ in range(3)]
        kept = publish(repository, new_image(user, COVER)), publish(repository, new_image(new_user(), PROFILE))
        image = new_image(user, PROFILE)
        published = repository.publish(begin(repository, image), image, is_primary=False, replace=True)
        assert published
        assert sorted(each.object_keys for each in published.retired) == sorted(each.object_keys for each in old)
        assert all(is_retired(each, user) for each in published.retired)
        assert len({each.id for each in published.retired}) == 3
        assert sorted(ids(repository.list(user, limit=9))) == sorted([kept[0].id, image.id])
        assert repository.get(kept[1].id)
        assert primary_ids(repository, user) == []
        assert by_id(over(repository, user, NOW)) == by_id(published.retired)

    def test_replace_of_the_primary_by_a_primary_leaves_one(self, repository: ImageRepository) -> None:
        old = publish(repository, new_image(new_user()), is_primary=True)
        image = publish(repository, new_image(old.user), is_primary=True, replace=True)
        assert primary_ids(repository, old.user) == [image.id]

    def test_two_that_replace_at_once_leave_one(self, repository: ImageRepository) -> None:
        user = new_user()
        publish(repository, new_image(user))
        tries = [partial(publish, repository, new_image(user), is_primary=True, replace=True) for _ in range(6)]
        made = at_once(tries)
        (left,) = repository.list(user, limit=9)
        assert left.id in ids(made)
        assert left.is_primary

    # get, list, primaries, rows

    def test_get_finds_one_image_and_only_of_that_user(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        assert repository.get(image.id) == repository.get(image.id, user=image.user) == image
        assert repository.get(other.id) == other
        assert repository.get(image.id, user=new_user()) is repository.get(new_image("x").id) is None

    def test_list_is_newest_first_and_ties_by_id(self, repository: ImageRepository) -> None:
        user = new_user()
        newest_first = gallery(repository, user)
        assert ids(repository.list(user, limit=99)) == newest_first
        assert ids(repository.list(user, limit=4)) == newest_first[:4]
        assert not repository.list(new_user(), limit=4)

    def test_list_goes_on_after_a_position(self, repository: ImageRepository) -> None:
        user = new_user()
        newest_first, seen, after = gallery(repository, user), [], None
        while page := repository.list(user, limit=2, after=after):
            seen += ids(page)
            after = page[-1].uploaded_at, page[-1].id
            repository.retire(page[-1].id)
        assert seen == newest_first

    def test_list_narrows_to_one_type(self, repository: ImageRepository) -> None:
        user = new_user()
        newest_first = gallery(repository, user)
        images = [image for image in repository.list(user, limit=99) if image.image_type is COVER]
        assert ids(repository.list(user, limit=99, image_type=COVER)) == ids(images)
        assert ids(repository.list(user, limit=1, image_type=COVER)) == ids(images[:1])
        after = images[0].uploaded_at, images[0].id
        assert ids(repository.list(user, limit=99, after=after, image_type=COVER)) == ids(images[1:])
        assert 1 < len(images) < len(newest_first)

    def test_a_listing_stays_as_it_was_read(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()))
        listing = repository.list(image.user, limit=9)
        publish(repository, new_image(image.user), is_primary=True, replace=True)
        assert list(listing) == [image]

    def test_primaries_finds_those_of_many_users(self, repository: ImageRepository) -> None:
        images = [publish(repository, new_image(new_user()), is_primary=True) for _ in range(3)]
        without = publish(repository, new_image(new_user()))
        publish(repository, new_image(images[0].user))
        users = [*(image.user for image in images), images[0].user, without.user, *(new_user() for _ in range(500))]
        assert by_id(repository.primaries(users)) == by_id(images)
        assert list(repository.primaries([without.user])) == list(repository.primaries([])) == []

    def test_rows_come_in_byte_order_of_the_key(self, repository: ImageRepository) -> None:
        start = new_user()
        users = [start + rest for rest in ("a", "B", "b", "a-b", "a.b", "a_b", "é", "~", "a0")]
        images = {publish(repository, new_image(user, each)).key for user in users for each in ImageType}
        seen = [each.key for each in rows(repository, start=f"users/{start}", limit=7) if each.key in images]
        assert seen == sorted(images, key=str.encode)

    def test_rows_tell_which_image_is_primary(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True)
        assert rows(repository, image) == [image]

    # set_primary, update

    def test_set_primary_moves_it_over_all_types(self, repository: ImageRepository) -> None:
        user = new_user()
        one, other = publish(repository, new_image(user, PROFILE)), publish(repository, new_image(user, COVER))
        for image in (one, other, other, one):
            assert repository.set_primary(image.id) == attrs.evolve(image, is_primary=True)
            assert primary_ids(repository, user) == [image.id]

    def test_set_primary_of_no_such_image_changes_nothing(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        gone = publish(repository, new_image(image.user))
        repository.retire(gone.id)
        assert repository.set_primary(other.id, user=new_user()) is repository.set_primary(gone.id) is None
        assert primary_ids(repository, image.user) == [image.id]
        assert repository.set_primary(other.id, user=image.user) == attrs.evolve(other, is_primary=True)

    def test_set_primary_by_many_never_shows_two_or_none(self, repository: ImageRepository) -> None:
        user = new_user()
        images = [publish(repository, new_image(user), is_primary=True) for _ in range(4)]
        done = threading.Event()

        def watch() -> set[tuple[int, int]]:
            seen = set()
            while not done.is_set():
                seen.add((len(primary_ids(repository, user)), len(repository.primaries([user]))))
            return seen

        def choose(image: UserImage) -> None:
            for _ in range(10):
                assert repository.set_primary(image.id)

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                at_once([partial(choose, image) for image in images])
            finally:
                done.set()
        assert watching.result() <= {(1, 1)}

    def test_update_sets_the_caption_and_nothing_else(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        assert repository.update(image.id, caption="é") == attrs.evolve(image, caption="é")
        assert repository.update(other.id, caption="x", user=image.user) == attrs.evolve(other, caption="x")
        assert repository.update(image.id, caption="", user=new_user()) is None
        assert repository.update(new_image("x").id, caption="") is None
        assert repository.get(image.id) == attrs.evolve(image, caption="é")

    # retire, forget, expired

    def test_retire_leaves_an_intent_that_is_over(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True, idempotency_key="k")
        intent = repository.retire(image.id)
        assert intent
        assert is_retired(intent, image.user)
        assert intent.object_keys == image.object_keys
        assert repository.get(image.id) is None
        assert list(repository.list(image.user, limit=9)) == list(repository.primaries([image.user])) == []
        assert over(repository, image.user, NOW) == [intent]

    def test_retire_leaves_the_other_images_alone(self, repository: ImageRepository) -> None:
        chosen = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(chosen.user))
        assert repository.retire(other.id, user=new_user()) is repository.retire(new_image("x").id) is None
        assert repository.get(other.id) == other
        assert repository.retire(other.id, user=chosen.user)
        assert list(repository.list(chosen.user, limit=9)) == [chosen]

    def test_the_idempotency_key_dies_with_the_image(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), idempotency_key="k")
        repository.retire(image.id)
        assert publish(repository, new_image(image.user), idempotency_key="k").id != image.id

    def test_of_many_that_retire_one_image_one_gets_the_intent(self, repository: ImageRepository) -> None:
        image = publish(repository, new_image(new_user()), is_primary=True)
        outcomes = at_once([partial(repository.retire, image.id)] * 6)
        assert over(repository, image.user, NOW) == [each for each in outcomes if each is not None]

    def test_retire_and_set_primary_at_once_leave_no_primary_behind(self, repository: ImageRepository) -> None:
        for _ in range(5):
            image = publish(repository, new_image(new_user()), is_primary=True)
            calls: list[Callable[[], object]] = [partial(repository.retire, image.id)]
            calls += [partial(repository.set_primary, image.id)] * 3
            assert isinstance(at_once(calls)[0], Intent)
            assert list(repository.primaries([image.user])) == []

    def test_forget_deletes_the_one_intent(self, repository: ImageRepository) -> None:
        one = begin(repository, new_image(new_user()), idempotency_key="k")
        other = begin(repository, new_image(one.user))
        for _ in range(2):
            repository.forget(one)
        assert over(repository, one.user, NOW + LEASE) == [other]
        begin(repository, new_image(one.user), idempotency_key="k")

    def test_expired_takes_what_is_over_once_and_moves_it_on(self, repository: ImageRepository) -> None:
        image = new_image(new_user())
        intent, hour = begin(repository, image), timedelta(hours=1)
        taken = attrs.evolve(intent, taken=True, lease=intent.lease + hour)
        assert over(repository, image.user, intent.lease - TICK) == []
        assert over(repository, image.user, intent.lease) == [intent]
        assert over(repository, image.user, taken.lease - TICK) == []
        assert over(repository, image.user, taken.lease) == over(repository, image.user, taken.lease) == [taken]

    def test_expired_gives_the_oldest_first_up_to_the_limit(self, repository: ImageRepository) -> None:
        forget_all(repository)
        leases = [NOW + LEASE * step for step in (3, 1, 2, 4)]
        for lease in leases:
            begin(repository, new_image(new_user()), lease=lease)
        assert [each.lease for each in repository.expired(NOW + 9 * LEASE, limit=2)] == sorted(leases)[:2]
        assert [each.lease for each in repository.expired(NOW + 3 * LEASE, limit=2)] == sorted(leases)[2:3]
        assert forget_all(repository) == 4

    def test_an_untaken_intent_is_given_to_one_caller_only(self, repository: ImageRepository) -> None:
        user = new_user()
        begun = [begin(repository, new_image(user)) for _ in range(20)]
        given = at_once([partial(over, repository, user, NOW + LEASE, limit=25)] * 6)
        given.append(over(repository, user, NOW + LEASE))
        assert by_id(intent for each in given for intent in each) == by_id(begun)


def new_user() -> str:
    """Return a name that no other test has."""
    return f"u{uuid4().hex}"


def new_image(user: str, image_type: ImageType = GALLERY, *, at: datetime = NOW) -> UserImage:
    """Return a record as the service makes one, with three variants."""
    stem = new_stem(user, image_type, at)
    variants = {
        name: Variant(f"{stem}.{name}.webp", int(name), int(name) // 2, 900, "image/webp", "b" * 64)
        for name in ("640", "320", "1280")
    }
    return UserImage(
        id=new_id(at),
        user=user,
        image_type=image_type,
        uploaded_at=at,
        key=f"{stem}.jpg",
        width=2000,
        height=1000,
        size_bytes=123_456,
        mime_type="image/jpeg",
        sha256="a" * 64,
        placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
        variants=Variants(variants),
    )


def new_intent(image: UserImage, *, lease: datetime = NOW + LEASE, idempotency_key: str | None = None) -> Intent:
    """Return the intent to upload *image*."""
    return Intent(
        id=new_id(NOW),
        user=image.user,
        object_keys=image.object_keys,
        lease=lease,
        idempotency_key=idempotency_key,
        input_sha256="c" * 64,
    )


def begin(repository: ImageRepository, image: UserImage, *, now: datetime = NOW, **facts: Any) -> Intent:
    """Begin an upload that must be free to go on."""
    intent = new_intent(image, **facts)
    assert repository.begin(intent, now=now) is None
    return intent


def publish(
    repository: ImageRepository, image: UserImage, *, is_primary: bool = False, replace: bool = False, **facts: Any
) -> UserImage:
    """Begin and publish *image*."""
    published = repository.publish(begin(repository, image, **facts), image, is_primary=is_primary, replace=replace)
    assert published
    return published.image


def upload(repository: ImageRepository, image: UserImage, **facts: Any) -> UserImage:
    """Publish *image*, or return the one that the idempotency key already made."""
    intent = new_intent(image, **facts)
    made = repository.begin(intent, now=NOW)
    if made is None:
        published = repository.publish(intent, image, is_primary=False, replace=False)
        assert published
        made = published.image
    return made


def gallery(repository: ImageRepository, user: str) -> list[UUID]:
    """Publish images of two types, some at one instant, in no order; return their ids, newest first."""
    steps = (3, 1, 2, 2, 1, 2, 0)
    images = [new_image(user, (COVER, GALLERY)[step % 2], at=NOW + step * TICK) for step in steps]
    for image in images:
        publish(repository, image)
    return ids(sorted(images, key=lambda image: (image.uploaded_at, image.id), reverse=True))


def rows(
    repository: ImageRepository, image: UserImage | None = None, *, start: str = "", limit: int = 1000
) -> list[UserImage]:
    """Read the rows whose key begins with *start*, page by page; with *image*, only its own."""
    found: list[UserImage] = []
    start = start if image is None else image.key
    after = start[:-1]
    while page := repository.rows(after=after, limit=limit):
        assert len(page) <= limit
        found += [each for each in page if each.key.startswith(start)]
        assert page[-1].key > after, "rows gives what it gave before"
        after = page[-1].key
        if not after.startswith(start) and after > start:
            break
    return found


def over(repository: ImageRepository, user: str, now: datetime, *, limit: int = 10_000) -> list[Intent]:
    """Take the intents that are over and return those of *user*."""
    return [intent for intent in repository.expired(now, limit=limit) if intent.user == user]


def forget_all(repository: ImageRepository) -> int:
    """Forget whatever this suite left, and tell how much it was."""
    intents = repository.expired(datetime(2002, 1, 1, tzinfo=UTC), limit=100_000)
    for intent in intents:
        repository.forget(intent)
    return len(intents)


def is_retired(intent: Intent, user: str) -> bool:
    """Tell whether *intent* is as ``retire`` makes one."""
    long_ago = intent.lease < datetime(2000, 1, 1, tzinfo=UTC)
    return long_ago and (intent.user, intent.idempotency_key, intent.taken) == (user, None, False)


def primary_ids(repository: ImageRepository, user: str) -> list[UUID]:
    """Return the ids of the images that a listing shows as primary."""
    return ids(image for image in repository.list(user, limit=99) if image.is_primary)


def ids(images: Any) -> list[UUID]:
    """Return the ids, in order."""
    return [image.id for image in images]


def by_id(records: Any) -> list[Any]:
    """Return the records in the order of their ids."""
    return sorted(records, key=lambda record: record.id)


def at_once(calls: Sequence[Callable[[], Any]], *expected: type[Exception]) -> list[Any]:
    """Make all calls at the same moment in threads; return their outcomes, *expected* errors as values."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(30)
        try:
            return call()
        except expected as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
