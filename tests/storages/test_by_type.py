"""ByType: which storage holds which key, and what the others do not show."""

import pytest

from userimages import ConfigurationError, ImageService
from userimages.keys import PROBE_PREFIX
from userimages.repositories.memory import MemoryRepository
from userimages.storages.by_type import ByType
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image

STEM = "_1795000000000000_aaaaaabbbbbbbbbbbbbbbb"


@pytest.fixture
def parts() -> dict[str, MemoryStorage]:
    return {"profile": MemoryStorage(public_url="https://img.example.com"), "gallery": MemoryStorage()}


def keys(storage: MemoryStorage | ByType) -> list[str]:
    return [found.key for found in storage.list()]


@pytest.mark.parametrize(
    ("key", "holder"),
    [
        (f"users/ana/images/profile{STEM}.jpg", "profile"),
        (f"users/ana/images/gallery{STEM}.jpg", "gallery"),
        (f"users/ana/images/gallery{STEM}.256.webp", "gallery"),
        (f"users/gallery{STEM}.jpg/images/profile{STEM}.jpg", "profile"),
        (f"users/profile{STEM}.jpg/images/gallery{STEM}.jpg", "gallery"),
        (f"{PROBE_PREFIX}gallery{STEM}.jpg", "profile"),
        ("users/ana/images/gallery.jpg", "profile"),
        (f"staging/ana/gallery{STEM}.jpg", "profile"),
        (f"backup/users/ana/images/gallery{STEM}.jpg", "profile"),
    ],
)
def test_the_type_in_the_key_chooses_the_storage(parts, key: str, holder: str) -> None:
    """What only resembles a type, in the name of a user or elsewhere, does not; then it is the first storage."""
    storage = ByType(parts)
    storage.put(key, b"cat", mime_type="image/jpeg")

    assert {name: keys(part) for name, part in parts.items()} == {name: [key] * (name == holder) for name in parts}
    assert storage.open(key, start=1).read() == b"at"
    assert storage.url(key) == parts[holder].url(key)
    storage.delete([key, f"users/ana/images/profile{STEM}.png"])
    assert keys(storage) == []


def test_types_with_underscores_are_told_apart(parts) -> None:
    """The type ends where the time begins."""
    storage = ByType(parts | {"a": MemoryStorage(), "a_1": MemoryStorage()})
    storage.put(f"users/ana/images/a_1{STEM}.jpg", b"cat", mime_type="image/jpeg")

    assert [len(keys(each)) for each in storage.storages] == [0, 0, 0, 1]


def test_a_type_without_a_storage_is_not_stored(parts) -> None:
    """A picture must not become public because a type was forgotten."""
    storage = ByType(parts)

    with pytest.raises(ConfigurationError, match=r"no storage for the type cover.*profile, gallery"):
        storage.put(f"users/ana/images/cover{STEM}.jpg", b"cat", mime_type="image/jpeg")
    assert keys(storage) == []


def test_what_lies_in_the_wrong_storage_is_not_seen(parts) -> None:
    """A listing shows what ``open`` would find, so that an audit tells the truth."""
    storage, key = ByType(parts), f"users/ana/images/gallery{STEM}.jpg"
    parts["profile"].put(key, b"cat", mime_type="image/jpeg")
    assert keys(storage) == []
    parts["gallery"].put(key, b"cat", mime_type="image/jpeg")
    assert keys(storage) == [key]


def test_a_listing_merges_the_storages(parts) -> None:
    """In byte order of the whole key, under a prefix and after a key, as from one storage."""
    storage = ByType(parts)
    stored = sorted(
        f"users/{user}/images/{name}{STEM}{end}"
        for user in ("a", "a-b", "b")
        for name in ("gallery", "profile")
        for end in (".jpg", ".64.webp", ".256.webp")
    )
    for size, key in enumerate(reversed(stored), 1):
        storage.put(key, b"x" * (size % 5 + 1), mime_type="image/jpeg")

    assert keys(storage) == stored
    under = [key for key in stored if key.startswith("users/a/")]
    assert [found.key for found in storage.list("users/a/", after=under[1])] == under[2:]


def test_one_storage_of_two_types_is_listed_once() -> None:
    """It is asked once, and its keys come once."""
    shared = MemoryStorage()
    storage = ByType({"profile": shared, "cover": shared})
    storage.put(f"users/ana/images/cover{STEM}.jpg", b"cat", mime_type="image/jpeg")

    assert storage.storages == (shared,)
    assert len(keys(storage)) == 1


def test_no_storage_at_all_is_refused() -> None:
    """The message shows how to write it."""
    with pytest.raises(ConfigurationError, match="no storage"):
        ByType({})


def test_public_and_private_pictures_in_one_service(parts) -> None:
    """A profile picture has a public URL, one of a gallery has that of the serve route; both are whole."""
    images = ImageService(ByType(parts), MemoryRepository())
    profile, gallery = (images.upload("ana", make_image(), image_type=name) for name in ("profile", "gallery"))

    assert profile.url.startswith("https://img.example.com/users/ana/images/profile_")
    assert gallery.url.startswith("/api/user_image/")
    for image in (profile, gallery):
        with images.open(image.id) as stream:
            assert len(stream.read()) == image.size_bytes
    report = images.audit()
    assert (len(report.orphans), len(report.missing), report.unknown) == (0, 0, 0)
    images.delete_user("ana")
    assert keys(images.storage) == []
