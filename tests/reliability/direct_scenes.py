"""Direct uploads for the proof of kills: at every step of begin, PUT, finish, deletion and sweep."""

from collections.abc import Sequence

import pytest
import rig
from scenes import Ack, Operation, Scene

from userimages import ImageService, Ticket, UserImage
from userimages.errors import TicketNotFoundError

PICTURE, OTHER = b"picture", b"erutcip"


def begin(images: ImageService, user: str, data: bytes = PICTURE) -> Ticket:
    """Begin the upload of *data*."""
    return images.begin_upload(user, size_bytes=len(data), mime_type="image/jpeg")


def begin_put_finish(scene: Scene, images: ImageService, ack: Ack) -> None:
    ticket = begin(images, scene.user)
    ack(f"begun {ticket.id}")
    assert rig.put_directly(images, ticket, PICTURE) == "stored"
    ack(f"put {ticket.id}")
    ack(f"finished {images.finish_upload(scene.user, ticket.id, image_type='gallery').id}")


def can_be_finished(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    """What was put can still be finished, though a finish that was killed holds the ticket until its lease ends."""
    done = dict(line.split() for line in acked)
    assert {done[verb] for verb in ("finished",) if verb in done} <= set(listed)
    assert set(listed) <= {done.get("begun")}
    scene.clock.move(minutes=11)
    if "put" in done:
        image = images.finish_upload(scene.user, done["put"], image_type="gallery")
        assert [each.id for each in images.list(scene.user)] == [image.id]


def finished(scene: Scene, images: ImageService, clock: rig.Clock) -> Ticket:
    """Upload a picture directly, and keep another one that is only put."""
    unfinished, ticket = (begin(images, scene.user) for _ in range(2))
    for each in (unfinished, ticket):
        rig.put_directly(images, each, PICTURE)
    images.finish_upload(scene.user, ticket.id, image_type="gallery")
    return ticket


def delete(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.delete(scene.prepared.id)
    ack("deleted")


def delete_user(scene: Scene, images: ImageService, ack: Ack) -> None:
    assert images.delete_user(scene.user).left == ()
    ack("deleted")


def replace(scene: Scene, images: ImageService, ack: Ack) -> None:
    images.upload(scene.user, b"new", image_type="gallery", replace=True)
    ack("deleted")


def stays_away(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    """Once the picture is gone, neither a retry of finish nor one of the PUT brings it back."""
    id = scene.prepared.id
    assert not (acked and str(id) in listed)
    if str(id) in listed:
        assert images.finish_upload(scene.user, id, image_type="gallery").id == id
        return
    for _ in range(2):
        with pytest.raises(TicketNotFoundError):
            images.finish_upload(scene.user, id, image_type="gallery")
        rig.put_directly(images, scene.prepared, OTHER)
    assert str(id) not in rig.check_whole(images, scene.user)


def leave_tickets(scene: Scene, images: ImageService, clock: rig.Clock) -> None:
    """Leave a ticket that nobody used, one with a staged object, and one that was finished."""
    begin(images, scene.user)
    finished(scene, images, clock)


def sweep(scene: Scene, images: ImageService, ack: Ack) -> None:
    scene.clock.move(minutes=36)
    images.sweep()
    scene.clock.move(hours=2)
    images.sweep()
    ack("swept")


def keeps_the_image(scene: Scene, listed: dict[str, UserImage], acked: Sequence[str], images: ImageService) -> None:
    assert len(listed) == 1
    assert not (acked and rig.staged(images, scene.user))


OPERATIONS = {
    "begin, put and finish": Operation(begin_put_finish, can_be_finished),
    "delete after finish": Operation(delete, stays_away, prepare=finished),
    "delete_user after finish": Operation(delete_user, stays_away, prepare=finished),
    "replace after finish": Operation(replace, stays_away, prepare=finished),
    "sweep of tickets": Operation(sweep, keeps_the_image, prepare=leave_tickets),
}
