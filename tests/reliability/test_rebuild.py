"""New variants for stored images: what is made, what stays, what is refused."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest
import rig

from userimages import (
    BrokenImageError,
    BusyError,
    ConfigurationError,
    ImageService,
    InvalidFieldError,
    ObjectNotFoundError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UserImage,
)
from userimages.caching import CachingRepository
from userimages.keys import has_version, object_key, parse_key
from userimages.lifecycle.upload import LEASE
from userimages.model import ProcessedImage, RebuildReport
from userimages.processing import Fill, PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image
from userimages.testing.faults import Call, after, before, faulty, slow

OLD, NEW = rig.OLD, rig.NEW


@pytest.fixture
def memory(clock: rig.Clock) -> rig.Place:
    """Give a place in memory."""
    return rig.Place("memory", MemoryStorage(), MemoryRepository(), "")


@pytest.fixture
def old(memory: rig.Place, clock: rig.Clock) -> ImageService:
    """Give the service before its recipe changed."""
    return memory.service(clock, OLD)


@pytest.fixture
def new(memory: rig.Place, clock: rig.Clock) -> ImageService:
    """Give the service after its recipe changed."""
    return memory.service(clock, NEW)


def read(images: ImageService, key: str) -> bytes:
    """Return the bytes under a key."""
    with images.storage.open(key) as stream:
        return stream.read()


def everything(images: ImageService) -> list[str]:
    """Return the keys of all objects."""
    return [found.key for found in images.storage.list()]


def test_a_rebuild_makes_new_variants_and_nothing_else(old: ImageService, new: ImageService) -> None:
    """The id, the URL, the date and what an application wrote stay; the key of each new variant has a version."""
    before_it = old.upload("ana", b"cat", image_type="cover", is_primary=True, caption="A cat", meta={"alt": "cat"})
    assert new.rebuild_all() == RebuildReport(rebuilt=1)
    image = new.get(before_it.id)
    assert list(image.variants) == ["64", "card"]
    assert [read(new, each.key) for each in image.variants.values()] == [b"cat64 new", b"catcard new"]
    assert all(has_version(each.key) and parse_key(each.key) for each in image.variants.values())
    assert image.stored_bytes == sum(len(read(new, key)) for key in image.object_keys)
    assert image.recipe == NEW.recipe_id("cover")
    kept = {"variants": before_it.variants, "stored_bytes": before_it.stored_bytes}
    assert attrs.evolve(image, **kept) == before_it


def test_an_intent_names_what_a_rebuild_puts(old: ImageService, new: ImageService, clock: rig.Clock) -> None:
    """By it the sweep finds what a process that is killed has put."""
    image, seen = old.upload("ana", b"cat", image_type="cover"), []

    def begin(call: Call) -> None:
        assert call.kwargs == {"now": clock()}
        call.do()

    storage = faulty(new.storage, put=slow(lambda: seen.extend(new.repository.list_intents())))
    ImageService(storage, faulty(new.repository, begin_upload=begin), processor=NEW, clock=clock).rebuild_all()
    (intent,) = set(seen)
    assert (intent.user, intent.lease_until, intent.id.version) == ("ana", clock() + LEASE, 7)
    assert sorted((image.key, *intent.object_keys)) == sorted(new.get(image.id).object_keys)


def test_a_new_placeholder_comes_with_the_variants(old: ImageService, clock: rig.Clock) -> None:
    """It is made of the picture as the variants are."""

    @attrs.frozen
    class Blurred(rig.Recipe):
        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            return attrs.evolve(super().__call__(data, image_type), placeholder="blurred")

    image = old.upload("ana", b"cat", image_type="cover")
    ImageService(old.storage, old.repository, processor=Blurred("new"), clock=clock).rebuild_all()
    assert old.get(image.id).placeholder == "blurred" != image.placeholder


def test_each_type_is_made_by_its_own_recipe(old: ImageService, clock: rig.Clock) -> None:
    """The new objects lie beside those of their image, also where the name of the user has a point."""

    @attrs.frozen
    class Typed(rig.Recipe):
        def recipe_id(self, image_type: str) -> str:
            return f"{len(image_type):016}"

        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            return rig.Recipe(image_type)(data, image_type)

    typed = ImageService(old.storage, old.repository, processor=Typed("new"), clock=clock)
    made = [old.upload("ana.b", b"cat", image_type=image_type) for image_type in ("cover", "profile")]
    assert typed.rebuild_all() == RebuildReport(rebuilt=2)
    for image in map(typed.get, [each.id for each in made]):
        assert image.recipe == Typed("new").recipe_id(image.image_type)
        assert read(typed, image.variants["64"].key) == f"cat64 {image.image_type}".encode()
        assert {parse_key(key).stem for key in image.object_keys} == {parse_key(image.key).stem}
    assert typed.rebuild_all() == RebuildReport(current=2)


@pytest.mark.parametrize("outage", [False, True])
@pytest.mark.parametrize("overtake", ["delete", "rebuild", "keep"])
def test_what_an_overtaken_rebuild_put_is_deleted(
    old: ImageService, new: ImageService, clock: rig.Clock, overtake: str, outage: bool
) -> None:
    """At once, or by the sweep if the store is away then; an object that the winner has kept stays."""
    image = old.upload("ana", b"cat", image_type="cover")
    winner = attrs.evolve(NEW, names=("64",)) if overtake == "keep" else rig.Recipe("other")
    put: list[str] = []
    away = faulty(new.storage, delete=before(StorageUnavailableError("Away."))) if outage else new.storage

    def remember(call: Call) -> None:
        put.append(call.args[0])
        call.do()

    def meanwhile(call: Call) -> Any:
        if overtake == "keep":
            call.do()
        if overtake == "delete":
            old.delete(image.id)
        else:
            assert ImageService(new.storage, new.repository, processor=winner, clock=clock).rebuild_all().rebuilt == 1
        if overtake == "keep":
            raise RepositoryError("Lost.")
        return call.do()

    late = ImageService(
        faulty(away, put=remember), faulty(new.repository, revise=[meanwhile]), processor=NEW, clock=clock
    )
    assert late.rebuild_all() == RebuildReport()
    named = {key for each in new.list("ana") for key in each.object_keys}
    intents = [set(each.object_keys) for each in new.repository.list_intents()]
    lost = set(put) - named
    assert (len(put), len(lost)) == (2, 1 if overtake == "keep" else 2)
    if outage:
        assert intents.count(lost) == (2 if overtake == "keep" else 1), "that of the winner, and our own"
    elif overtake != "keep":  # there the winner has handed it to the intent of a day
        assert lost.isdisjoint(everything(new))
        assert not any(lost & each for each in intents)
    clock.move(hours=25)
    rig.sweep_twice(new, clock)
    assert set(everything(new)) == named


def test_a_second_rebuild_has_nothing_to_do(old: ImageService, new: ImageService) -> None:
    """It reads the rows and asks the store for nothing."""
    for n in range(5):
        old.upload("ana", b"%d" % n, image_type="cover")
    assert new.rebuild_all() == RebuildReport(rebuilt=5)
    silent = ImageService(faulty(new.storage, open=before(StorageError("?"))), new.repository, processor=NEW)
    assert silent.rebuild_all() == RebuildReport(current=5)


def test_pages_are_parts_of_one_rebuild(old: ImageService, new: ImageService) -> None:
    """A call does *limit* images, says where it stopped, and is safe to repeat."""
    for n in range(7):
        old.upload("ana", b"%d" % n, image_type="cover")
    seen: list[RebuildReport] = []
    first = new.rebuild_all(limit=3, progress=seen.append)
    assert [each.rebuilt for each in seen] == [1, 2, 3]
    assert first == seen[-1]
    assert new.rebuild_all(limit=3) == attrs.evolve(first, rebuilt=0, current=3)
    assert first.stopped_at
    second = new.rebuild_all(after=first.stopped_at, limit=4)
    assert second.rebuilt == 4
    assert second.stopped_at
    assert new.rebuild_all(after=second.stopped_at) == RebuildReport()


def test_an_old_url_answers_for_a_day(old: ImageService, new: ImageService, clock: rig.Clock) -> None:
    """Neither a sweep nor an audit that deletes touches an old variant before; a sweep deletes it after."""
    image = old.upload("ana", b"cat", image_type="cover")
    keys = [each.key for each in image.variants.values()]
    new.rebuild_all()
    clock.move(hours=24)
    new.sweep()
    assert new.audit(delete=True, max_share=1.0).orphans == ()
    assert [read(new, key) for key in keys] == [b"cat64 old", b"cat256 old"]
    clock.move(minutes=6)
    new.sweep()
    for key in keys:
        with pytest.raises(ObjectNotFoundError):
            new.storage.open(key)
    clock.move(hours=2)
    assert new.sweep().finished == 1
    assert sorted(everything(new)) == sorted(new.get(image.id).object_keys)


def test_an_audit_never_takes_old_variants_for_orphans(
    old: ImageService, new: ImageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole keys count: an image that was rebuilt does not speak for the objects that it no longer names."""
    image = old.upload("ana", b"cat", image_type="cover")
    new.rebuild_all()
    monkeypatch.setattr("userimages.lifecycle.audit.ORPHAN_AGE", -timedelta(hours=1))
    assert new.audit(delete=True, max_share=1.0).orphans == ()
    new.repository.finish(new.repository.list_intents())
    orphans = {each.key for each in new.audit().orphans}
    assert orphans == {each.key for each in image.variants.values()}


