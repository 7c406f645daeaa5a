"""Types as data, meta, dates, many at once, how much a user has, and primaries per type: through the service."""

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from userimages import ConfigurationError, ImageRepository, ImageService, InvalidFieldError
from userimages.ids import instant_of, new_id, utcnow
from userimages.keys import new_stem, object_key, owner_of
from userimages.lifecycle.audit import ORPHAN_AGE
from userimages.model import Intent, Meta, ProcessedImage, Rendition, StoredObject, Usage, UserDeletion
from userimages.processing import Fit, PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.images import make_image

WITHOUT_COVER = {"banner": Recipe(Fit(600), variants={"small": Fit(60)}), "cover": None}


class OldStorage(MemoryStorage):
    """A storage whose objects are all older than an audit asks, except its probe."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        for found in super().list(prefix, after=after):
            age = timedelta(0) if "probe" in found.key else 2 * ORPHAN_AGE
            yield StoredObject(found.key, found.size, found.modified - age)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageRepository]:
    if request.param == "memory":
        yield MemoryRepository()
        return
    url = f"sqlite:///{tmp_path}/db" if request.param == "sqlite" else request.getfixturevalue("own_database")
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    yield repository
    repository.close()


@pytest.fixture
def service(repository: ImageRepository, tiny_processor) -> ImageService:
    return ImageService(MemoryStorage(), repository, processor=tiny_processor)


# types


def test_a_type_is_added_to_what_was_made_without(repository: ImageRepository, user: str) -> None:
    """A recipe adds a type: uploaded, listed, audited, swept and deleted on a database that was made before it."""
    storage = OldStorage()
    before = ImageService(storage, repository)
    cover = before.upload(user, make_image("PNG", (90, 60)), image_type="cover")
    with pytest.raises(InvalidFieldError, match="profile, gallery, cover"):
        before.upload(user, make_image("PNG", (90, 60)), image_type="banner")
    images = ImageService(storage, repository, processor=PillowProcessor(recipes=WITHOUT_COVER))
    banner = images.upload(user, make_image("PNG", (900, 600)), image_type="banner", is_primary=True)
    assert (banner.width, list(banner.variants), type(banner.image_type)) == (600, ["small"], str)
    assert list(images.list(user, image_type="banner")) == [banner]
    assert list(images.list(user, image_type="cover")) == [cover], "images of a type that was taken away stay"
    with pytest.raises(InvalidFieldError, match="profile, gallery, banner"):
        images.upload(user, make_image("PNG", (90, 60)), image_type="cover")
    report = images.audit(delete=True, max_share=1)
    assert (report.orphans, report.missing, report.unknown) == ((), (), 0)
    images.delete(banner.id)
    images.sweep()
    assert images.delete_user(user) == UserDeletion(1)
    assert not list(storage.list(f"users/{user}/"))


def test_an_orphan_of_an_own_type_is_found(repository: ImageRepository, user: str) -> None:
    """The key grammar knows types by their pattern, so an audit finds what is left of any type."""
    storage = OldStorage()
    images = ImageService(storage, repository, processor=PillowProcessor(recipes=WITHOUT_COVER))
    kept = images.upload(user, make_image("PNG", (90, 60)), image_type="profile")
    key = object_key(new_stem(user, "banner", utcnow(), owner_of(repository.database_id())), "image/webp", "small")
    storage.put(key, b"left over", mime_type="image/webp")
    intent = Intent(id=new_id(utcnow()), user=user, object_keys=(key,), lease_until=utcnow() + timedelta(hours=1))
    repository.begin_upload(intent, now=utcnow())
    assert images.audit(delete=True, max_share=1).orphans == (), "the objects of work in hand are not orphans"
    repository.finish([intent])
    assert [each.key for each in images.audit(delete=True, max_share=1).orphans] == [key]
    assert {each.key for each in storage.list(f"users/{user}/")} == set(kept.object_keys)


@pytest.mark.parametrize("name", ["", "Banner", "1st", "a-b", "a" * 17, "é", "a b", None, 3])
def test_a_recipe_needs_a_well_formed_name(name: object) -> None:
    """A recipe needs a well formed name."""
    with pytest.raises(ConfigurationError, match="image type"):
        PillowProcessor(recipes={name: Recipe()})  # type: ignore[dict-item]


def test_a_type_that_is_not_there_is_not_taken_away() -> None:
    """Because it is a misspelt name."""
    with pytest.raises(ConfigurationError, match="no image type 'covers' to take away"):
        PillowProcessor(recipes={"covers": None})


def test_a_processor_without_a_recipe_says_so() -> None:
    """A wrapper that does not copy ``image_types`` lets the type through: then the processor refuses it itself."""
    inner = PillowProcessor(recipes=WITHOUT_COVER)

    def wrapper(data: bytes, image_type: str) -> ProcessedImage:
        return inner(data, image_type)

    images = ImageService(MemoryStorage(), MemoryRepository(), processor=wrapper)
    with pytest.raises(ConfigurationError, match="no recipe for the image type 'cover'"):
        images.upload("ana", make_image("PNG", (9, 6)), image_type="cover")
    assert not list(images.storage.list())


def test_the_recipe_is_recorded_and_told_apart(user: str) -> None:
    """The recipe is recorded, so that images of an older one are found."""
    plain, other = PillowProcessor(), PillowProcessor(recipes={"gallery": Recipe(quality=60)})
    assert plain.recipe_id("gallery") == PillowProcessor().recipe_id("gallery") != other.recipe_id("gallery")
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=plain)
    image = images.upload(user, make_image("PNG", (9, 6)), image_type="gallery")
    assert images.get(image.id).recipe == plain.recipe_id("gallery")
    assert len(image.recipe) == 16


@pytest.mark.parametrize("found", ["", "a" * 15, "a" * 40, "ABCDEF0123456789", 7, None])
def test_a_recipe_id_is_sixteen_hex_digits(found: object) -> None:
    """Before an object is put, because a database may not hold a longer one."""

    def process(data: bytes, image_type: str) -> ProcessedImage:
        return _as_it_is(data, image_type)

    process.recipe_id = lambda image_type: found  # type: ignore[attr-defined]
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=process)
    with pytest.raises(ConfigurationError, match="recipe_id"):
        images.upload("ana", b"x", image_type="gallery")
    assert not list(images.storage.list())


# the record


def test_to_dict_is_json_and_shows_no_secret(service: ImageService, user: str) -> None:
    """`to_dict()` is JSON, and shows no secret."""
    image = service.upload(user, b"photo", image_type="gallery", caption="My cat", meta={"private": "note"})
    shown = json.loads(json.dumps(image.to_dict()))
    ten = "id url image_type is_primary caption uploaded_at width height size_bytes mime_type"
    assert list(shown) == [*ten.split(), "placeholder", "frames", "variants"]
    assert shown["variants"]["64"].keys() == {"url", "width", "height", "size_bytes", "mime_type"}
    for secret in (user, "private", image.key, image.sha256):
        assert secret not in json.dumps(shown).replace(image.url, "")


def test_a_variant_is_chosen_by_its_width() -> None:
    """A variant is chosen by its width."""
    image = ImageService.in_memory().upload("ana", make_image("JPEG", (2000, 1000)), image_type="gallery")
    chosen = [image.variant(width).width for width in (1, 320, 321, 640, 1000, 1280, 1281, 9999)]
    assert chosen == [320, 320, 640, 640, 1280, 1280, 1920, 1920]


def test_variants_of_equal_bytes_share_an_object(repository: ImageRepository, user: str) -> None:
    """Their keys are equal, so each object is put, counted, audited and deleted once."""

    def process(data: bytes, image_type: str) -> ProcessedImage:
        same = Rendition(b"same", 4, 3, "image/webp")
        return ProcessedImage(
            Rendition(data, 4, 3, "image/jpeg"), {"a": same, "b": same, "c": Rendition(data, 4, 3, "image/jpeg")}
        )

    storage = OldStorage()
    images = ImageService(storage, repository, processor=process)
    image = images.upload(user, b"photo", image_type="gallery")
    assert len(image.object_keys) == len(set(image.object_keys)) == 2
    assert image.stored_bytes == len(b"same" + b"photo")
    assert sum(each.size for each in storage.list(f"users/{user}/")) == images.usage(user).stored_bytes == 9
    assert images.audit().missing == ()
    images.delete(image.id)
    assert not list(storage.list(f"users/{user}/"))


def test_frames_say_whether_it_moves() -> None:
    """Frames say whether it moves."""
    images = ImageService.in_memory()
    still = images.upload("ana", make_image("GIF", (40, 30)), image_type="gallery")
    moving = images.upload("ana", make_image("GIF", (40, 30), frames=3), image_type="gallery")
    assert [(each.frames, each.animated) for each in (still, moving)] == [(1, False), (3, True)]


def test_pages_pickle_with_the_urls_of_variants(service: ImageService, user: str) -> None:
    """Pages pickle, with the URLs of the variants."""
    service.upload(user, b"photo", image_type="gallery")
    page = pickle.loads(pickle.dumps(service.list(user)))
    assert page == service.list(user)
    assert page[0].variants["64"].url.endswith("?variant=64")


# meta


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_meta_is_what_was_given(values: dict[str, object]) -> None:
    """`meta` is what was given."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=_as_it_is)
    if len(Meta.of(values).text.encode()) > 4096:
        return
    image = images.upload("ana", b"x", image_type="gallery", meta=values)
    assert json.loads(json.dumps(dict(image.meta))) == json.loads(json.dumps(values))
    assert hash(image.meta) == hash(Meta.of(dict(reversed(values.items()))))


