"""An audit: what the store has and no row names, and the other way round."""

from datetime import timedelta

import attrs
import pytest

from userimages import ImageService, InvalidFieldError, StorageError
from userimages.ids import new_id, utcnow
from userimages.keys import new_stem, object_key, owner_of, parse_key
from userimages.lifecycle.audit import delete_orphans
from userimages.model import AuditReport, Intent, MissingObject, StoredObject, Variant, Variants
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import Call, faulty
from userimages.testing.records import new_image, publish


class OldStorage(MemoryStorage):
    """A storage that can make its objects older."""

    def age(self, key: str, by: timedelta = timedelta(hours=25)) -> None:
        data, modified = self._objects[key]
        self._objects[key] = (data, modified - by)


@pytest.fixture
def images(tiny_processor) -> ImageService:
    """Give a service in memory with users whose names sort unlike their folders."""
    images = ImageService(OldStorage(), MemoryRepository(), processor=tiny_processor)
    for user in ("a", "a.b", "a-b", "ab", "~", "é"):
        images.upload(user, b"x", image_type="gallery")
    return images


def orphan(images: ImageService, user: str = "a.b", *, old: bool = True, variant: str | None = "320") -> str:
    """Store an object that no image names, and return its key."""
    stem = new_stem(user, "cover", utcnow(), owner_of(images.repository.database_id()))
    key = object_key(stem, "image/webp", variant)
    images.storage.put(key, b"orphan", mime_type="image/webp")
    if old:
        images.storage.age(key)  # type: ignore[attr-defined]
    return key


def test_an_audit_of_a_healthy_store_finds_nothing(images: ImageService) -> None:
    """An audit of a healthy store finds nothing."""
    assert images.audit() == AuditReport(objects=18, images=6)
    assert len(list(images.storage.list())) == 18


def test_an_orphan_is_reported_and_deleted_if_asked(images: ImageService) -> None:
    """An orphan is reported, and not deleted unless asked."""
    key = orphan(images)

    report = images.audit()

    assert [each.key for each in report.orphans] == [key]
    assert report.deleted == 0
    assert key in {each.key for each in images.storage.list()}


def test_an_orphan_goes_where_asked_and_nothing_else(images: ImageService) -> None:
    """An orphan goes where asked and nothing else."""
    before = list(images.storage.list())
    orphan(images)

    report = images.audit(delete=True, max_share=0.1)

    assert report.deleted == 1
    assert list(images.storage.list()) == before


def test_deleting_stops_where_too_much_would_go(images: ImageService) -> None:
    """Deleting stops where more than one percent of the store would go."""
    key = orphan(images)

    report = images.audit(delete=True)

    assert report.deleted == 0
    assert "5.3%" in report.note
    assert key in {each.key for each in images.storage.list()}


def test_a_young_object_is_no_orphan(images: ImageService) -> None:
    """A young object is not an orphan."""
    orphan(images, old=False)

    assert images.audit().orphans == ()


def test_the_age_is_judged_by_the_clock_of_the_store(images: ImageService) -> None:
    """An audit on a machine whose clock is days ahead must not take a running upload for an orphan."""
    key = orphan(images, old=False)
    ahead = ImageService(
        images.storage,
        images.repository,
        processor=images.processor,
        clock=lambda: utcnow() + timedelta(days=3),
    )

    assert ahead.audit(delete=True, max_share=1).deleted == 0
    assert key in {each.key for each in images.storage.list()}


def test_a_store_whose_clock_is_behind_is_believed(tiny_processor) -> None:
    """By its clock the upload is young; by ours it would be days old."""

    class Behind(OldStorage):
        def list(self, prefix: str = "", *, after: str = ""):
            for each in super().list(prefix, after=after):
                yield attrs.evolve(each, modified=each.modified - timedelta(days=3))

    images = ImageService(Behind(), MemoryRepository(), processor=tiny_processor)
    images.upload("a", b"x", image_type="gallery")
    orphan(images, old=False)

    assert images.audit().orphans == ()


