"""The sentences of ``begin_upload`` and ``publish``: one part of ``RepositoryContract``."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import attrs
import pytest

from userimages.errors import ConflictError
from userimages.model import Intent, PublishResult, UserImage
from userimages.protocols import ImageRepository
from userimages.testing.records import (
    COVER,
    GALLERY,
    LEASE,
    NOW,
    PROFILE,
    TICK,
    at_once,
    begin_upload,
    by_id,
    claim_expired_of,
    ids,
    is_deletion,
    new_image,
    new_intent,
    new_user,
    primary_ids,
    publish,
    upload,
)


class PublicationContract:
    """How an image comes to be listed, and what an idempotency key does."""

    # begin

    def test_begin_inserts_the_intent_whole(self, repository: ImageRepository) -> None:
        """`begin_upload` inserts the intent whole."""
        intent = new_intent(new_image(new_user()), idempotency_key="a key")
        assert repository.begin_upload(intent, now=NOW) is None
        assert claim_expired_of(repository, intent.user, NOW + LEASE) == [intent]

    def test_begin_returns_the_image_that_the_key_made(self, repository: ImageRepository) -> None:
        """Begin returns the image that the key already made."""
        first = publish(repository, new_image(new_user()), is_primary=True, idempotency_key="k")
        again = new_intent(new_image(first.user), idempotency_key="k")
        assert repository.begin_upload(again, now=NOW) == first
        assert claim_expired_of(repository, first.user, NOW + LEASE) == [], "an intent was inserted"

    def test_begin_refuses_a_key_of_another_file(self, repository: ImageRepository) -> None:
        """A key that made an image of another file is refused."""
        first = publish(repository, new_image(new_user()), idempotency_key="k")
        again = attrs.evolve(new_intent(new_image(first.user), idempotency_key="k"), input_sha256="e" * 64)
        with pytest.raises(ConflictError):
            repository.begin_upload(again, now=NOW)
        assert claim_expired_of(repository, first.user, NOW + LEASE) == [], "an intent was inserted"

    def test_begin_refuses_a_key_that_a_live_intent_holds(self, repository: ImageRepository) -> None:
        """Begin refuses a key that a live intent holds."""
        first = begin_upload(repository, new_image(new_user()), idempotency_key="k")
        with pytest.raises(ConflictError):
            begin_upload(repository, new_image(first.user), idempotency_key="k", now=first.lease_until - TICK)
        assert claim_expired_of(repository, first.user, NOW + LEASE) == [first], "the second intent was inserted"

    def test_begin_takes_the_key_from_an_expired_intent(self, repository: ImageRepository) -> None:
        """The key is taken from an intent whose lease is over."""
        image, other = new_image(new_user()), new_image(new_user())
        late = begin_upload(repository, image, idempotency_key="k")
        next_try = begin_upload(
            repository, attrs.evolve(other, user=image.user), idempotency_key="k", now=late.lease_until
        )
        assert repository.publish(late, image, is_primary=True, replace=True) is None
        assert repository.publish(next_try, attrs.evolve(other, user=image.user), is_primary=False, replace=False)
        assert ids(repository.list(image.user, limit=9)) == [other.id]

    def test_begin_takes_the_key_from_a_claimed_intent(self, repository: ImageRepository) -> None:
        """Begin takes the key from a claimed intent."""
        late = begin_upload(repository, new_image(new_user()), idempotency_key="k")
        assert claim_expired_of(repository, late.user, late.lease_until) == [late]
        begin_upload(repository, new_image(late.user), idempotency_key="k", now=late.lease_until)

    def test_keys_are_per_user_and_exact(self, repository: ImageRepository) -> None:
        """Keys are per user and exact, and None is not a key."""
        user = new_user()
        for key in ("k", "K", "k ", None, None):
            begin_upload(repository, new_image(user), idempotency_key=key)
            begin_upload(repository, new_image(new_user()), idempotency_key=key)
        assert len(claim_expired_of(repository, user, NOW + LEASE)) == 5

    def test_of_many_with_one_key_at_once_one_goes_on(self, repository: ImageRepository) -> None:
        """Of many with one key at once one goes on."""
        for held in (False, True):
            user = new_user()
            if held:
                begin_upload(repository, new_image(user), idempotency_key="k")
            go_on = partial(begin_upload, repository, idempotency_key="k", now=NOW + LEASE, lease_until=NOW + 2 * LEASE)
            tries = [partial(go_on, new_image(user)) for _ in range(8)]
            assert sum(isinstance(outcome, Intent) for outcome in at_once(tries, ConflictError)) == 1

    def test_uploads_with_one_key_at_once_make_one_image(self, repository: ImageRepository) -> None:
        """Uploads with one key at once make one image."""
        user = new_user()
        tries = [partial(upload, repository, new_image(user), idempotency_key="k") for _ in range(12)]
        made = {image.id for image in at_once(tries, ConflictError) if isinstance(image, UserImage)}
        assert made == set(ids(repository.list(user, limit=99)))
        assert len(made) == 1

    # publish

    def test_published_is_listed_and_its_intent_gone(self, repository: ImageRepository) -> None:
        """What is published is listed, and its intent is gone."""
        image = new_image(new_user())
        intent = begin_upload(repository, image)
        assert not repository.list(image.user, limit=9)
        assert repository.publish(intent, image, is_primary=False, replace=False) == PublishResult(image)
        assert ids(repository.list(image.user, limit=9)) == [image.id]
        assert claim_expired_of(repository, image.user, NOW + LEASE) == []

    def test_publish_again_is_safe(self, repository: ImageRepository) -> None:
        """A second call, because the answer to the first was lost, returns what the first has made."""
        image = new_image(new_user())
        intent = begin_upload(repository, image, idempotency_key="k")
        first = repository.publish(intent, image, is_primary=True, replace=True)
        assert first
        again = repository.publish(intent, image, is_primary=True, replace=True)
        assert again == PublishResult(first.image)
        assert list(repository.list(image.user, limit=9)) == [first.image]

    def test_publish_changes_nothing_without_its_intent(self, repository: ImageRepository) -> None:
        """Publish changes nothing once the intent is gone or claimed."""
        kept = publish(repository, new_image(new_user()), is_primary=True)
        for lost in (
            lambda intent: repository.finish([intent]),
            lambda intent: claim_expired_of(repository, intent.user, intent.lease_until),
        ):
            image = new_image(kept.user)
            intent = begin_upload(repository, image)
            lost(intent)
            assert repository.publish(intent, image, is_primary=True, replace=True) is None
            assert repository.get(image.id) is None
            assert list(repository.list(kept.user, limit=9)) == [kept]

    def test_publish_claims_the_ticket_of_the_image(self, repository: ImageRepository) -> None:
        """Publishing the image of a ticket claims the ticket, as a sweep does."""
        image = new_image(new_user())
        ticket = begin_upload(repository, image, id=image.id)
        other = begin_upload(repository, new_image(image.user))
        publish(repository, image)
        assert repository.list_intents(after=UUID(int=image.id.int - 1), limit=1) == (
            attrs.evolve(ticket, claimed=True, lease_until=ticket.lease_until + timedelta(hours=1)),
        )
        assert claim_expired_of(repository, image.user, NOW + LEASE) == [other], "another intent was claimed"

    def test_one_ticket_makes_one_image(self, repository: ImageRepository) -> None:
        """One ticket makes one image, and none again once that was deleted."""
        image = new_image(new_user())
        begin_upload(repository, image, id=image.id)
        publish(repository, image)
        repository.begin_delete([image.id])
        kept = publish(repository, new_image(image.user), is_primary=True)
        again = begin_upload(repository, image)
        assert repository.publish(again, image, is_primary=True, replace=True) is None
        assert list(repository.list(image.user, limit=9)) == [kept], "a deleted image came back"
        assert again in claim_expired_of(repository, image.user, NOW + LEASE), "the intent is gone"

    def test_what_cannot_be_published_claims_no_ticket(self, repository: ImageRepository) -> None:
        """An intent that cannot be published leaves the ticket of its image alone."""
        image = new_image(new_user())
        ticket = begin_upload(repository, image, id=image.id)
        lost = begin_upload(repository, image)
        repository.finish([lost])
        assert repository.publish(lost, image, is_primary=False, replace=False) is None
        assert claim_expired_of(repository, image.user, NOW + LEASE) == [ticket]

    def test_publish_goes_by_the_intent_not_by_the_clock(self, repository: ImageRepository) -> None:
        """Publish goes by the intent, and not by the clock."""
        image = new_image(new_user())
        intent = begin_upload(repository, image, now=NOW + 9 * LEASE)
        assert repository.publish(intent, image, is_primary=False, replace=False)

    def test_one_intent_published_by_many_makes_one_image(self, repository: ImageRepository) -> None:
        """One intent published by many makes one image."""
        image = new_image(new_user())
        intent = begin_upload(repository, image)
        each = partial(repository.publish, intent, image, is_primary=False, replace=False)
        assert at_once([each] * 6) == [PublishResult(image)] * 6
        assert list(repository.list(image.user, limit=9)) == [image]

    def test_an_intent_is_either_published_or_claimed(self, repository: ImageRepository) -> None:
        """An intent is either published or claimed."""
        for _ in range(5):
            image = new_image(new_user())
            intent = begin_upload(repository, image)
            publishing = partial(repository.publish, intent, image, is_primary=False, replace=False)
            published, taken = at_once(
                [publishing, partial(claim_expired_of, repository, image.user, intent.lease_until)]
            )
            assert (published is None) == (taken == [intent])
            assert (published is None) == (repository.get(image.id) is None)

    def test_is_primary_makes_the_image_the_only_primary(self, repository: ImageRepository) -> None:
        """`is_primary` makes the image the only primary."""
        user = new_user()
        for image_type in (GALLERY, PROFILE, GALLERY):
            image = publish(repository, new_image(user, image_type), is_primary=True)
            assert image.is_primary
            assert primary_ids(repository, user) == [image.id]

    def test_an_image_is_not_primary_unless_asked(self, repository: ImageRepository) -> None:
        """An image is not primary unless asked."""
        image = publish(repository, attrs.evolve(new_image(new_user()), is_primary=True))
        assert not image.is_primary
        assert primary_ids(repository, image.user) == []
        chosen = publish(repository, new_image(image.user), is_primary=True)
        publish(repository, new_image(image.user))
        assert primary_ids(repository, image.user) == [chosen.id]

    def test_replace_deletes_the_others_of_the_type(self, repository: ImageRepository) -> None:
        """`replace` deletes the others of the type."""
        user = new_user()
        old = [publish(repository, new_image(user, PROFILE), is_primary=True) for _ in range(3)]
        kept = publish(repository, new_image(user, COVER)), publish(repository, new_image(new_user(), PROFILE))
        image = new_image(user, PROFILE)
        published = repository.publish(begin_upload(repository, image), image, is_primary=False, replace=True)
        assert published
        assert sorted(each.object_keys for each in published.replaced) == sorted(each.object_keys for each in old)
        assert all(is_deletion(each, user) for each in published.replaced)
        assert len({each.id for each in published.replaced}) == 3
        assert sorted(ids(repository.list(user, limit=9))) == sorted([kept[0].id, image.id])
        assert repository.get(kept[1].id)
        assert primary_ids(repository, user) == []
        assert by_id(claim_expired_of(repository, user, NOW)) == by_id(published.replaced)

    def test_replacing_the_primary_by_a_primary_leaves_one(self, repository: ImageRepository) -> None:
        """Replace of the primary by a primary leaves one."""
        old = publish(repository, new_image(new_user()), is_primary=True)
        image = publish(repository, new_image(old.user), is_primary=True, replace=True)
        assert primary_ids(repository, old.user) == [image.id]

    def test_two_that_replace_at_once_leave_one(self, repository: ImageRepository) -> None:
        """Two that replace at once leave one."""
        user = new_user()
        publish(repository, new_image(user))
        tries = [partial(publish, repository, new_image(user), is_primary=True, replace=True) for _ in range(6)]
        made = at_once(tries)
        (left,) = repository.list(user, limit=9)
        assert left.id in ids(made)
        assert left.is_primary