UNKEPT: list[object] = [
    {"a": float("nan")},
    {"a": [float("inf")]},
    {1: "a"},
    {"a": {None: 1}},
    {"a": "\0"},
    {"\0": 1},
    {"a": ["\udfff"]},
    {"a": {1, 2}},
    {"a": b"bytes"},
    {"a": datetime.now(UTC)},
    {"a": 10**4200},
    {"a": "x" * 4090},
    {"a": "é" * 2045},
    ["a"],
    "a",
    7,
]


def test_meta_that_cannot_be_kept_is_refused(service: ImageService, user: str) -> None:
    """A `meta` that cannot be kept is refused."""
    made = [Meta.of({"a": "x" * 4090}), Meta.of({"a": "\0"}), Meta("not JSON")]
    for each in (*UNKEPT, {"deep": _nested(5000)}, {"deep": _nested(33)}, *made):
        with pytest.raises(InvalidFieldError) as error:
            service.upload(user, b"x", image_type="gallery", meta=each)  # type: ignore[arg-type]
        assert error.value.field == "meta"
    assert not list(service.storage.list())


def test_meta_of_any_mapping_is_kept(service: ImageService, user: str) -> None:
    """A `meta` of any mapping is kept."""
    for each in (MappingProxyType({"a": 1}), Meta('{"a": 1}')):
        assert service.upload(user, b"x", image_type="gallery", meta=each).meta == Meta.of({"a": 1})
    assert service.upload(user, b"x", image_type="gallery", meta={"deep": _nested(30)}).meta["deep"] == _nested(30)