def test_unknown_keys_are_counted_and_never_touched(images: ImageService) -> None:
    """Unknown keys are counted and never touched."""
    for key in ("users/a/notes.txt", "users/a.b/images/profile_1_short.jpg", "static/logo.png"):
        images.storage.put(key, b"of another", mime_type="text/plain")
        images.storage.age(key)  # type: ignore[attr-defined]

    report = images.audit(delete=True, max_share=1)

    assert (report.unknown, report.deleted, report.orphans) == (2, 0, ())
    assert len(list(images.storage.list())) == 21


def test_a_row_without_an_object_is_reported_and_kept(images: ImageService) -> None:
    """A row without an object is reported and kept."""
    (image,) = images.list("a-b")
    images.storage.delete([image.variants["64"].key, image.key])

    report = images.audit(delete=True)

    keys = (image.variants["64"].key, image.key)
    assert set(report.missing) == {MissingObject(key, image.id) for key in keys}
    assert images.get(image.id) == image


def test_an_unknown_key_between_objects_is_no_trouble(images: ImageService) -> None:
    """An unknown key between the objects of one image confuses nothing."""
    (image,) = images.list("a")
    between = image.variants["256"].key.removesuffix("256.webp") + "2x"
    assert image.variants["256"].key < between < image.variants["64"].key
    images.storage.put(between, b"of another", mime_type="text/plain")

    assert images.audit() == AuditReport(objects=19, images=6, unknown=1)


@pytest.mark.parametrize("limit", range(1, 20))
def test_an_audit_in_parts_sees_what_one_sees(images: ImageService, limit: int) -> None:
    """An audit in parts sees what one sees."""
    lost = images.list("~")[0].key
    key = orphan(images)
    images.storage.delete([lost])
    parts = [images.audit(limit=limit)]
    while parts[-1].stopped_at:
        parts.append(images.audit(limit=limit, after=parts[-1].stopped_at))

    assert (sum(part.objects for part in parts), sum(part.images for part in parts)) == (18, 6)
    assert [each.key for part in parts for each in part.orphans] == [key]
    assert [each.key for part in parts for each in part.missing] == [lost]


@pytest.mark.parametrize("number", range(6))
def test_a_part_goes_on_in_the_middle_of_an_image(images: ImageService, number: int) -> None:
    """Its rows begin with that image, wherever the main object lies among the variants."""
    instant, read = utcnow(), []
    stem = new_stem("a.b", "cover", instant, owner_of(images.repository.database_id()))
    keys = [object_key(stem, "image/jpeg"), *(object_key(stem, "image/webp", name) for name in ("64", "a", "k", "z"))]
    variants = {key.split(".")[-2]: Variant(key, 1, 1, 1, "image/webp", "") for key in keys[1:]}
    row = attrs.evolve(new_image("a.b"), key=keys[0], size_bytes=1, mime_type="image/jpeg", variants=Variants(variants))
    publish(images.repository, row)
    for key in keys:
        images.storage.put(key, b"x", mime_type="image/webp")
        images.storage.age(key)  # type: ignore[attr-defined]

    def remember(call: Call) -> object:
        read.append(call.kwargs["after"])
        return call.do()

    before_it = [each.key for each in images.storage.list("users/") if each.key < min(keys)][-1:]
    after = [*before_it, *sorted(keys)][number]
    repository = faulty(images.repository, list_by_key=remember)
    report = ImageService(images.storage, repository, processor=images.processor).audit(after=after)

    assert (report.orphans, report.missing, report.damaged) == ((), (), ())
    assert report.objects == len(list(images.storage.list("users/", after=after)))
    assert read[0] == parse_key(after).stem


def test_an_object_that_a_listing_lacked_is_there(images: ImageService) -> None:
    """A page of the listing may be older than the rows beside it, so what seems to be missing is asked for again."""
    (image,) = images.list("a-b")

    def older(call: Call) -> object:
        whole = call.args == ("users/",)
        return iter([each for each in call.do() if not (whole and each.key == image.key)])

    storage = faulty(images.storage, list=older)
    report = ImageService(storage, images.repository, processor=images.processor).audit()

    assert (report.objects, report.images, report.missing) == (17, 6, ())


