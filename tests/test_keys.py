import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userimages import ImageService, ImageType, keys
from userimages.ids import UploadClock, instant, microseconds, new_id
from userimages.keys import (
    EXTENSIONS,
    TYPE_NAME,
    VARIANT_NAME,
    ParsedKey,
    new_stem,
    object_key,
    owner_of,
    parse_key,
    user_segment,
)
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
USERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150)


@pytest.mark.contract("C3")
def test_a_key_tells_user_type_and_instant() -> None:
    """A key tells user, type and instant, and nothing of the client."""
    key = object_key(new_stem("ana", ImageType.PROFILE, NOON), "image/jpeg")

    head, _, random = key.removesuffix(".jpg").rpartition("_")
    assert head == f"users/ana/images/profile_{microseconds(NOON)}"
    assert len(random) == 22
    parsed = parse_key(key)
    assert parsed
    assert (parsed.stem, parsed.image_type) == (key.removesuffix(".jpg"), "profile")


@given(USERS)
@pytest.mark.contract("C3")
def test_every_user_is_one_safe_segment(user: str) -> None:
    """Every user is one safe segment."""
    key = object_key(new_stem(user, ImageType.GALLERY, NOON), "image/webp", "a-name-of-thirty-two-characters_")

    users, segment, images, _ = key.split("/")
    assert (users, images) == ("users", "images")
    assert segment not in {"", ".", ".."}
    assert key.isascii()
    assert len(key) <= 240
    assert parse_key(key) is not None


@given(
    USERS,
    st.from_regex(TYPE_NAME, fullmatch=True),
    st.datetimes(datetime(1970, 1, 1), datetime(5138, 1, 1), timezones=st.just(UTC)),
    st.none() | st.from_regex(VARIANT_NAME, fullmatch=True),
    st.sampled_from(sorted(EXTENSIONS)),
)
def test_every_key_is_parsed_into_its_parts(user, image_type, at, variant, mime_type) -> None:
    """Whatever a type is called, also ``a_1``, its name, the owner and the stem are read back, within 240 bytes."""
    stem, owner = new_stem(user, image_type, at, owner_of(user)), owner_of(user)
    versioned = variant and f"{variant}-a2b3c4"
    for name in (None, variant, versioned):
        key = object_key(stem, mime_type, name)
        assert parse_key(key) == ParsedKey(stem, image_type, owner)
        assert len(key) <= 240


def test_a_database_without_an_id_has_the_common_owner() -> None:
    """A database without an id has the common owner."""
    assert owner_of(None) == "aaaaaa"
    assert len({owner_of(str(number)) for number in range(1000)}) == 1000


@given(USERS, USERS)
@pytest.mark.contract("C3")
def test_no_two_users_share_a_segment(one: str, other: str) -> None:
    """No two users share a segment."""
    assert (user_segment(one) == user_segment(other)) == (one == other)


@pytest.mark.parametrize(
    ("user", "segment"),
    [("a.b", "a.b"), (".", "%2E"), ("..", "%2E%2E"), ("~x", "%7Ex"), ("a/b", "a%2Fb"), ("é", "%C3%A9"), ("%", "%25")],
)
def test_a_segment_is_the_user_percent_encoded(user: str, segment: str) -> None:
    """A segment is the user percent encoded."""
    assert user_segment(user) == segment


def test_a_long_user_becomes_a_digest() -> None:
    """A long user becomes a digest."""
    assert user_segment("x" * 120) == "x" * 120
    assert user_segment("é" * 150).startswith("~")
    assert len(user_segment("é" * 150)) == 41


@pytest.mark.parametrize(
    "key", ["", "users/a/images/x.jpg", "users/a/b/images/profile_1_aaaaaaaaaaaaaaaaaaaaaa.jpg", "static/logo.png"]
)
def test_other_keys_are_not_of_our_grammar(key: str) -> None:
    """Other keys are not of our grammar."""
    assert parse_key(key) is None


def test_uploads_in_one_microsecond_keep_their_order() -> None:
    """Ten thousand uploads in one frozen microsecond differ and keep their order."""
    clock = UploadClock(lambda: NOON)

    instants = [clock() for _ in range(10_000)]

    assert instants == sorted(set(instants))
    assert len({new_stem("ana", ImageType.PROFILE, NOON) for _ in range(10_000)}) == 10_000


@pytest.mark.contract("C3")
def test_a_clock_that_jumps_back_repeats_nothing() -> None:
    """A clock that jumps back an hour neither repeats nor reorders."""
    times = iter([NOON, NOON - timedelta(hours=1), NOON - timedelta(hours=1), NOON + timedelta(seconds=1)])
    clock = UploadClock(lambda: next(times))

    instants = [clock() for _ in range(4)]

    assert instants == sorted(set(instants))
    assert instants[-1] == NOON + timedelta(seconds=1)


def test_uploads_stay_in_order_when_a_clock_jumps_back(tiny_processor) -> None:
    """Uploads under a clock that jumps back are listed in their order."""
    times = iter([NOON, NOON] + [NOON - timedelta(hours=1)] * 20)
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, clock=lambda: next(times))

    uploaded = [images.upload("ana", b"x", image_type="gallery").id for _ in range(5)]

    assert [image.id for image in images.list("ana")] == uploaded[::-1]


def test_an_id_is_a_uuid7_of_its_instant() -> None:
    """An id is a UUIDv7 of its instant."""
    id = new_id(NOON)

    assert (id.version, id.variant) == (7, UUID(int=0x8 << 60).variant)
    assert id.int >> 80 == microseconds(NOON) // 1000
    assert new_id(NOON + timedelta(microseconds=1)) > id


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1)))
def test_microseconds_and_instant_are_inverse(moment: datetime) -> None:
    """Microseconds and instant are inverse."""
    assert instant(microseconds(moment)) == moment


def test_the_clock_works_in_a_child_of_a_locked_parent() -> None:
    """The upload clock works in a child forked while its lock was held."""
    code = (
        "import os\n"
        "from userimages.ids import UploadClock, utcnow\n"
        "clock = UploadClock(utcnow)\n"
        "clock._lock.acquire()\n"
        "if os.fork():\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "clock()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_key_ends_in_variant_version_and_extension() -> None:
    """A variant that was made again has a version, so that its URL is another one."""
    assert keys.object_key("stem", "image/webp") == "stem.webp"
    assert keys.object_key("stem", "image/jpeg", "320") == "stem.320.jpg"
    assert keys.object_key("stem", "image/jpeg", "320", version="abc234") == "stem.320-abc234.jpg"
    assert keys.has_version("stem.320-abc234.jpg")
    assert not keys.has_version("stem.320.jpg")


@pytest.mark.parametrize(("user", "segment"), [("X", "X"), ("XX.XX", "XX.XX"), ("a/X", "a%2FX"), ("..", "%2E%2E")])
def test_only_dots_alone_are_encoded(user: str, segment: str) -> None:
    """A dot within a name is a plain character."""
    assert keys.user_segment(user) == segment