def test_a_deleted_image_is_gone_with_its_old_variants(old: ImageService, new: ImageService) -> None:
    """The 24 hours are for pictures that are still there."""
    image = old.upload("ana", b"cat", image_type="cover")
    other = old.upload("ana", b"dog", image_type="profile")
    new.rebuild_all()
    new.delete(image.id)
    assert all(other.key.rpartition(".")[0] in key for key in everything(new))
    assert new.delete_user("ana").left == ()
    assert everything(new) == []


def test_a_deletion_needs_no_listing(old: ImageService, new: ImageService, clock: rig.Clock) -> None:
    """If the store lists nothing, the old variants go when their time is over."""
    image = old.upload("ana", b"cat", image_type="cover")
    new.rebuild_all()
    silent = faulty(new.storage, list=before(StorageError("Away.")))
    ImageService(silent, new.repository, processor=NEW, clock=clock).delete(image.id)
    assert sorted(everything(new)) == sorted(each.key for each in image.variants.values())
    old.upload("ben", b"dog", image_type="cover")
    clock.move(days=2)
    rig.sweep_twice(new, clock)
    assert not any("/ana/" in key for key in everything(new))


def test_a_replaced_image_goes_with_its_old_variants(old: ImageService, new: ImageService) -> None:
    """A replaced image is gone with its old variants."""
    old.upload("ana", b"cat", image_type="cover")
    new.rebuild_all()
    image = new.upload("ana", b"dog", image_type="cover", replace=True)
    assert sorted(everything(new)) == sorted(image.object_keys)