def test_what_was_staged_and_forgotten_is_an_orphan(images: ImageService) -> None:
    """It goes once it is old, unless an intent names it; it is counted as an object, and a part leaves it out."""
    keys = [f"staging/a/{name}" for name in ("old", "in-hand", "young")]
    for key in keys:
        images.storage.put(key, b"x", mime_type="image/png")
    for key in keys[:2]:
        images.storage.age(key)  # type: ignore[attr-defined]
    intent = Intent(id=new_id(utcnow()), user="a", object_keys=(keys[1],), lease_until=utcnow() + timedelta(days=1))
    images.repository.begin_upload(intent, now=utcnow())

    assert images.audit(limit=18).orphans == ()
    report = images.audit(delete=True, max_share=1)
    assert (report.objects, [each.key for each in report.orphans], report.deleted) == (21, keys[:1], 1)
    assert [each.key for each in images.storage.list("staging/")] == sorted(keys[1:])


def test_an_audit_leaves_no_probe_behind(images: ImageService) -> None:
    """An audit leaves no probe behind."""
    images.audit()

    assert not list(images.storage.list("userimages-probe/"))


def test_a_listing_that_is_late_ends_an_audit(images: ImageService) -> None:
    """It would take what was just written for missing. Its probe is deleted all the same."""
    storage = faulty(images.storage, list=lambda call: iter(()))
    message = "The listing lacks what was just written. Use a store whose listing is up to date."
    with pytest.raises(StorageError, match=message):
        ImageService(storage, images.repository).audit()
    assert len(list(images.storage.list())) == 18


def test_a_report_does_no_work(images: ImageService) -> None:
    """It is made of one store of a mirror, too, where a sweep would leave objects in the other; with *delete* it is."""
    image = images.upload("ana", b"x", image_type="cover")
    images.upload("ana", b"y", image_type="cover")
    images.repository.begin_delete([image.id])
    assert images.audit().orphans == ()
    assert len(images.repository.list_intents()) == 1
    images.audit(delete=True)
    assert images.repository.list_intents() == ()


def test_progress_is_told_every_thousand_objects(images: ImageService) -> None:
    """It is a report of what was seen up to there."""
    instant = utcnow()
    ids = images.repository.database_id(), "another"
    own, other = (new_stem("x", "cover", instant, owner_of(each)) for each in ids)
    keys = [object_key(own, "image/webp", f"{n:05}") for n in range(1000)]
    keys += [object_key(other, "image/webp", f"{n:05}") for n in range(700)] + [f"users/x/{n:05}" for n in range(900)]
    stored = [StoredObject(key, 1, instant - timedelta(days=2)) for key in sorted(keys)]

    class Long(MemoryStorage):
        def list(self, prefix: str = "", *, after: str = ""):
            return iter(stored) if prefix == "users/" else super().list(prefix, after=after)

    told: list[AuditReport] = []
    images.storage = Long()
    whole = images.audit(progress=told.append)

    assert [each.objects for each in told] == [1000, 2000]
    assert [each.stopped_at for each in told] == [stored[999].key, stored[1999].key]
    last = [parse_key(each.key) for each in stored[:2000]]
    assert told[1].unknown == sum(each is None for each in last)
    owners = [each.owner for each in last if each]
    assert (told[1].foreign, len(told[1].orphans)) == (owners.count(owner_of(ids[1])), owners.count(owner_of(ids[0])))
    assert told[1].missing == ()
    assert (whole.unknown, whole.foreign, len(whole.orphans), whole.objects) == (900, 700, 1000, 2600)
    assert len(whole.missing) == 18


def test_an_audit_counts_images_as_it_goes(images: ImageService) -> None:
    """An image is counted at its main object, not at its variants."""
    told: list[AuditReport] = []
    for n in range(328):
        images.storage.put(f"users/0/{n:04}", b"x", mime_type="text/plain")
    for _ in range(218):
        images.upload("zz", b"x", image_type="gallery")

    assert images.audit(progress=told.append).images == 224
    assert [(each.objects, each.images, each.unknown) for each in told] == [(1000, 224, 328)]