def _nested(depth: int) -> list[object]:
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def test_what_meta_gives_out_is_a_copy(service: ImageService, user: str) -> None:
    """What `meta` gives out is a copy."""
    image = service.upload(user, b"x", image_type="gallery", meta={"tags": ["cat"]})
    image.meta["tags"].append("dog")
    dict(image.meta)["tags"].append("dog")
    assert image.meta == service.get(image.id).meta == {"tags": ["cat"]}


def test_update_replaces_meta_whole(service: ImageService, user: str) -> None:
    """An update replaces `meta` whole."""
    image = service.upload(user, b"x", image_type="gallery", caption="Cat", meta={"a": 1, "b": 2})
    changed = service.update(image.id, meta={"b": 3})
    assert (dict(changed.meta), changed.caption) == ({"b": 3}, "Cat")
    assert service.update(image.id, caption="").meta == {"b": 3}
    assert service.update(image.id, caption="x", meta={}).meta == {}
    with pytest.raises(InvalidFieldError, match="Nothing to change"):
        service.update(image.id)


# dates


def test_an_adopted_image_keeps_its_date(service: ImageService, user: str) -> None:
    """Its id, its key and its place in the listing are made from the date, in whatever zone it is given."""
    now = service.upload(user, b"now", image_type="gallery")
    paris = timezone(timedelta(hours=2))
    dates = [
        datetime(2019, 5, 1, 12, tzinfo=paris),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2019, 5, 1, 12, tzinfo=paris),
    ]
    adopted = [service.upload(user, b"%d" % n, image_type="gallery", uploaded_at=at) for n, at in enumerate(dates)]
    assert [each.uploaded_at for each in adopted] == dates
    assert all(instant_of(each.id) == each.uploaded_at for each in adopted)
    assert [each.uploaded_at for each in service.list(user)] == [now.uploaded_at, dates[0], dates[0], dates[1]]
    assert service.upload(user, b"later", image_type="gallery").uploaded_at > now.uploaded_at