def test_a_missing_variant_names_those_there_are(old: ImageService) -> None:
    """The error of a template after a recipe has changed says what to do."""
    image = old.upload("ana", b"cat", image_type="cover")
    with pytest.raises(KeyError, match=r"'card', only 64, 256\. If the recipe has changed, a rebuild is due"):
        image.variants["card"]
    assert image.variants.get("card") is None
    assert "card" not in image.variants


def test_variants_that_did_not_change_keep_their_keys(new: ImageService, memory: rig.Place, clock: rig.Clock) -> None:
    """From the second rebuild on only what is new is put, because a CDN has the rest."""
    first = attrs.evolve(NEW, names=("64",))
    image = memory.service(clock, OLD).upload("ana", b"cat", image_type="cover")
    memory.service(clock, first).rebuild_all()
    kept = new.get(image.id).variants["64"].key
    new.rebuild_all()
    assert new.get(image.id).variants["64"].key == kept
    memory.service(clock, attrs.evolve(NEW, names=())).rebuild_all()
    new.delete(image.id)
    assert everything(new) == []


def test_a_first_rebuild_gives_each_variant_a_version(memory: rig.Place, clock: rig.Clock) -> None:
    """Also one whose bytes did not change: by that a deletion knows that older objects may be there."""
    memory.service(clock, attrs.evolve(NEW, names=("64",))).upload("ana", b"cat", image_type="cover")
    assert memory.service(clock, NEW).rebuild_all().rebuilt == 1
    (image,) = memory.service(clock).list("ana")
    assert all(has_version(each.key) for each in image.variants.values())


def test_a_variant_like_the_image_shares_its_object(old: ImageService, clock: rig.Clock) -> None:
    """A variant that is the image itself shares its object."""

    @attrs.frozen
    class Whole(rig.Recipe):
        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            made = rig.instant_processor(data, image_type)
            return attrs.evolve(made, variants={"whole": made.main})

    before_it = old.upload("ana", b"cat", image_type="cover")
    assert ImageService(old.storage, old.repository, processor=Whole("new")).rebuild_all().rebuilt == 1
    image = old.get(before_it.id)
    assert image.object_keys == (image.key,)
    assert image.stored_bytes == image.size_bytes == 3


