"""What every repository must do, as tests: subclass ``RepositoryContract`` and give it one fixture.

::

    class TestMyRepository(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return MyRepository(...)

The images of a test belong to random users, so the repository may be shared by many tests, one after the other. It
must hold no work of your own: the suite finishes intents whose lease ended before the year 2002.
"""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import attrs
import pytest

from userimages.model import Intent, UserImage, Variants
from userimages.protocols import ImageRepository
from userimages.testing.publication_contract import PublicationContract
from userimages.testing.records import (
    COVER,
    LEASE,
    NOW,
    PROFILE,
    TICK,
    at_once,
    begin_upload,
    by_id,
    claim_expired_of,
    delete_one,
    finish_all,
    ids,
    is_deletion,
    new_image,
    new_user,
    primary_ids,
    publish,
    publish_gallery,
    rows_of,
)
from userimages.testing.records_contract import RecordsContract
from userimages.testing.revision_contract import RevisionContract


class RepositoryContract(PublicationContract, RecordsContract, RevisionContract):
    """The sentences of ``userimages.protocols.ImageRepository``, each as a test."""

    @pytest.fixture
    def repository(self) -> ImageRepository:
        """Return the repository to test, ready for use; the only thing that a subclass must give."""
        raise NotImplementedError("Override the fixture `repository` and return yours.")

    # records

    def test_every_fact_comes_back_as_it_was_published(self, repository: ImageRepository) -> None:
        """Every fact comes back as it was published."""
        image = attrs.evolve(new_image(f"Ä {{%}} 'x' \" ; -- 🐈 {uuid4().hex}"), caption="I <3 you & \n\t'me' 🐈 é é")
        published = publish(repository, image)
        for seen in (
            published,
            repository.get(image.id),
            *repository.list(image.user, limit=1),
            *rows_of(repository, image),
        ):
            assert seen == image
            assert seen is not None
            assert list(seen.variants) == ["640", "320", "1280"], "the variants lost their order"
            assert type(seen.image_type) is str
            assert seen.meta == dict(image.meta), "the meta is not the same object"
            assert pickle.loads(pickle.dumps(seen)) == copy.deepcopy(seen) == image, "it cannot be pickled or copied"

    def test_records_come_without_urls(self, repository: ImageRepository) -> None:
        """Records come without URLs."""
        image = new_image(new_user())
        urls = {name: attrs.evolve(each, url="https://cdn/v") for name, each in image.variants.items()}
        assert publish(repository, attrs.evolve(image, url="https://cdn/i", variants=Variants(urls))) == image
        assert repository.get(image.id) == image

    def test_instants_are_aware_utc_with_microseconds(self, repository: ImageRepository) -> None:
        """Instants are aware UTC with microseconds."""
        for at in (NOW, NOW.replace(microsecond=0), datetime(2038, 7, 19, 3, 14, 7, 1, UTC)):
            image = new_image(new_user(), at=at)
            for seen in (publish(repository, image), repository.get(image.id)):
                assert seen is not None
                assert (seen.uploaded_at, seen.uploaded_at.utcoffset()) == (at, timedelta(0))

    def test_users_that_look_alike_are_different_users(self, repository: ImageRepository) -> None:
        """Users that look alike are different users."""
        stem = new_user()
        users = [stem + rest for rest in ("É", "é", "e\u0301", "é ", "%", "_", "")] + [stem.upper()]
        images = {user: publish(repository, new_image(user), is_primary=True) for user in users}
        for user, image in images.items():
            assert ids(repository.list(user, limit=99)) == ids(repository.primaries([user])) == [image.id]

    # get, list, primaries, list_by_key

    def test_get_finds_one_image_and_only_of_that_user(self, repository: ImageRepository) -> None:
        """`get` finds one image, and only of that user."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        assert repository.get(image.id) == repository.get(image.id, user=image.user) == image
        assert repository.get(other.id) == other
        assert repository.get(image.id, user=new_user()) is repository.get(new_image("x").id) is None

    def test_list_is_newest_first_and_ties_by_id(self, repository: ImageRepository) -> None:
        """A list is newest first, and ties go by id."""
        user = new_user()
        newest_first = publish_gallery(repository, user)
        assert ids(repository.list(user, limit=99)) == newest_first
        assert ids(repository.list(user, limit=4)) == newest_first[:4]
        assert not repository.list(new_user(), limit=4)

    def test_list_goes_on_after_a_position(self, repository: ImageRepository) -> None:
        """List goes on after a position."""
        user = new_user()
        newest_first, seen, after = publish_gallery(repository, user), [], None
        while page := repository.list(user, limit=2, after=after):
            seen += ids(page)
            after = page[-1].uploaded_at, page[-1].id
            delete_one(repository, page[-1].id)
        assert seen == newest_first

    def test_list_narrows_to_one_type(self, repository: ImageRepository) -> None:
        """List narrows to one type."""
        user = new_user()
        newest_first = publish_gallery(repository, user)
        images = [image for image in repository.list(user, limit=99) if image.image_type == COVER]
        assert ids(repository.list(user, limit=99, image_type=COVER)) == ids(images)
        assert ids(repository.list(user, limit=1, image_type=COVER)) == ids(images[:1])
        after = images[0].uploaded_at, images[0].id
        assert ids(repository.list(user, limit=99, after=after, image_type=COVER)) == ids(images[1:])
        assert 1 < len(images) < len(newest_first)

    def test_a_listing_stays_as_it_was_read(self, repository: ImageRepository) -> None:
        """A listing stays as it was read."""
        image = publish(repository, new_image(new_user()))
        listing = repository.list(image.user, limit=9)
        publish(repository, new_image(image.user), is_primary=True, replace=True)
        assert list(listing) == [image]

    def test_primaries_finds_those_of_many_users(self, repository: ImageRepository) -> None:
        """Primaries finds those of many users."""
        images = [publish(repository, new_image(new_user()), is_primary=True) for _ in range(3)]
        without = publish(repository, new_image(new_user()))
        publish(repository, new_image(images[0].user))
        users = [*(image.user for image in images), images[0].user, without.user, *(new_user() for _ in range(500))]
        assert by_id(repository.primaries(users)) == by_id(images)
        assert list(repository.primaries([without.user])) == list(repository.primaries([])) == []

    def test_list_by_key_is_in_byte_order(self, repository: ImageRepository) -> None:
        """`list_by_key` is in byte order."""
        start = new_user()
        users = [start + rest for rest in ("a", "B", "b", "a-b", "a.b", "a_b", "é", "~", "a0")]
        images = {
            publish(repository, new_image(user, each)).key for user in users for each in (PROFILE, COVER, "banner_2")
        }
        seen = [each.key for each in rows_of(repository, start=f"users/{start}", limit=7) if each.key in images]
        assert seen == sorted(images, key=str.encode)

    def test_list_by_key_tells_which_is_primary(self, repository: ImageRepository) -> None:
        """`list_by_key` tells which image is primary."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        assert rows_of(repository, image) == [image]

    # set_primary, update

    def test_set_primary_moves_it_over_all_types(self, repository: ImageRepository) -> None:
        """`set_primary` moves it over all types."""
        user = new_user()
        one, other = publish(repository, new_image(user, PROFILE)), publish(repository, new_image(user, COVER))
        for image in (one, other, other, one):
            assert repository.set_primary(image.id) == attrs.evolve(image, is_primary=True)
            assert primary_ids(repository, user) == [image.id]

    def test_set_primary_of_no_such_image_changes_nothing(self, repository: ImageRepository) -> None:
        """`set_primary` of no such image changes nothing."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        gone = publish(repository, new_image(image.user))
        delete_one(repository, gone.id)
        assert repository.set_primary(other.id, user=new_user()) is repository.set_primary(gone.id) is None
        assert primary_ids(repository, image.user) == [image.id]
        assert repository.set_primary(other.id, user=image.user) == attrs.evolve(other, is_primary=True)

    def test_set_primary_by_many_never_shows_two_or_none(self, repository: ImageRepository) -> None:
        """`set_primary` by many never shows two, or none."""
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
        """Update sets the caption and nothing else."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(image.user))
        assert repository.update(image.id, {"caption": "é"}) == attrs.evolve(image, caption="é")
        assert repository.update(other.id, {"caption": "x"}, user=image.user) == attrs.evolve(other, caption="x")
        assert repository.update(image.id, {"caption": ""}, user=new_user()) is None
        assert repository.update(new_image("x").id, {"caption": ""}) is None
        assert repository.get(image.id) == attrs.evolve(image, caption="é")

    # begin_delete, finish, claim_expired

    def test_begin_delete_leaves_an_intent_due_at_once(self, repository: ImageRepository) -> None:
        """`begin_delete` leaves an intent that is due at once."""
        image = publish(repository, new_image(new_user()), is_primary=True, idempotency_key="k")
        intent = delete_one(repository, image.id)
        assert intent
        assert is_deletion(intent, image.user)
        assert intent.object_keys == image.object_keys
        assert repository.get(image.id) is None
        assert list(repository.list(image.user, limit=9)) == list(repository.primaries([image.user])) == []
        assert claim_expired_of(repository, image.user, NOW) == [intent]

    def test_begin_delete_leaves_other_images_alone(self, repository: ImageRepository) -> None:
        """`begin_delete` leaves other images alone."""
        chosen = publish(repository, new_image(new_user()), is_primary=True)
        other = publish(repository, new_image(chosen.user))
        assert delete_one(repository, other.id, user=new_user()) is delete_one(repository, new_image("x").id) is None
        assert repository.get(other.id) == other
        assert delete_one(repository, other.id, user=chosen.user)
        assert list(repository.list(chosen.user, limit=9)) == [chosen]

    def test_the_idempotency_key_dies_with_the_image(self, repository: ImageRepository) -> None:
        """The idempotency key dies with the image."""
        image = publish(repository, new_image(new_user()), idempotency_key="k")
        delete_one(repository, image.id)
        assert publish(repository, new_image(image.user), idempotency_key="k").id != image.id

    def test_of_many_that_delete_one_gets_the_intent(self, repository: ImageRepository) -> None:
        """Of many that delete one gets the intent."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        outcomes = at_once([partial(delete_one, repository, image.id)] * 6)
        assert claim_expired_of(repository, image.user, NOW) == [each for each in outcomes if each is not None]

    def test_delete_and_set_primary_leave_no_primary(self, repository: ImageRepository) -> None:
        """`begin_delete` and `set_primary` at once leave no primary without an image."""
        for _ in range(5):
            image = publish(repository, new_image(new_user()), is_primary=True)
            calls: list[Callable[[], object]] = [partial(delete_one, repository, image.id)]
            calls += [partial(repository.set_primary, image.id)] * 3
            assert isinstance(at_once(calls)[0], Intent)
            assert list(repository.primaries([image.user])) == []

    def test_many_are_deleted_at_once(self, repository: ImageRepository) -> None:
        """Many are deleted at once."""
        user = new_user()
        images = [publish(repository, new_image(user)) for _ in range(5)]
        other, missing = publish(repository, new_image(new_user())), new_image("x")
        chosen = [each.id for each in (images[0], images[1], missing, other, images[1])]
        intents = repository.begin_delete(chosen, user=user)
        assert sorted(each.object_keys for each in intents) == sorted(each.object_keys for each in images[:2])
        assert sorted(ids(repository.list(user, limit=9))) == sorted(ids(images[2:]))
        assert repository.get(other.id)
        assert len(repository.begin_delete([images[2].id, other.id])) == 2
        assert by_id(claim_expired_of(repository, user, NOW))[:0] == list(repository.begin_delete([])) == []

    def test_many_are_finished_at_once(self, repository: ImageRepository) -> None:
        """Many are finished at once."""
        user = new_user()
        begun = [begin_upload(repository, new_image(user)) for _ in range(4)]
        repository.finish(begun[1:3])
        repository.finish([])
        assert by_id(claim_expired_of(repository, user, NOW + LEASE)) == by_id([begun[0], begun[3]])

    def test_intents_are_listed_and_not_claimed(self, repository: ImageRepository) -> None:
        """Intents are listed and not claimed."""
        user = new_user()
        begun = {begin_upload(repository, new_image(user)).id for _ in range(5)}
        seen, after = list[Intent](), None
        while page := repository.list_intents(after=after, limit=2):
            assert len(page) <= 2
            assert after is None or page[-1].id > after, "list_intents returns what it returned before"
            seen += page
            after = page[-1].id
        assert ids(seen) == sorted(ids(seen)), "they are not in the order of their ids"
        assert begun == {each.id for each in seen if each.user == user}
        assert not any(each.claimed for each in seen if each.user == user)
        assert {each.id for each in claim_expired_of(repository, user, NOW + LEASE)} == begun

    def test_finish_deletes_the_one_intent(self, repository: ImageRepository) -> None:
        """Finish deletes the one intent."""
        one = begin_upload(repository, new_image(new_user()), idempotency_key="k")
        other = begin_upload(repository, new_image(one.user))
        for _ in range(2):
            repository.finish([one])
        assert claim_expired_of(repository, one.user, NOW + LEASE) == [other]
        begin_upload(repository, new_image(one.user), idempotency_key="k")

    def test_claim_expired_takes_what_is_over_once(self, repository: ImageRepository) -> None:
        """Claim_expired takes what is over once, and moves its lease on."""
        image = new_image(new_user())
        intent, hour = begin_upload(repository, image), timedelta(hours=1)
        taken = attrs.evolve(intent, claimed=True, lease_until=intent.lease_until + hour)
        assert claim_expired_of(repository, image.user, intent.lease_until - TICK) == []
        assert claim_expired_of(repository, image.user, intent.lease_until) == [intent]
        assert claim_expired_of(repository, image.user, taken.lease_until - TICK) == []
        assert (
            claim_expired_of(repository, image.user, taken.lease_until)
            == claim_expired_of(repository, image.user, taken.lease_until)
            == [taken]
        )

    def test_claim_expired_gives_the_oldest_first(self, repository: ImageRepository) -> None:
        """The oldest come first, up to the limit."""
        finish_all(repository)
        leases = [NOW + LEASE * step for step in (3, 1, 2, 4)]
        for lease in leases:
            begin_upload(repository, new_image(new_user()), lease_until=lease)
        assert [each.lease_until for each in repository.claim_expired(NOW + 9 * LEASE, limit=2)] == sorted(leases)[:2]
        assert [each.lease_until for each in repository.claim_expired(NOW + 3 * LEASE, limit=2)] == sorted(leases)[2:3]
        assert finish_all(repository) == 4

    def test_an_untaken_intent_is_given_to_one_caller_only(self, repository: ImageRepository) -> None:
        """An untaken intent is given to one caller only."""
        user = new_user()
        begun = [begin_upload(repository, new_image(user)) for _ in range(20)]
        given = at_once([partial(claim_expired_of, repository, user, NOW + LEASE, limit=25)] * 6)
        given.append(claim_expired_of(repository, user, NOW + LEASE))
        assert by_id(intent for each in given for intent in each) == by_id(begun)