def test_a_retry_keeps_the_first_date(service: ImageService, user: str) -> None:
    """A retry keeps the first date."""
    at = datetime(2019, 1, 1, tzinfo=UTC)
    first = service.upload(user, b"x", image_type="gallery", idempotency_key="k", uploaded_at=at)
    later = service.upload(user, b"x", image_type="gallery", idempotency_key="k", uploaded_at=at + timedelta(1))
    assert later.uploaded_at == first.uploaded_at == at


@pytest.mark.parametrize(
    "at",
    [
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime(2999, 1, 1, tzinfo=UTC),
        datetime(2019, 1, 1),
        "2019-01-01",
        1546300800,
    ],
    ids=str,
)
def test_a_date_that_cannot_be_is_refused(service: ImageService, user: str, at: object) -> None:
    """A date that cannot be is refused."""
    with pytest.raises(InvalidFieldError) as error:
        service.upload(user, b"x", image_type="gallery", uploaded_at=at)  # type: ignore[arg-type]
    assert error.value.field == "uploaded_at"


def test_a_clock_a_little_ahead_counts_as_now(service: ImageService, user: str) -> None:
    """A clock a little ahead counts as now."""
    at = datetime.now(UTC) + timedelta(minutes=2)
    assert service.upload(user, b"x", image_type="gallery", uploaded_at=at).uploaded_at <= datetime.now(UTC)