def test_what_another_worker_did_is_passed_over(old: ImageService, new: ImageService) -> None:
    """A page is read at once, and its images are worked on later: each is read again before."""
    for n in range(3):
        old.upload("ana", b"%d" % n, image_type="cover")
    others: list[RebuildReport] = []

    def overtake(report: RebuildReport) -> None:
        if not others:
            others.append(new.rebuild_all())

    assert new.rebuild_all(progress=overtake).rebuilt == 1
    assert others == [RebuildReport(rebuilt=2, current=1)]


def test_images_of_a_type_without_a_recipe_stay(old: ImageService, memory: rig.Place, clock: rig.Clock) -> None:
    """Images of a type without a recipe stay."""

    class CoversOnly(rig.Recipe):
        image_types = ("cover",)

    image = old.upload("ana", b"cat", image_type="profile")
    old.upload("ana", b"cat", image_type="cover")
    assert memory.service(clock, CoversOnly("new")).rebuild_all() == RebuildReport(rebuilt=1, current=1)
    assert old.get(image.id) == image


def test_a_processor_without_recipes_rebuilds_nothing(old: ImageService) -> None:
    """A processor without recipes rebuilds nothing."""
    old.upload("ana", b"cat", image_type="cover")
    silent = ImageService(old.storage, old.repository, processor=rig.instant_processor)
    assert silent.rebuild_all() == RebuildReport(current=1)


