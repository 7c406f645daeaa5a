"""SIGKILL at every step of every operation: nothing acknowledged is lost, and the sweeps leave nothing behind."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import direct_scenes
import killing
import pytest
import rebuild_scenes
import rig
from scenes import Ack, Operation, Scene

from userimages import ImageService, UserImage

# Python 3.12 and newer warn of a fork beside threads; the child here touches none of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
KILLS: Counter[str] = Counter()


def upload(scene: Scene, images: ImageService, ack: Ack) -> None:
    ack(str(images.upload(scene.user, b"new", image_type="gallery").id))


def uploaded(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert set(acked) <= set(listed)
    assert len(listed) <= 1


def upload_with_key(scene: Scene, images: ImageService, ack: Ack) -> None:
    for _ in range(2):
        ack(str(images.upload(scene.user, b"new", image_type="cover", idempotency_key="k").id))


def uploaded_once(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    uploaded(scene, listed, acked, images)
    scene.clock.move(minutes=11)
    again = images.upload(scene.user, b"new", image_type="cover", idempotency_key="k")
    assert {*acked, *listed} <= {str(again.id)}
    assert [each.id for each in images.list(scene.user)] == [again.id]


def upload_primary(scene: Scene, images: ImageService, ack: Ack) -> None:
    ack(str(images.upload(scene.user, b"new", image_type="profile", is_primary=True).id))


def primary_moved(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    old = str(scene.there[0].id)
    (primary,) = (id for id, each in listed.items() if each.is_primary)
    assert old in listed
    assert primary == (acked[0] if acked else primary)
    assert (primary == old) == (len(listed) == 1)


def replace(scene: Scene, images: ImageService, ack: Ack) -> None:
    ack(str(images.upload(scene.user, b"new", image_type="gallery", replace=True, is_primary=True).id))


def replaced(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    cover, *old = (str(each.id) for each in scene.there)
    new = set(listed) - {cover, *old}
    assert cover in listed
    assert set(listed) - {cover} == (new or set(old))
    assert set(acked) <= new
    assert [id for id, each in listed.items() if each.is_primary] == (list(new) or [cover])


def set_primary(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.set_primary(scene.there[1].id)
    ack(str(scene.there[1].id))


def is_one(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert set(listed) == {str(each.id) for each in scene.there}
    (primary,) = (id for id, each in listed.items() if each.is_primary)
    assert primary == (acked[0] if acked else primary)


def update(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.update(scene.there[0].id, caption="after")
    ack("after")


def updated(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    (image,) = listed.values()
    assert image.caption in (acked or {"", "after"})


def delete(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.delete(scene.there[0].id)
    ack(str(scene.there[0].id))


def deleted(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    gone, kept = (str(each.id) for each in scene.there)
    assert kept in listed
    assert not set(acked) & set(listed)
    assert any(each.is_primary for each in listed.values()) == (gone in listed)


def delete_user(scene: Scene, images: ImageService, ack: Ack) -> None:
    ack(str(images.delete_user(scene.user).images))


def user_gone(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert list(acked) in ([], [str(len(scene.there))])
    assert not (acked and listed)


def leave_work(scene: Scene, images: ImageService, clock: rig.Clock) -> None:
    """Leave an upload, a deletion and a taken intent cut off in the middle."""
    from userimages.testing import faults

    storage = faults.faulty(images.storage, delete=faults.before(KeyboardInterrupt()))
    dying = ImageService(storage, images.repository, processor=rig.instant_processor, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        dying.delete(scene.there[1].id)
    repository = faults.faulty(images.repository, publish=faults.before(KeyboardInterrupt()))
    dying = ImageService(images.storage, repository, processor=rig.instant_processor, clock=clock)
    for data in (b"one", b"two"):
        with pytest.raises(KeyboardInterrupt):
            dying.upload(scene.user, data, image_type="profile")


def sweep(scene: Scene, images: ImageService, ack: Ack) -> None:
    scene.clock.move(minutes=16)
    images.sweep()
    scene.clock.move(hours=2)
    images.sweep()
    ack("swept")


def swept(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert list(listed) == [str(scene.there[0].id)]


OPERATIONS = {
    "upload": Operation(upload, uploaded),
    "upload and retry with one key": Operation(upload_with_key, uploaded_once),
    "upload as primary": Operation(upload_primary, primary_moved, ["profile"]),
    "upload with replace": Operation(replace, replaced, ["cover", "gallery", "gallery"]),
    "set_primary": Operation(set_primary, is_one, ["profile", "cover"]),
    "update": Operation(update, updated, ["profile"]),
    "delete": Operation(delete, deleted, ["profile", "cover"]),
    "delete_user": Operation(delete_user, user_gone, ["profile", "cover"]),
    "sweep": Operation(sweep, swept, ["profile", "cover"], leave_work),
    **direct_scenes.OPERATIONS,
    **rebuild_scenes.OPERATIONS,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_kill_loses_or_leaves_anything(place: rig.Place, name: str) -> None:
    """No kill loses what was acknowledged, or leaves anything behind."""
    stride = 1 if rig.TORTURE else {"sqlite+disk": 7}.get(place.name, 19)
    step, killed = (stride + 1) // 2, True
    while killed:
        killed = _kill_once(place, OPERATIONS[name], step)
        KILLS[f"{place.name}: {name}"] += killed
        step += stride
    rig.count("kills", KILLS[f"{place.name}: {name}"])
    assert KILLS[f"{place.name}: {name}"], "the child was never killed"


def _kill_once(place: rig.Place, operation: Operation, step: int) -> bool:
    clock = rig.Clock()
    images = place.service(clock)
    scene = Scene(rig.new_user(), clock, [])
    there: list[Any] = [
        images.upload(scene.user, f"{n}".encode(), image_type=type, is_primary=n == 0)
        for n, type in enumerate(operation.there)
    ]
    scene = attrs.evolve(scene, there=there)
    scene = attrs.evolve(scene, prepared=operation.prepare(scene, images, clock))
    outcome = killing.run_and_kill(place, clock, lambda child, ack: operation.work(scene, child, ack), step=step)
    assert outcome.killed or outcome.acknowledged
    listed = rig.check_whole(images, scene.user)
    operation.judge(scene, listed, outcome.acknowledged, images)
    rig.sweep_twice(images, clock)
    after = rig.check_whole(images, scene.user)
    assert set(listed) <= set(after)
    rig.check_nothing_left(images, [scene.user], root=place.root)
    return outcome.killed
