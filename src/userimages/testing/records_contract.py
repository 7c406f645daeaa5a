"""What a repository does with records beyond one user's listing: one part of ``RepositoryContract``."""

import json
import pickle
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import attrs
import pytest

from userimages.errors import InvalidFieldError
from userimages.model import Meta, UserImage
from userimages.protocols import ImageRepository
from userimages.testing.records import (
    COVER,
    GALLERY,
    PROFILE,
    TICK,
    begin_upload,
    by_id,
    delete_one,
    ids,
    new_image,
    new_user,
    primary_ids,
    publish,
    rows_of,
)


class RecordsContract:
    """Types as data, many images at once, all users, how much they take, and primaries of two scopes."""

    # types and facts

    def test_a_type_is_any_name(self, repository: ImageRepository) -> None:
        """A type is any name."""
        image = publish(repository, new_image(new_user(), "banner_2"), is_primary=True)
        publish(repository, new_image(image.user, COVER))
        assert ids(repository.list(image.user, limit=9, image_type="banner_2")) == [image.id]
        assert not repository.list(image.user, limit=9, image_type="banner")
        assert type(image.image_type) is str

    def test_the_recipe_is_read_where_it_is_needed(self, repository: ImageRepository) -> None:
        """The recipe is read where it is needed."""
        image = publish(repository, new_image(new_user()))
        seen = repository.get(image.id)
        assert seen
        assert [seen.recipe, *(each.recipe for each in rows_of(repository, image))] == [image.recipe] * 2

    def test_records_hash_and_pages_pickle(self, repository: ImageRepository) -> None:
        """Records hash and pages pickle."""
        image = publish(repository, new_image(new_user()))
        page = repository.list(image.user, limit=9)
        assert {image, *page, repository.get(image.id)} == {image}
        assert pickle.loads(pickle.dumps(page)) == page

    def test_meta_comes_back_as_it_was(self, repository: ImageRepository) -> None:
        """`meta` comes back as it was."""
        for values in _METAS:
            image = publish(repository, attrs.evolve(new_image(new_user()), meta=values))
            for seen in (image, repository.get(image.id), *repository.list(image.user, limit=1)):
                assert seen is not None
                assert json.dumps(dict(seen.meta)) == json.dumps(values)
                assert hash(seen.meta) == hash(Meta.of(values))

    # get_many, recent, usage

    def test_get_many_finds_those_that_are_there(self, repository: ImageRepository) -> None:
        """`get_many` finds those that are there."""
        images = [publish(repository, new_image(new_user(), PROFILE), is_primary=True) for _ in range(3)]
        publish(repository, new_image(images[0].user))
        wanted = [*ids(images), uuid4(), images[0].id]
        assert by_id(repository.get_many(wanted)) == by_id(images)
        assert list(repository.get_many([])) == []
        assert by_id(repository.get_many(ids(images) + [uuid4() for _ in range(997)])) == by_id(images)

    def test_recent_is_newest_first_over_all_users(self, repository: ImageRepository) -> None:
        """`recent` is newest first, over all users."""
        start = datetime(8000, 1, 1, tzinfo=UTC) + timedelta(seconds=uuid4().int % 10**9)
        steps = (2, 0, 1, 3)
        users = sorted((new_user() for _ in steps), reverse=True)  # the order of the keys is another than that of time
        images = [publish(repository, new_image(users[step], at=start + step * TICK)) for step in steps]
        newest_first = [image.id for _, image in sorted(zip(steps, images, strict=True), reverse=True)]
        assert [id for id in _recent(repository, limit=2) if id in newest_first] == newest_first
        below = [id for id in _recent(repository, limit=9, after=newest_first[1]) if id in newest_first]
        assert below == newest_first[2:]

    def test_recent_narrows_to_one_type(self, repository: ImageRepository) -> None:
        """`recent` narrows to one type."""
        start = datetime(8000, 1, 1, tzinfo=UTC) + timedelta(seconds=uuid4().int % 10**9)
        rare = f"t{uuid4().hex[:12]}"
        images = [
            publish(repository, new_image(new_user(), name, at=start + step * TICK), is_primary=True)
            for step, name in enumerate((rare, GALLERY, rare))
        ]
        assert list(repository.recent(limit=9, image_type=rare)) == [images[2], images[0]]
        assert list(repository.recent(limit=1, image_type=rare)) == [images[2]]
        assert list(repository.recent(limit=9, image_type=rare, after=images[2].id)) == [images[0]]

    def test_usage_counts_images_and_all_their_bytes(self, repository: ImageRepository) -> None:
        """Usage counts images and all their bytes."""
        user = new_user()
        assert attrs.astuple(repository.usage(user)) == (0, 0)
        sizes = (3_000_000_000, 5, 2_000_000_000)
        images = [publish(repository, attrs.evolve(new_image(user), stored_bytes=size)) for size in sizes]
        publish(repository, new_image(new_user()))
        begin_upload(repository, new_image(user))
        usage = repository.usage(user)
        assert (usage.images, usage.stored_bytes) == (3, 5_000_000_005)
        assert type(usage.stored_bytes) is type(usage.images) is int
        delete_one(repository, images[0].id)
        assert repository.usage(user).stored_bytes == 2_000_000_005

    # update

    def test_update_sets_what_it_names(self, repository: ImageRepository) -> None:
        """Update sets what it names."""
        image = publish(repository, new_image(new_user()))
        meta = Meta.of({"alt": "Ein Hund"})
        assert repository.update(image.id, {"meta": meta}) == attrs.evolve(image, meta=meta)
        assert repository.update(image.id, {"meta": {"a": 1}}) == attrs.evolve(image, meta={"a": 1})
        changed = attrs.evolve(image, meta=Meta(), caption="x")
        assert repository.update(image.id, {"meta": Meta(), "caption": "x"}, user=image.user) == changed
        assert repository.get(image.id) == changed

    def test_update_refuses_other_names(self, repository: ImageRepository) -> None:
        """Update refuses other names."""
        image = publish(repository, new_image(new_user()))
        for name in ("captoin", "user", "image_type", "key", "is_primary", "id"):
            with pytest.raises(InvalidFieldError):
                repository.update(image.id, {"caption": "x", name: "x"})
        assert repository.get(image.id) == image

    # primaries of two scopes

    def test_one_primary_of_each_type(self, repository: ImageRepository) -> None:
        """One primary of each type."""
        user = new_user()
        profile, cover, other = (publish(repository, new_image(user, name)) for name in (PROFILE, COVER, PROFILE))
        for image in (profile, cover, other):
            assert _choose(repository, image) == attrs.evolve(image, is_primary=True)
        assert sorted(primary_ids(repository, user)) == sorted([cover.id, other.id])
        assert ids(repository.primaries([user], image_type=PROFILE)) == [other.id]
        assert ids(repository.primaries([user], image_type=COVER)) == [cover.id]
        assert not repository.primaries([user], image_type=GALLERY)
        assert not repository.primaries([user])

    def test_publishing_makes_one_of_each_type(self, repository: ImageRepository) -> None:
        """Publishing makes one of each type."""
        user = new_user()
        for replace in (False, True):
            made = [_publish_of_type(repository, new_image(user, name), replace) for name in (PROFILE, COVER)]
            assert [each.is_primary for each in made] == [True, True]
            for image in made:
                assert ids(repository.primaries([user], image_type=image.image_type)) == [image.id]
        assert len(primary_ids(repository, user)) == 2

    def test_the_old_primary_stays_that_of_its_type(self, repository: ImageRepository) -> None:
        """The old primary stays that of its type."""
        user = new_user()
        overall = publish(repository, new_image(user, PROFILE), is_primary=True)
        cover = publish(repository, new_image(user, COVER))
        assert repository.primaries([user], image_type=PROFILE) == (overall,)
        assert not repository.primaries([user], image_type=COVER)
        _choose(repository, cover)
        assert sorted(primary_ids(repository, user)) == sorted([overall.id, cover.id])
        assert ids(repository.primaries([user], image_type=PROFILE)) == [overall.id]
        newer = _publish_of_type(repository, new_image(user, PROFILE), replace=False)
        assert sorted(primary_ids(repository, user)) == sorted([newer.id, cover.id])
        assert not repository.primaries([user])

    def test_one_over_all_types_ends_those_of_types(self, repository: ImageRepository) -> None:
        """One over all types ends those of types."""
        user = new_user()
        profile, cover = (
            _publish_of_type(repository, new_image(user, name), replace=False) for name in (PROFILE, COVER)
        )
        assert not repository.primaries([user])
        repository.set_primary(cover.id)
        assert primary_ids(repository, user) == ids(repository.primaries([user])) == [cover.id]
        _choose(repository, profile)
        published = publish(repository, new_image(user), is_primary=True)
        assert primary_ids(repository, user) == [published.id]

    def test_choosing_leaves_other_users_alone(self, repository: ImageRepository) -> None:
        """Choosing leaves other users alone."""
        one, other = (publish(repository, new_image(new_user(), PROFILE), is_primary=True) for _ in range(2))
        _choose(repository, one)
        repository.set_primary(one.id)
        assert repository.set_primary(one.id, user=other.user, per_type=True) is None
        assert ids(repository.primaries([other.user])) == primary_ids(repository, other.user) == [other.id]

    def test_a_deleted_image_is_primary_of_nothing(self, repository: ImageRepository) -> None:
        """A deleted image is primary of nothing."""
        for per_type in (False, True):
            image = publish(repository, new_image(new_user(), PROFILE))
            repository.set_primary(image.id, per_type=per_type)
            delete_one(repository, image.id)
            for image_type in (None, PROFILE):
                assert not repository.primaries([image.user], image_type=image_type)

    # the database

    def test_the_id_of_the_database_stays(self, repository: ImageRepository) -> None:
        """The id of the database stays."""
        database_id = getattr(repository, "database_id", None)
        if database_id is None:
            pytest.skip("this repository has no database_id(), which is optional")
        assert database_id() == database_id() != ""
        assert type(database_id()) is str


_METAS: tuple[dict[str, object], ...] = (
    {},
    {"": ""},
    {"a": {"b": [1, -0.0, 1e300, None, True, "é 🐈 \u2028 \\ \" '"]}},
    {"n": 2**70},
)


def _recent(repository: ImageRepository, *, limit: int, after: UUID | None = None) -> list[UUID]:
    """Return the ids of the most recent images of the far future, where this suite puts them, page by page."""
    seen: list[UUID] = []
    while page := repository.recent(limit=limit, after=after):
        assert len(page) <= limit
        assert after is None or page[-1].id < after, "recent returns what it returned before"
        seen += ids(page)
        after = page[-1].id
        if page[-1].uploaded_at.year < 8000:
            break
    return seen


def _choose(repository: ImageRepository, image: UserImage) -> UserImage | None:
    return repository.set_primary(image.id, per_type=True)


def _publish_of_type(repository: ImageRepository, image: UserImage, replace: bool) -> UserImage:
    intent = begin_upload(repository, image)
    published = repository.publish(intent, image, is_primary=True, replace=replace, per_type=True)
    assert published
    return published.image
