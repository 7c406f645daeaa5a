import pytest

from userimages import ImageService, InvalidFieldError
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage


@pytest.mark.contract("C8")
def test_a_list_is_newest_first_and_counts_its_page(images: ImageService, user: str) -> None:
    """A list is newest first and counts its page."""
    uploaded = [images.upload(user, b"x", image_type="gallery") for _ in range(3)]
    images.upload(user + "2", b"x", image_type="gallery")

    page = images.list(user)

    assert list(page) == uploaded[::-1]
    assert (len(page), page[0], page.next_cursor) == (3, uploaded[-1], None)


@pytest.mark.contract("C8")
def test_pages_lose_nothing_when_the_list_changes(images: ImageService, user: str) -> None:
    """Pages are bounded, and lose nothing when the list changes."""
    uploaded = [images.upload(user, b"x", image_type="gallery") for _ in range(5)]

    first = images.list(user, limit=2)
    images.upload(user, b"x", image_type="gallery")
    images.delete(uploaded[3].id)
    second = images.list(user, limit=2, cursor=first.next_cursor)
    third = images.list(user, limit=2, cursor=second.next_cursor)

    assert [*first, *second, *third] == uploaded[::-1]
    assert third.next_cursor is None


def test_a_list_may_be_of_one_type(images: ImageService, user: str) -> None:
    """A list may be of one type."""
    for image_type in ("profile", "gallery", "profile"):
        images.upload(user, b"x", image_type=image_type)

    assert [image.image_type for image in images.list(user, image_type="profile")] == ["profile", "profile"]
    assert images.list(user, image_type="cover").images == ()


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"image_type": "X"}])
def test_a_bad_argument_of_a_list_is_named(tiny_processor, arguments) -> None:
    """A bad argument of a list is named."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)

    with pytest.raises(InvalidFieldError) as error:
        images.list("ana", **arguments)
    assert [error.value.field] == list(arguments)


@pytest.mark.contract("C8")
@pytest.mark.cost
def test_a_list_asks_the_storage_nothing(tiny_processor) -> None:
    """A list asks the storage nothing."""
    repository = MemoryRepository()
    ImageService(MemoryStorage(), repository, processor=tiny_processor).upload("ana", b"x", image_type="cover")

    class UrlsOnly:
        put = None

        def url(self, key: str) -> str:
            return f"https://img.example/{key}"

    page = ImageService(UrlsOnly(), repository, processor=tiny_processor).list("ana")  # type: ignore[arg-type]

    assert page[0].url == f"https://img.example/{page[0].key}"


@pytest.mark.contract("C4")
def test_making_one_primary_demotes_the_other(images: ImageService, user: str) -> None:
    """This holds over all types."""
    profile = images.upload(user, b"x", image_type="profile", is_primary=True)
    cover = images.upload(user, b"x", image_type="cover", is_primary=True)

    assert images.primary(user) == cover
    assert images.set_primary(profile.id).is_primary
    assert [(image.id, image.is_primary) for image in images.list(user)] == [(cover.id, False), (profile.id, True)]


def test_no_image_becomes_primary_unasked(images: ImageService, user: str) -> None:
    """A first image is not primary unless asked, and a deleted primary leaves none."""
    first = images.upload(user, b"x", image_type="profile")
    assert images.primary(user) is None

    images.set_primary(first.id)
    images.upload(user, b"x", image_type="profile")
    images.delete(first.id)

    assert images.primary(user) is None


@pytest.mark.contract("C10")
def test_set_primary_is_idempotent(images: ImageService, user: str) -> None:
    """Set primary is idempotent."""
    image = images.upload(user, b"x", image_type="profile")

    assert images.set_primary(image.id) == images.set_primary(image.id) == images.primary(user)


def test_primaries_leave_out_users_who_have_none(images: ImageService, user: str) -> None:
    """Primaries of many users leave out who has none."""
    ana = images.upload(user + "-a", b"x", image_type="profile", is_primary=True)
    ben = images.upload(user + "-b", b"x", image_type="profile", is_primary=True)
    images.upload(user + "-c", b"x", image_type="profile")

    found = images.primaries([user + "-a", user + "-b", user + "-c", user + "-d", user + "-a"])

    assert found == {user + "-a": ana, user + "-b": ben}
    assert images.primaries([]) == {}