def test_many_orphans_go_by_the_hundred_and_are_purged(tiny_processor) -> None:
    """All of them are counted, and the CDN is told the URLs of all, also if it raises."""
    images = ImageService(OldStorage(public_url="https://cdn.example"), MemoryRepository(), processor=tiny_processor)
    images.upload("a", b"x", image_type="gallery")
    keys = [orphan(images) for _ in range(250)]
    purged: list[int] = []

    def purge(urls) -> None:
        purged.append(len(urls))
        raise OSError

    report = images.audit()
    done = delete_orphans(images.storage, images.repository, report, max_share=1, on_deleted=purge)

    assert (done.deleted, purged) == (250, [100, 100, 50])
    assert not {each.key for each in images.storage.list()} & set(keys)


@pytest.mark.parametrize("variant", [None, "320"])
def test_what_a_row_names_by_now_is_not_deleted(images: ImageService, variant: str | None) -> None:
    """A report may be old: before an object is deleted, rows and intents are read again."""
    named, in_hand, forgotten = (orphan(images, f"user{n}", variant=variant) for n in range(3))
    report = images.audit()
    assert {each.key for each in report.orphans} == {named, in_hand, forgotten}
    main = object_key(parse_key(named).stem, "image/webp")
    variants = Variants({variant: Variant(named, 1, 1, 1, "image/webp", "")} if variant else {})
    publish(images.repository, attrs.evolve(new_image("user0"), key=main, variants=variants))
    intent = Intent(id=new_id(utcnow()), user="user2", object_keys=(in_hand,), lease_until=utcnow())
    images.repository.begin_upload(intent, now=utcnow())

    assert delete_orphans(images.storage, images.repository, report, max_share=1).deleted == 1
    assert {named, in_hand} <= {each.key for each in images.storage.list()}
    assert forgotten not in {each.key for each in images.storage.list()}


def test_the_share_is_of_the_objects_of_this_database(images: ImageService) -> None:
    """What is foreign or unknown does not count, and a share of exactly the limit is deleted."""
    keys = [orphan(images) for _ in range(2)]
    foreign = new_stem("a", "cover", utcnow(), owner_of("another"))
    images.storage.put(object_key(foreign, "image/webp"), b"x", mime_type="image/webp")
    images.storage.put("users/a/notes.txt", b"x", mime_type="text/plain")
    report = images.audit()

    assert (report.objects, report.foreign, report.unknown, len(report.orphans)) == (22, 1, 1, 2)
    assert delete_orphans(images.storage, images.repository, report, max_share=0.099).deleted == 0
    assert delete_orphans(images.storage, images.repository, report, max_share=0.1).deleted == 2
    assert not {each.key for each in images.storage.list()} & set(keys)


def test_deleting_too_much_is_explained(images: ImageService) -> None:
    """The note says how much it would be, what the limit is and what to do."""
    orphan(images)

    assert images.audit(delete=True, max_share=0.05).note == (
        "Nothing was deleted: 5.3% of the objects of this database are orphans, over the limit of 5.0%. "
        "Check that this is the right database for this store, then raise max_share (--max-share)."
    )


def test_an_audit_that_ends_early_says_so(images: ImageService) -> None:
    """It ends at the limit, and not one object later."""
    report = images.audit(limit=3)

    assert (report.objects, report.note) == (3, "It ended after 3 objects, as asked.")
    assert images.audit().note == ""


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"max_share": float("nan")}, "max_share"),
        ({"max_share": 2}, "max_share"),
        ({"limit": 0}, "limit"),
        ({"after": "\0"}, "after"),
        ({"delete": "no"}, "delete"),
    ],
)
def test_a_bad_argument_of_an_audit_is_named(images: ImageService, arguments, field: str) -> None:
    """A bad argument of an audit is named."""
    with pytest.raises(InvalidFieldError) as error:
        images.audit(**{"delete": True, **arguments})
    assert error.value.field == field
