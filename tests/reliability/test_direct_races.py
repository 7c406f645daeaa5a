"""Direct uploads that many callers finish at once, while others put and delete."""

from functools import partial

import direct_scenes
import rig

from userimages import ConflictError, ImageNotFoundError

CALLERS = 50 if rig.TORTURE else 12
ROUNDS = 100 if rig.TORTURE else 2


def test_many_finishes_at_once_make_one_image(place: rig.Place) -> None:
    """The others get it too, or hear that one is at work; afterwards each gets it."""
    for _ in range(ROUNDS):
        user, clock = rig.new_user(), rig.Clock()
        images = place.service(clock)
        ticket = direct_scenes.begin(images, user)
        rig.put_directly(images, ticket, direct_scenes.PICTURE)
        finish = partial(images.finish_upload, user, ticket.id, image_type="gallery")
        outcomes = rig.at_once([finish] * CALLERS)
        refused = [each for each in outcomes if isinstance(each, Exception)]
        assert all(isinstance(each, ConflictError) for each in refused), refused
        assert {each.id for each in outcomes if each not in refused} == {ticket.id}
        assert [each.id for each in images.list(user)] == [ticket.id]
        assert finish().id == ticket.id
        rig.count("parallel finishes of one ticket", len(outcomes))
        rig.finish(place, clock, user)


def test_a_deletion_among_finishes_and_puts_is_final(place: rig.Place) -> None:
    """Whoever saw the image deleted never sees it again, whatever is put and finished meanwhile and afterwards."""
    for _ in range(ROUNDS):
        user, clock = rig.new_user(), rig.Clock()
        images = place.service(clock)
        ticket = direct_scenes.begin(images, user)
        rig.put_directly(images, ticket, direct_scenes.PICTURE)
        finish = partial(images.finish_upload, user, ticket.id, image_type="gallery")
        finish()
        delete = partial(images.delete, ticket.id)
        put = partial(rig.put_directly, images, ticket, direct_scenes.OTHER)
        outcomes = rig.at_once([delete, *[finish] * 4, *[put] * 2, delete, *[finish] * 4])
        failed = [each for each in outcomes if isinstance(each, Exception)]
        assert all(isinstance(each, ConflictError | ImageNotFoundError) for each in failed), failed
        assert sum(each is None for each in outcomes) == 1, "it was deleted once"
        put()
        assert isinstance(rig.at_once([finish])[0], ImageNotFoundError)
        assert len(images.list(user)) == 0
        rig.finish(place, clock, user)