@given(st.integers(0, 253_402_300_799_999_999))
def test_the_instant_of_an_id_is_exact(microseconds: int) -> None:
    """The instant of an id is exact."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert instant_of(new_id(at)) == at


# many at once


def test_fifty_covers_are_one_query(tmp_path: Path, tiny_processor) -> None:
    """A page of posts, each with a cover, asks the database once."""
    repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/db")
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    covers = [images.upload(f"user {n}", b"x", image_type="cover") for n in range(50)]
    statements: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    found = images.get_many([each.id for each in covers])
    assert list(found.values()) == covers
    assert sum(statement.startswith("SELECT") for statement in statements) == 1


def test_get_many_takes_any_spelling_once(service: ImageService, user: str) -> None:
    """`get_many` takes any spelling of an id, once."""
    one, other = (service.upload(user, b"x", image_type="cover") for _ in range(2))
    missing = uuid4()
    found = service.get_many([str(other.id).upper(), one.id.hex, missing, other.id])
    assert list(found.items()) == [(other.id, other), (one.id, one)]
    assert service.get_many([]) == {}
    for wrong in ("x", [1], ["x"], None, [uuid4() for _ in range(1001)]):
        with pytest.raises(InvalidFieldError):
            service.get_many(wrong)  # type: ignore[arg-type]


def test_recent_shows_all_users_page_by_page(tiny_processor) -> None:
    """`recent` shows all users, page by page."""
    service = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)
    uploaded = [service.upload(f"u{n % 3}", b"x", image_type=("cover", "gallery")[n % 2]) for n in range(7)]
    seen, cursor = list[UUID](), None
    while True:
        page = service.recent(limit=3, cursor=cursor)
        seen += [each.id for each in page]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [each.id for each in reversed(uploaded)]
    assert [each.id for each in service.recent(image_type="cover")] == [each.id for each in uploaded[::-2]]


def test_cursors_of_the_listings_are_told_apart(service: ImageService, user: str) -> None:
    """Cursors of the listings are told apart."""
    for _ in range(2):
        service.upload(user, b"x", image_type="cover")
    of_list, of_recent = service.list(user, limit=1).next_cursor, service.recent(limit=1).next_cursor
    with pytest.raises(InvalidFieldError, match="Invalid cursor"):
        service.recent(cursor=of_list)
    with pytest.raises(InvalidFieldError, match="Invalid cursor"):
        service.list(user, cursor=of_recent)


def test_usage_is_what_the_storage_holds(service: ImageService, user: str) -> None:
    """Usage is what the storage holds."""
    assert service.usage(user) == Usage(0, 0)
    for n in range(3):
        service.upload(user, b"x" * n + b"photo", image_type="gallery")
    stored = sum(each.size for each in service.storage.list(f"users/{user}/"))
    assert service.usage(user) == Usage(3, stored)
    assert type(service.usage(user).stored_bytes) is int
    json.dumps(service.usage(user).stored_bytes)


# one primary per type


def test_one_primary_per_type_by_choice(repository: ImageRepository, tiny_processor, user: str) -> None:
    """One primary per type by choice."""
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor, primary_per_type=True)
    avatar = images.upload(user, b"a", image_type="profile", is_primary=True)
    cover = images.upload(user, b"c", image_type="cover", is_primary=True)
    found = images.primary(user, image_type="profile")
    assert found
    assert (found.id, found.is_primary) == (avatar.id, True)
    assert images.primaries([user], image_type="cover")[user].id == cover.id
    assert images.primary(user, image_type="gallery") is None
    newer = images.upload(user, b"b", image_type="profile")
    assert images.set_primary(newer.id).is_primary
    assert {each.id for each in images.list(user) if each.is_primary} == {newer.id, cover.id}


def test_the_type_of_a_primary_is_asked_or_refused(service: ImageService, tiny_processor) -> None:
    """The type of a primary is asked or refused."""
    per_type = ImageService(service.storage, service.repository, processor=tiny_processor, primary_per_type=True)
    for call in (lambda: per_type.primary("ana"), lambda: service.primary("ana", image_type="cover")):
        with pytest.raises(InvalidFieldError) as error:
            call()
        assert error.value.field == "image_type"


def test_a_service_may_change_its_rule(repository: ImageRepository, tiny_processor, user: str) -> None:
    """To one per type: the old primary stays that of its type. Back: there is none until one is chosen."""
    one = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    many = ImageService(one.storage, repository, processor=tiny_processor, primary_per_type=True)
    avatar = one.upload(user, b"a", image_type="profile", is_primary=True)
    cover = many.upload(user, b"c", image_type="cover", is_primary=True)
    assert [many.primaries([user], image_type=name)[user].id for name in ("profile", "cover")] == [avatar.id, cover.id]
    again = many.upload(user, b"b", image_type="profile", is_primary=True)
    assert many.primaries([user], image_type="profile")[user].id == again.id
    assert one.primary(user) is None
    one.set_primary(avatar.id)
    assert [each.id for each in one.list(user) if each.is_primary] == [avatar.id]


# the schema


def test_old_and_new_code_take_turns_on_one_file(tmp_path: Path, tiny_processor) -> None:
    """After a column was added with a default, a process of the release before goes on writing."""
    repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/db")
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    first = images.upload("ana", b"x", image_type="cover")
    with repository._database._engine.begin() as connection:  # as the next release would
        connection.execute(text("ALTER TABLE userimages_images ADD COLUMN rating INTEGER DEFAULT 5 NOT NULL"))
    second = images.upload("ana", b"y", image_type="cover", meta={"a": 1})
    assert list(images.list("ana")) == [second, first]
    assert repository.missing_schema() == ()


def _as_it_is(data: bytes, image_type: str) -> ProcessedImage:
    return ProcessedImage(Rendition(data, 1, 1, "image/jpeg"))
