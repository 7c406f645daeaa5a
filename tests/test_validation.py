import io
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userimages import FileTooLargeError, ImageType, InvalidFieldError, validation
from userimages.ids import utcnow


class Endless(io.RawIOBase):
    """A file without an end that counts what is read of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, n: int = -1, /) -> bytes:
        self.given += n
        return b"x" * n


@pytest.mark.contract("C24")
def test_a_file_of_exactly_the_limit_passes() -> None:
    """A file of exactly the limit passes."""
    assert len(validation.read_file(io.BytesIO(b"x" * 100), limit=100)) == 100
    assert len(validation.read_file(b"x" * 100, limit=100)) == 100


@pytest.mark.contract("C24")
def test_reading_stops_one_byte_past_the_limit() -> None:
    """Reading stops one byte past the limit."""
    file = Endless()

    with pytest.raises(FileTooLargeError, match="10,485,760 bytes") as error:
        validation.read_file(file, limit=10 * 1024 * 1024)

    assert file.given == 10 * 1024 * 1024 + 1
    assert error.value.limit == 10 * 1024 * 1024


def test_a_file_that_gives_little_is_read_to_its_end() -> None:
    """A file that gives little at a time is read to its end."""

    class Dribble:
        def __init__(self) -> None:
            self.left = [b"ab", b"c", b"", b"never"]

        def read(self, n: int, /) -> bytes:
            return self.left.pop(0)

    assert validation.read_file(Dribble(), limit=10) == b"abc"


@pytest.mark.cost
def test_a_file_is_read_by_the_mebibyte() -> None:
    """Each read asks for what is still wanted, at most a mebibyte at once, and one byte past the limit at most."""
    asked: list[int] = []

    class Half:
        def read(self, n: int, /) -> bytes:
            asked.append(n)
            return b"x" * (n // 2 or n)

    with pytest.raises(FileTooLargeError):
        validation.read_file(Half(), limit=2**21 - 1)

    assert asked[:4] == [2**20, 2**20, 2**20, 2**19]
    assert asked[-1] == 1


def test_an_awaitable_without_close_is_refused_too() -> None:
    """A future is not a coroutine, and has nothing to close."""

    class Future:
        def __await__(self):
            yield

    class Upload:
        def read(self, n: int, /) -> Future:
            return Future()

    with pytest.raises(InvalidFieldError, match="awaiting"):
        validation.read_file(Upload(), limit=10)  # type: ignore[arg-type]


def test_what_is_just_allowed_passes() -> None:
    """The limits are inclusive."""
    assert validation.checked_upload(1, "Image/PNG; q=1", "a" * 64, limit=1) == "image/png"
    assert validation.checked_upload(2, "image/webp", None, limit=2) == "image/webp"
    validation.check_audit(delete=False, after="", limit=1, max_share=0, verify=1)
    validation.check_audit(delete=False, after="a", limit=None, max_share=1, verify=0)
    validation.check_rebuild(after="a", limit=1)
    validation.check_rebuild(after="", limit=10_000)
    validation.check_range(0, 0)
    assert validation.checked_user("a" * 150) == "a" * 150
    assert validation.checked_caption("one\rtwo\r\nthree") == "one\ntwo\nthree"
    assert validation.checked_limit(validation.MAX_PAGE) == 200
    assert validation.checked_users([str(each) for each in range(1000)] * 2)[-1] == "999"


def test_a_file_to_await_is_refused_with_what_to_pass() -> None:
    """A file to await is refused with what to pass."""

    class Upload:
        async def read(self, n: int) -> bytes:
            return b""

    with pytest.raises(InvalidFieldError, match=r"upload\.file") as error:
        validation.read_file(Upload(), limit=10)  # type: ignore[arg-type]
    assert error.value.field == "file"


@pytest.mark.parametrize(
    "file", ["photo.jpg", None, 7, io.StringIO("text"), io.TextIOWrapper(io.BytesIO(b"\xff\xd8\xff"), encoding="utf-8")]
)
def test_what_is_not_a_file_is_refused(file: object) -> None:
    """What is not a file is refused."""
    with pytest.raises(InvalidFieldError, match="'rb'"):
        validation.read_file(file, limit=10)  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150))
def test_a_user_of_any_unicode_passes_unchanged(user: str) -> None:
    """A user of any Unicode passes unchanged."""
    assert validation.checked_user(user) == user


@pytest.mark.parametrize("user", ["", "x" * 151, "a\0b", "\ud800", None, 7])
def test_other_users_are_refused(user: object) -> None:
    """Other users are refused."""
    with pytest.raises(InvalidFieldError) as error:
        validation.checked_user(user)  # type: ignore[arg-type]
    assert error.value.field == "user"


@pytest.mark.parametrize(
    "caption", ["", "I <3 you & me > all", "a < b", "Tom & Jerry's", "&lt;b&gt; &copy x", "é\n\tü", "a <b"]
)
@pytest.mark.contract("C28")
def test_a_caption_is_kept_as_text(caption: str) -> None:
    """A caption is kept as text."""
    assert validation.checked_caption(caption) == caption


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<b>My</b> cat", "My cat"),
        ("<script>alert(1)</script>x", "alert(1)x"),
        ('<img src=x onerror="a>b">x', "x"),
        ("x<!-- no -->y", "xy"),
        ("a<![foo bar]>b", "ab"),
        ("<![<![", "<![<!["),
        ("bell\x07 and\x1b[31m red\r\nline", "bell and[31m red\nline"),
    ],
)
@pytest.mark.contract("C28")
def test_only_tags_and_control_characters_go(given: str, kept: str) -> None:
    """Only tags and control characters go."""
    assert validation.checked_caption(given) == kept


@pytest.mark.contract("C28")
def test_an_over_long_caption_is_never_cut() -> None:
    """An over-long caption is an error, and is never cut."""
    assert validation.checked_caption("é" * 1000) == "é" * 1000
    assert validation.checked_caption("<i>" * 100 + "x" * 1000) == "x" * 1000
    for caption in ("x" * 1001, "<i>" * 10_000):
        with pytest.raises(InvalidFieldError, match="1000") as error:
            validation.checked_caption(caption)
        assert error.value.field == "caption"


@pytest.mark.parametrize("caption", [None, 7, "a\0", "\udfff"])
def test_what_is_no_caption_is_refused(caption: object) -> None:
    """What is not a caption is refused."""
    with pytest.raises(InvalidFieldError):
        validation.checked_caption(caption)  # type: ignore[arg-type]


@pytest.mark.contract("C2")
def test_the_three_types_and_their_labels() -> None:
    """The three types and their labels."""
    assert [each.label for each in ImageType] == ["Profile Picture", "Gallery Image", "Cover Photo"]
    assert [validation.checked_image_type(each, ImageType) for each in ImageType] == ["profile", "gallery", "cover"]


@pytest.mark.parametrize("image_type", ["banana", "", "PROFILE", None, 1])
@pytest.mark.contract("C2")
def test_any_other_type_is_a_clear_error(image_type: object) -> None:
    """Any other type is a clear error."""
    with pytest.raises(InvalidFieldError, match="profile, gallery, cover") as error:
        validation.checked_image_type(image_type, tuple(ImageType))  # type: ignore[arg-type]
    assert error.value.field == "image_type"


def test_a_cursor_comes_back_as_its_position() -> None:
    """A cursor comes back as its position."""
    position = (utcnow(), uuid4())
    assert validation.decode_cursor(validation.encode_cursor(*position)) == position


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "A" * 33, "////////////////////////////////", None, 7])
def test_any_other_cursor_is_an_invalid_field(cursor: object) -> None:
    """Any other cursor is an invalid field."""
    with pytest.raises(InvalidFieldError, match="next_cursor") as error:
        validation.decode_cursor(cursor)  # type: ignore[arg-type]
    assert error.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 201, 1.5, True, "50", None])
def test_a_limit_is_a_whole_number_within_bounds(limit: object) -> None:
    """A limit is a whole number from 1 to 200."""
    with pytest.raises(InvalidFieldError) as error:
        validation.checked_limit(limit)  # type: ignore[arg-type]
    assert error.value.field == "limit"


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", " x", "x ", "a\nb", 7])
def test_an_idempotency_key_is_printable_ascii(key: object) -> None:
    """An idempotency key is 1 to 255 characters of printable ASCII."""
    assert validation.checked_idempotency_key("x" * 255) == "x" * 255
    with pytest.raises(InvalidFieldError):
        validation.checked_idempotency_key(key)  # type: ignore[arg-type]


@pytest.mark.parametrize("id", ["", "x", 7, None, "0" * 31])
def test_an_id_is_a_uuid_or_its_string(id: object) -> None:
    """An id is a UUID or its string."""
    with pytest.raises(InvalidFieldError) as error:
        validation.checked_id(id)  # type: ignore[arg-type]
    assert error.value.field == "id"


def test_users_are_a_list_and_not_one_name() -> None:
    """Users are a list, and not one name."""
    assert validation.checked_users(["a", "b", "a"]) == ["a", "b"]
    for users in ("ana", None, [str(n) for n in range(1001)]):
        with pytest.raises(InvalidFieldError) as error:
            validation.checked_users(users)
        assert error.value.field == "users"


@pytest.mark.parametrize(
    "caption",
    ["<\x01script>alert(1)</\x01script>", "<\x85b>alert(1)", "<<b>script>alert(1)</script>", "<<<b>b>i>alert(1)"],
)
@pytest.mark.contract("C28")
def test_what_is_left_of_one_tag_makes_no_other(caption: str) -> None:
    """What is left of one tag makes no other."""
    assert validation.checked_caption(caption) == "alert(1)"


@pytest.mark.contract("C28")
@pytest.mark.cost
def test_tags_within_tags_cost_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags within tags cost a bounded number of passes."""
    passes, parsed = [], validation._without_tags
    monkeypatch.setattr(validation, "_without_tags", lambda text: passes.append(text) or parsed(text))
    with pytest.raises(InvalidFieldError, match="tags within tags"):
        validation.checked_caption("<" * 3300 + "b>" * 3300)
    assert len(passes) <= 8


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    """A number of thousands of digits is refused like any other."""
    for refused in (
        validation.checked_limit,
        validation.checked_image_type,
        lambda number: validation.check_range(-number, 1),
    ):
        with pytest.raises(InvalidFieldError):
            refused(10**5000)