@pytest.mark.parametrize("harm", ["missing", "damaged", "refused", "failing"])
def test_one_bad_image_does_not_stop_the_rest(
    old: ImageService, new: ImageService, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported, logged, and as it was."""
    bad, good = (old.upload(user, user.encode(), image_type="cover") for user in ("ana", "ben"))
    errors: dict[str, Exception] = {"refused": BrokenImageError("No."), "failing": ZeroDivisionError()}

    @attrs.frozen
    class Picky(rig.Recipe):
        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            if data == b"ana" and harm in errors:
                raise errors[harm]
            return super().__call__(data, image_type)

    if harm in {"missing", "damaged"}:
        new.storage.delete([bad.key])
    if harm == "damaged":
        new.storage.put(bad.key, b"bit rot", mime_type="image/jpeg")
    picky = ImageService(new.storage, new.repository, processor=Picky("new"))
    assert picky.rebuild_all() == RebuildReport(rebuilt=1, failed=(bad.id,))
    assert new.repository.get(bad.id).variants == {k: attrs.evolve(v, url="") for k, v in bad.variants.items()}
    (logged,) = (each for each in caplog.records if each.levelname == "WARNING")
    why = {
        "missing": "Object not found.",
        "damaged": "The stored bytes are not those of the record. Run audit(verify=1.0).",
        "refused": "No.",
        "failing": "ZeroDivisionError",
    }
    assert (logged.getMessage(), logged.event, logged.image_id) == (f"not rebuilt: {why[harm]}", "rebuild", str(bad.id))
    assert list(new.get(good.id).variants) == ["64", "256"]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"open": before(StorageUnavailableError("Away."))}, StorageUnavailableError),
        ({"put": before(StorageError("Full."))}, StorageError),
        ({"put": after(StorageUnavailableError("Late."))}, StorageUnavailableError),
    ],
)
def test_a_store_that_fails_ends_the_page(
    old: ImageService, new: ImageService, clock: rig.Clock, faults: dict[str, Any], error: type[Exception]
) -> None:
    """What was put is deleted, at once or by the sweep; the same call again does the work."""
    image = old.upload("ana", b"cat", image_type="cover")
    failing = ImageService(faulty(new.storage, **faults), new.repository, processor=NEW, clock=clock)
    with pytest.raises(error):
        failing.rebuild_all()
    assert len(new.repository.list_intents()) == (faults.keys() == {"put"} and error is StorageUnavailableError)
    rig.sweep_twice(new, clock)
    assert sorted(everything(new)) == sorted(image.object_keys)
    assert new.rebuild_all() == RebuildReport(rebuilt=1)


@pytest.mark.parametrize("fault", [before, after])
def test_an_unknown_outcome_is_read_again(
    old: ImageService, new: ImageService, clock: rig.Clock, fault: Callable[..., Any]
) -> None:
    """A revision whose answer was lost is not undone, whether it took place or not."""
    image = old.upload("ana", b"cat", image_type="cover")
    repository = faulty(new.repository, revise=[fault(RepositoryError("Lost."))])
    assert ImageService(new.storage, repository, processor=NEW, clock=clock).rebuild_all() == RebuildReport(rebuilt=1)
    assert list(rig.check_whole(new, "ana")[str(image.id)].variants) == ["64", "card"]
    clock.move(days=2)
    rig.sweep_twice(new, clock)
    rig.check_nothing_left(new, ["ana"])


def test_an_image_deleted_meanwhile_is_no_failure(old: ImageService, new: ImageService) -> None:
    """An image that is deleted while it is read is not a failure."""
    image = old.upload("ana", b"cat", image_type="cover")
    storage = faulty(new.storage, open=slow(lambda: old.delete(image.id)))
    assert ImageService(storage, new.repository, processor=NEW).rebuild_all() == RebuildReport()


def test_a_busy_machine_ends_the_page(old: ImageService, new: ImageService) -> None:
    """A busy machine ends the page."""
    old.upload("ana", b"cat", image_type="cover")

    @attrs.frozen
    class Busy(rig.Recipe):
        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            if data == b"cat":
                raise BusyError("Others are at work.")
            return super().__call__(data, image_type)

    with pytest.raises(BusyError):
        ImageService(new.storage, new.repository, processor=Busy("new")).rebuild_all()


@pytest.mark.parametrize("harm", ["raises", "refuses", "names", "id"])
def test_a_broken_recipe_is_refused_before_any_image(old: ImageService, new: ImageService, harm: str) -> None:
    """Otherwise a mistake would cost a million failures, or leave images half way between two recipes."""
    old.upload("ana", b"cat", image_type="cover")

    @attrs.frozen
    class Broken(rig.Recipe):
        def recipe_id(self, image_type: str) -> str:
            return "?" if harm == "id" else super().recipe_id(image_type)

        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            if image_type == "cover" and harm == "raises":
                raise RuntimeError
            if image_type == "cover" and harm == "refuses":
                raise BrokenImageError("It does not encode.")
            return super().__call__(data, image_type)

    broken = Broken("new", ("A card!",) if harm == "names" else ("card",))
    storage = faulty(new.storage, open=before(AssertionError("an image was read")))
    with pytest.raises(ConfigurationError) as caught:
        ImageService(storage, new.repository, processor=broken).rebuild_all()
    if harm in {"raises", "refuses"}:
        why = "RuntimeError" if harm == "raises" else "It does not encode."
        assert caught.value.message == f"The recipe of the image type 'cover' does not work: {why}."
        assert caught.value.hint == "Nothing was rebuilt. Upload a picture of this type to see the error."


def test_a_repository_without_revise_says_so(old: ImageService) -> None:
    """A repository without revise says so."""

    class Plain:
        def __init__(self, repository: MemoryRepository) -> None:
            self.repository = repository

        def __getattr__(self, name: str) -> Any:
            if name == "revise":
                raise AttributeError(name)
            return getattr(self.repository, name)

    for repository in (Plain(old.repository), CachingRepository(Plain(old.repository), {})):  # type: ignore[arg-type]
        message = f"{type(repository).__name__} cannot rebuild. It needs the optional method revise()."
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            ImageService(old.storage, repository, processor=NEW).rebuild_all()  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": 10_001}, {"limit": True}, {"after": None}])
def test_bad_arguments_of_a_rebuild_are_refused(new: ImageService, arguments: dict[str, Any]) -> None:
    """Bad arguments of a rebuild are refused."""
    with pytest.raises(InvalidFieldError):
        new.rebuild_all(**arguments)


def test_real_pictures_are_rebuilt_from_what_is_stored(clock: rig.Clock) -> None:
    """A photograph, a graphic and an animation each get the square that their new recipe asks for."""
    storage, repository = MemoryStorage(), MemoryRepository()
    first = ImageService(storage, repository)
    made: list[UserImage] = [
        first.upload("ana", make_image(format, (300, 200), **more), image_type="gallery")
        for format, more in (("JPEG", {}), ("PNG", {}), ("WEBP", {"frames": 2}))
    ]
    card = PillowProcessor(recipes={"gallery": Recipe(variants={"card": Fill(100, 100)})})
    later = ImageService(storage, repository, processor=card)
    assert later.rebuild_all() == RebuildReport(rebuilt=3)
    for image in made:
        found = later.get(image.id)
        assert (found.variants["card"].width, found.variants["card"].height) == (100, 100)
        assert (found.key, found.sha256, found.frames) == (image.key, image.sha256, image.frames)


def test_the_longest_key_of_a_rebuild_is_short_enough() -> None:
    """The longest key of a rebuild is short enough."""
    stem = f"users/{'x' * 120}/images/{'t' * 16}_12345678901234567_{'a' * 22}"
    key = object_key(stem, "image/avif", "n" * 32, version="abcdef")
    assert parse_key(key)
    assert len(key) <= 240
