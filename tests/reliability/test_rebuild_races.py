"""A rebuild beside everything else: other rebuilds, uploads, deletions, readers, and the release before."""

import threading
from concurrent.futures import ThreadPoolExecutor

import rig

from userimages import ImageService
from userimages.errors import RepositoryError
from userimages.keys import user_prefix
from userimages.testing import faults
from userimages.testing.faults import faulty

ROUNDS = 20 if rig.TORTURE else 2
_A_DAY = 25


def finish(place: rig.Place, clock: rig.Clock, user: str) -> None:
    """Let the day of the old variants pass, then see that nothing is left."""
    rig.check_whole(place.service(clock), user)
    clock.move(hours=_A_DAY)
    rig.finish(place, clock, user)


def run(images: ImageService, user: str, *, limit: int = 1000) -> int:
    """Rebuild what is behind the user's prefix, and return how many images that were."""
    report = images.rebuild_all(after=user_prefix(user), limit=limit)
    assert report.failed == ()
    return report.rebuilt


def test_rebuilds_a_delete_and_a_replace_at_once(place: rig.Place, clock: rig.Clock) -> None:
    """Each image ends as one of them left it; the objects are those of the records, and nothing is left."""
    old, new = place.service(clock, rig.OLD), place.service(clock, rig.NEW)
    for _ in range(ROUNDS):
        user = rig.new_user()
        there = [old.upload(user, b"%d" % n, image_type=("cover", "profile")[n % 2]) for n in range(4)]
        outcomes = rig.at_once(
            [
                *[lambda u=user: run(new, u)] * 2,
                lambda first=there[0]: new.delete(first.id),
                lambda u=user: new.upload(u, b"new", image_type="profile", replace=True),
            ]
        )
        assert not [each for each in outcomes if isinstance(each, Exception)], outcomes
        listed = rig.check_whole(new, user)
        assert set(listed) == {str(there[2].id), str(outcomes[3].id)}
        assert all(list(each.variants) == ["64", "card"] for each in listed.values())
        assert run(new, user) == 0
        assert 1 <= outcomes[0] + outcomes[1] <= 4
        rig.count("rebuilds at once with others", outcomes[0] + outcomes[1])
        finish(place, clock, user)


def test_an_image_that_goes_meanwhile_takes_all_along(place: rig.Place, clock: rig.Clock) -> None:
    """A deletion or a second rebuild between the puts and the revision: what was put is deleted at once."""
    old = place.service(clock, rig.OLD)
    for other in ("delete", "rebuild"):
        user = rig.new_user()
        image = old.upload(user, b"cat", image_type="cover")

        def overtake(id: object = image.id, other: str = other, user: str = user) -> None:
            if other == "delete":
                old.delete(id)
            else:
                assert run(place.service(clock, rig.NEW), user) == 1

        slow = rig.service(
            place.storage, faulty(place.repository, revise=[faults.slow(overtake)]), clock, rig.Recipe("other")
        )
        assert run(slow, user) == 0
        named = {key for each in rig.check_whole(old, user).values() for key in each.object_keys}
        intents = [each for each in place.repository.list_intents() if each.user == user]
        stored = {found.key for found in place.storage.list(user_prefix(user))}
        assert stored == named | {key for each in intents for key in each.object_keys}
        assert len(intents) == (other == "rebuild"), "the intent of the loser is left"
        finish(place, clock, user)


def test_a_reader_never_sees_a_variant_without_object(place: rig.Place, clock: rig.Clock) -> None:
    """Whoever holds a page may follow its URLs, while recipes go back and forth."""
    user = rig.new_user()
    services = [place.service(clock, rig.Recipe(f"r{n}")) for n in range(2)]
    for n in range(3):
        services[0].upload(user, b"%d" % n, image_type="cover")
    stop, reads = threading.Event(), 0

    def read() -> int:
        seen = 0
        while not stop.is_set():
            for image in services[0].list(user):
                for variant in image.variants.values():
                    with services[0].storage.open(variant.key) as stream:
                        assert len(stream.read()) == variant.size_bytes
                    seen += 1
        return seen

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            for n in range(1, 3 * ROUNDS + 1):
                assert run(services[n % 2], user) == 3
        finally:
            stop.set()
        reads = reading.result()
    assert reads > 0
    rig.count("reads of variants beside rebuilds", reads)
    finish(place, clock, user)


def test_a_rolling_deploy_ends_with_nothing_to_do(place: rig.Place, clock: rig.Clock) -> None:
    """While the new release rebuilds, the old one uploads by the old recipe; a second run does those."""
    user = rig.new_user()
    old, new = place.service(clock, rig.OLD), place.service(clock, rig.NEW)
    for n in range(6):
        old.upload(user, b"%d" % n, image_type="gallery")
    uploads = [lambda n=n: old.upload(user, b"late %d" % n, image_type=("cover", "profile")[n % 2]) for n in range(4)]
    first, *late = rig.at_once([lambda: run(new, user), *uploads])
    assert not [each for each in late if isinstance(each, Exception)]
    assert first >= 6
    assert first + run(new, user) == 10
    assert run(new, user) == 0
    assert {tuple(each.variants) for each in rig.check_whole(new, user).values()} == {("64", "card")}
    finish(place, clock, user)


def test_a_rebuild_past_its_lease_changes_nothing(place: rig.Place, clock: rig.Clock) -> None:
    """The sweep has taken its objects for those of a dead process; the image is as it was."""
    user = rig.new_user()
    image = place.service(clock, rig.OLD).upload(user, b"cat", image_type="cover")

    def linger() -> None:
        clock.move(minutes=16)
        place.service(clock).sweep()

    slow = rig.service(place.storage, faulty(place.repository, revise=[faults.slow(linger)]), clock, rig.NEW)
    assert run(slow, user) == 0
    (as_it_was,) = rig.check_whole(slow, user).values()
    assert as_it_was.object_keys == image.object_keys
    assert run(slow, user) == 1
    finish(place, clock, user)


def test_objects_that_another_recipe_kept_stay(place: rig.Place, clock: rig.Clock) -> None:
    """The answer of a commit is lost, and before the second try a rebuild by another recipe keeps its objects."""
    user = rig.new_user()
    place.service(clock, rig.OLD).upload(user, b"cat", image_type="cover")

    def lost(call: faults.Call) -> None:
        call.do()
        assert run(rig.service(place.storage, place.repository, clock, rig.Recipe("new", ("64",))), user) == 1
        raise RepositoryError("The answer was lost.")

    assert run(rig.service(place.storage, faulty(place.repository, revise=[lost]), clock, rig.NEW), user) == 0
    listed = rig.check_whole(place.service(clock), user)
    assert [list(each.variants) for each in listed.values()] == [["64"]]
    finish(place, clock, user)
