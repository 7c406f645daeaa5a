"""The sentences about ``revise``, which is optional: one part of ``RepositoryContract``."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from userimages.model import Intent, UserImage, Variant, Variants
from userimages.protocols import ImageRepository
from userimages.testing.records import (
    LEASE,
    NOW,
    at_once,
    claim_expired_of,
    delete_one,
    is_deletion,
    new_image,
    new_intent,
    new_user,
    primary_ids,
    publish,
)

_KEEP_UNTIL = NOW + 9 * LEASE


class RevisionContract:
    """How an image comes to have other variants."""

    def test_revise_gives_the_image_its_new_variants(self, repository: ImageRepository) -> None:
        """Revise gives the image its new variants."""
        image = publish(repository, new_image(new_user()), is_primary=True)
        new = revised(image)
        assert list(repository.list(image.user, limit=9)) == [image]  # which a cache remembers
        done = revise(repository, image, new)
        for seen in (done, repository.get(image.id), *repository.list(image.user, limit=9)):
            assert seen == new
            assert list(seen.variants) == ["card", "640"], "the variants lost their order"
        read_back = repository.get(image.id)
        assert read_back
        assert done.recipe == read_back.recipe == new.recipe
        assert primary_ids(repository, image.user) == [image.id]
        assert repository.usage(image.user).stored_bytes == new.stored_bytes

    def test_revise_keeps_old_objects_for_a_while(self, repository: ImageRepository) -> None:
        """The intent is taken, and names the old objects until they are deleted."""
        image = publish(repository, new_image(new_user()))
        revise(repository, image, revised(image))
        assert claim_expired_of(repository, image.user, _KEEP_UNTIL - LEASE) == [], "they are due too early"
        (old,) = claim_expired_of(repository, image.user, _KEEP_UNTIL)
        left = {image.variants["320"].key, image.variants["1280"].key}
        assert set(old.object_keys) == left, "not the objects that only the old record named"
        assert (old.lease_until, old.idempotency_key, old.claimed) == (_KEEP_UNTIL, None, False)

    def test_revise_leaves_no_intent_without_an_old_object(self, repository: ImageRepository) -> None:
        """Revise leaves no intent where no object is left."""
        image = publish(repository, new_image(new_user()))
        revise(repository, image, attrs.evolve(image, recipe="f" * 16))
        assert claim_expired_of(repository, image.user, _KEEP_UNTIL) == []

    def test_revise_again_is_safe(self, repository: ImageRepository) -> None:
        """A second call, because the answer to the first was lost, returns what the first has made."""
        image = publish(repository, new_image(new_user()))
        intent = begin(repository, revised(image))
        calls = [partial(reviser(repository), intent, revised(image), of=image, keep_until=_KEEP_UNTIL)] * 2
        first, again = (call() for call in calls)
        assert first == again == repository.get(image.id)
        assert len(claim_expired_of(repository, image.user, _KEEP_UNTIL)) == 1

    def test_revise_changes_no_other_fact(self, repository: ImageRepository) -> None:
        """Revise changes no other fact."""
        image = publish(repository, new_image(new_user()))
        kept = repository.update(image.id, {"caption": "newer", "meta": {"a": 1}})
        revise(repository, image, revised(image))
        found = repository.get(image.id)
        assert kept
        assert found == attrs.evolve(revised(image), caption="newer", meta=kept.meta)

    def test_revise_does_nothing_if_the_recipe_is_another(self, repository: ImageRepository) -> None:
        """Revise does nothing once the recipe is another."""
        image = publish(repository, new_image(new_user()))
        assert_undone(repository, image, attrs.evolve(image, recipe="1" * 16))

    def test_revise_does_nothing_if_the_variants_are_new(self, repository: ImageRepository) -> None:
        """Revise does nothing once the variants are others."""
        image = publish(repository, new_image(new_user()))
        other = attrs.evolve(image.variants["640"], key=f"{image.key}.640-abcdef.webp")
        assert_undone(repository, image, attrs.evolve(image, variants=Variants({"640": other})))

    def test_revise_does_nothing_without_its_intent(self, repository: ImageRepository) -> None:
        """Revise does nothing without its intent."""
        for lose in (
            lambda intent: repository.finish([intent]),
            lambda intent: claim_expired_of(repository, intent.user, intent.lease_until),
        ):
            image = publish(repository, new_image(new_user()))
            intent = begin(repository, revised(image))
            lose(intent)
            assert reviser(repository)(intent, revised(image), of=image, keep_until=_KEEP_UNTIL) is None
            assert repository.get(image.id) == image
            left = claim_expired_of(repository, image.user, _KEEP_UNTIL)
            assert {each.id for each in left} <= {intent.id}, "old objects were given up"

    def test_revise_does_nothing_to_an_image_that_is_gone(self, repository: ImageRepository) -> None:
        """Revise does nothing to an image that is gone."""
        image = publish(repository, new_image(new_user()))
        intent = begin(repository, revised(image))
        deletion = delete_one(repository, image.id)
        assert reviser(repository)(intent, revised(image), of=image, keep_until=_KEEP_UNTIL) is None
        assert repository.get(image.id) is None
        assert {each.id for each in claim_expired_of(repository, image.user, _KEEP_UNTIL)} == {
            intent.id,
            deletion and deletion.id,
        }

    def test_of_many_that_revise_at_once_one_does(self, repository: ImageRepository) -> None:
        """Of many that revise at once one does."""
        image = publish(repository, new_image(new_user()))
        tries = [attrs.evolve(revised(image), placeholder=f"{n}") for n in range(6)]
        calls = [
            partial(reviser(repository), begin(repository, each), each, of=image, keep_until=_KEEP_UNTIL)
            for each in tries
        ]
        (done,) = filter(None, at_once(calls))
        assert repository.get(image.id) == done
        assert len(claim_expired_of(repository, image.user, NOW + LEASE)) == 5

    def test_a_deletion_meanwhile_names_every_object(self, repository: ImageRepository) -> None:
        """A deletion at the same time names every object."""
        for _ in range(5):
            image = publish(repository, new_image(new_user()))
            new = revised(image)
            intent = begin(repository, new)
            revising = partial(reviser(repository), intent, new, of=image, keep_until=_KEEP_UNTIL)
            done, deletion = at_once([revising, partial(delete_one, repository, image.id)])
            assert repository.get(image.id) is None
            assert is_deletion(deletion, image.user)
            assert set(deletion.object_keys) == set((new if done else image).object_keys)
            left = {key for each in claim_expired_of(repository, image.user, _KEEP_UNTIL) for key in each.object_keys}
            assert left == {*new.object_keys, *image.object_keys}


def revised(image: UserImage) -> UserImage:
    """Return *image* with other variants, of which one has an object that is there already."""
    stem = image.key.removesuffix(".jpg")
    card = Variant(f"{stem}.card-abcdef.webp", 300, 300, 700, "image/webp", "d" * 64)
    return attrs.evolve(
        image,
        variants=Variants({"card": card, "640": image.variants["640"]}),
        recipe="fedcba9876543210",
        placeholder="bmV3",
        stored_bytes=image.size_bytes + 1600,
    )


def reviser(repository: ImageRepository) -> Callable[..., UserImage | None]:
    """Return the method, or skip the test where there is none."""
    found: Any = getattr(repository, "revise", None)
    if found is None:
        pytest.skip(f"{type(repository).__name__} has no revise(), so it cannot rebuild")
    return found  # type: ignore[no-any-return]


def begin(repository: ImageRepository, new: UserImage) -> Intent:
    """Begin to put the objects of a revision."""
    intent = attrs.evolve(new_intent(new), object_keys=(new.variants["card"].key,) if "card" in new.variants else ())
    assert repository.begin_upload(intent, now=NOW) is None
    return intent


def revise(repository: ImageRepository, image: UserImage, new: UserImage) -> UserImage:
    """Begin and revise, which must succeed."""
    method = reviser(repository)
    done = method(begin(repository, new), new, of=image, keep_until=_KEEP_UNTIL)
    assert done
    return done


def assert_undone(repository: ImageRepository, image: UserImage, of: UserImage) -> None:
    """Check that nothing happens to *image* if it is not as *of*."""
    method = reviser(repository)
    intent = begin(repository, revised(image))
    assert method(intent, revised(image), of=of, keep_until=_KEEP_UNTIL) is None
    found = repository.get(image.id)
    assert found == image
    assert found.recipe == image.recipe
    assert claim_expired_of(repository, image.user, _KEEP_UNTIL) == [intent]
