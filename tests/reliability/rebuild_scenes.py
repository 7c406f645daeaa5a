"""Rebuilds for the proof of kills: at every step of a rebuild, of a deletion after it, and of the sweep a day later."""

from collections.abc import Sequence

import rig
from scenes import Ack, Operation, Scene

from userimages import ImageService, UserImage
from userimages.keys import user_prefix
from userimages.model import RebuildReport

A_DAY = 25  # hours, with some more for clock skew


def run(images: ImageService, scene: Scene) -> RebuildReport:
    """Rebuild what the user of the scene has, and nothing of other scenes."""
    remade = rig.service(images.storage, images.repository, scene.clock, rig.NEW)
    return remade.rebuild_all(after=user_prefix(scene.user), limit=len(scene.there))


def rebuild(scene: Scene, images: ImageService, ack: Ack) -> None:
    ack(str(run(images, scene).rebuilt))


def rebuilt(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    """Each image is as before or as after, every old URL answers for a day, and a second run does the rest."""
    assert set(listed) == {str(each.id) for each in scene.there}
    done = [list(each.variants) == ["64", "card"] for each in listed.values()]
    assert all(done) or not acked
    assert [list(each.variants) for each in listed.values() if list(each.variants) != ["64", "card"]] == [
        ["64", "256"]
    ] * (len(done) - sum(done))
    scene.clock.move(minutes=16)
    assert images.sweep().failed == 0
    assert run(images, scene).rebuilt == len(done) - sum(done)
    assert run(images, scene).rebuilt == 0
    scene.clock.move(hours=20)
    assert images.sweep().failed == 0
    for image in scene.there:
        for key in image.object_keys:
            images.storage.open(key).close()
    scene.clock.move(hours=A_DAY)


def after_a_rebuild(scene: Scene, images: ImageService, clock: rig.Clock) -> None:
    """Rebuild everything, so that old variants are in their 24 hours."""
    assert run(images, scene).rebuilt == len(scene.there)


def delete(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.delete(scene.there[0].id)
    ack("deleted")


def delete_user(scene: Scene, images: ImageService, ack: Ack) -> None:
    assert images.delete_user(scene.user).left == ()
    ack("deleted")


def replace(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.upload(scene.user, b"new", image_type="cover", replace=True)
    ack("deleted")


def gone(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    """No object of a deleted image answers, not even an old variant; what a kill leaves goes within the day."""
    if acked:
        assert str(scene.there[0].id) not in listed
        stem = scene.there[0].key.rpartition(".")[0]
        assert list(images.storage.list(stem)) == []
    scene.clock.move(hours=A_DAY)


def sweep(scene: Scene, images: ImageService, ack: Ack) -> None:
    scene.clock.move(hours=A_DAY)
    images.sweep()
    scene.clock.move(hours=2)
    images.sweep()
    ack("swept")


def swept(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert set(listed) == {str(each.id) for each in scene.there}
    scene.clock.move(hours=A_DAY)


OPERATIONS = {
    "rebuild": Operation(rebuild, rebuilt, ["profile", "cover"]),
    "delete after a rebuild": Operation(delete, gone, ["cover"], after_a_rebuild),
}
if rig.TORTURE:
    OPERATIONS |= {
        "delete_user after a rebuild": Operation(delete_user, gone, ["cover", "cover"], after_a_rebuild),
        "replace after a rebuild": Operation(replace, gone, ["cover"], after_a_rebuild),
        "sweep a day after a rebuild": Operation(sweep, swept, ["cover", "cover"], after_a_rebuild),
    }
