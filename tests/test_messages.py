"""The words of every refusal that an argument can meet: what a developer and a user read is part of the promise."""

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from userimages.errors import UserImagesError
from userimages.ids import new_id
from userimages.lifecycle.check import check
from userimages.lifecycle.ownership import require_own_store
from userimages.lifecycle.tickets import StagedPut, begin_ticket, check_origin, read_put
from userimages.lifecycle.upload import build_image, recipe_id
from userimages.model import Check, ProcessedImage, Rendition
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage
from userimages.testing.records import new_image, publish
from userimages.validation import (
    check_audit,
    check_changes,
    check_range,
    check_rebuild,
    checked_caption,
    checked_flag,
    checked_id,
    checked_idempotency_key,
    checked_ids,
    checked_image_type,
    checked_limit,
    checked_meta,
    checked_primary_type,
    checked_upload,
    checked_uploaded_at,
    checked_user,
    checked_users,
    checked_variant,
    decode_cursor,
    decode_recent_cursor,
    read_file,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = "a-key-of-at-least-32-characters-1234"
SHA256 = hashlib.sha256(b"1234").hexdigest()
EXPIRES = int(NOW.timestamp()) + 60
PUT = StagedPut(id=new_id(NOW), segment="ana", size_bytes=4, mime_type="image/png", sha256=SHA256, expires=EXPIRES)


class Awaited:
    """A file as frameworks for asyncio give it."""

    async def read(self, size: int) -> bytes:
        return b""


class Named:
    """A processor that gives its recipe a bad name."""

    def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
        raise NotImplementedError

    def recipe_id(self, image_type: str) -> str:
        return "first"


def audit(**wrong: Any) -> None:
    check_audit(**{"delete": True, "after": "", "limit": None, "max_share": 0.5, "verify": 0.0} | wrong)


def begin(size_bytes: int) -> object:
    facts = {"size_bytes": size_bytes, "mime_type": "image/png", "sha256": None, "staged_url": "/{id}/"}
    return begin_ticket(MemoryStorage(), MemoryRepository(), None, id=new_id(NOW), user="ana", now=NOW, **facts)


def rendition(mime_type: str) -> Rendition:
    return Rendition(b"1234", 1, 1, mime_type)


def made(processed: ProcessedImage) -> object:
    return build_image(processed, user="ana", image_type="cover", at=NOW, owner="aaaa")


REFUSED: list[tuple[Callable[[], object], str, str, str | None, dict[str, object]]] = [
    (lambda: checked_user(7), "InvalidFieldError", "The user is of type int.", "Pass a string.", {"field": "user"}),
    (
        lambda: checked_user(""),
        "InvalidFieldError",
        "The user name has 0 characters, and 1 to 150 are allowed.",
        "Pass a stable id of the user.",
        {"field": "user"},
    ),
    (
        lambda: checked_user("a" * 151),
        "InvalidFieldError",
        "The user name has 151 characters, and 1 to 150 are allowed.",
        "Pass a stable id of the user.",
        {"field": "user"},
    ),
    (
        lambda: checked_user("a\0"),
        "InvalidFieldError",
        "The user holds a NUL character.",
        "Remove it.",
        {"field": "user"},
    ),
    (
        lambda: checked_user("\ud800"),
        "InvalidFieldError",
        "The user holds a lone surrogate.",
        "Remove it.",
        {"field": "user"},
    ),
    (
        lambda: checked_users("ana"),
        "InvalidFieldError",
        "users is not a sequence of users.",
        "Pass a list.",
        {"field": "users"},
    ),
    (
        lambda: checked_users(7),
        "InvalidFieldError",
        "users is not a sequence of users.",
        "Pass a list.",
        {"field": "users"},
    ),
    (
        lambda: checked_ids("019e"),
        "InvalidFieldError",
        "ids is not a sequence of ids.",
        "Pass a list.",
        {"field": "ids"},
    ),
    (
        lambda: checked_users([str(each) for each in range(1001)]),
        "InvalidFieldError",
        "1,001 users were asked for at once, and at most 1,000 are allowed.",
        "Ask in several calls.",
        {"field": "users"},
    ),
    (
        lambda: checked_image_type("No!"),
        "InvalidFieldError",
        "The image type 'No!' is not the name of a type.",
        "Use 1 to 16 of the characters a-z, 0-9 and _, beginning with a letter, such as 'gallery'.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_image_type(7),
        "InvalidFieldError",
        "The image type 7 is not the name of a type.",
        "Use 1 to 16 of the characters a-z, 0-9 and _, beginning with a letter, such as 'gallery'.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_image_type("banner", ["profile", "cover"]),
        "InvalidFieldError",
        "The image type 'banner' is none of: profile, cover.",
        "Pass one of them, or add a recipe of that name to the processor.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_image_type("b" * 80, ["profile"]),
        "InvalidFieldError",
        "The image type 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb... is none of: profile.",
        "Pass one of them, or add a recipe of that name to the processor.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_primary_type(None, per_type=True),
        "InvalidFieldError",
        "image_type is missing.",
        "This service has one primary image per type: name it.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_primary_type("cover", per_type=False),
        "InvalidFieldError",
        "image_type is not allowed here.",
        "This service has one primary image over all types: see primary_per_type.",
        {"field": "image_type"},
    ),
    (
        lambda: checked_flag("false", "is_primary"),
        "InvalidFieldError",
        "is_primary must be a bool.",
        "Pass True or False.",
        {"field": "is_primary"},
    ),
    (
        lambda: checked_id("7"),
        "InvalidFieldError",
        "The image id (of type str) is not a UUID.",
        "Pass the id of a UserImage, or its string.",
        {"field": "id"},
    ),
    (
        lambda: checked_id(7),
        "InvalidFieldError",
        "The image id (of type int) is not a UUID.",
        "Pass the id of a UserImage, or its string.",
        {"field": "id"},
    ),
    (
        lambda: checked_upload(0, "image/png", None, limit=10),
        "InvalidFieldError",
        "The size 0 is not a whole number from 1 up.",
        "Pass file.size.",
        {"field": "size_bytes"},
    ),
    (
        lambda: checked_upload(True, "image/png", None, limit=10),
        "InvalidFieldError",
        "The size True is not a whole number from 1 up.",
        "Pass file.size.",
        {"field": "size_bytes"},
    ),
    (
        lambda: checked_upload("7", "image/png", None, limit=10),
        "InvalidFieldError",
        "The size '7' is not a whole number from 1 up.",
        "Pass file.size.",
        {"field": "size_bytes"},
    ),
    (
        lambda: checked_upload(5 * 2**20, "image/png", None, limit=2**20),
        "FileTooLargeError",
        "The file has 5,242,880 bytes, and at most 1,048,576 (1 MiB) are allowed.",
        "Send a smaller file, or raise the limit of the processor: Limits(max_bytes=).",
        {"limit": 1048576},
    ),
    (
        lambda: checked_upload(1, None, None, limit=10),
        "InvalidFieldError",
        "The mime_type is of type NoneType.",
        "Pass a string.",
        {"field": "mime_type"},
    ),
    (
        lambda: checked_upload(1, "text/" + "x" * 50 + ";a", None, limit=10),
        "UnsupportedFormatError",
        "The file is not said to be a picture of an allowed format.",
        "Pass file.type of a JPEG, PNG, GIF, WebP or HEIC.",
        {
            "found": "text/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "allowed": ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif"),
        },
    ),
    (
        lambda: checked_upload(1, "image/png", "AB" * 32, limit=10),
        "InvalidFieldError",
        "The SHA-256 is not 64 lower-case hex digits.",
        "Pass hexdigest(), or leave it out.",
        {"field": "sha256"},
    ),
    (
        lambda: checked_upload(1, "image/png", 7, limit=10),
        "InvalidFieldError",
        "The SHA-256 is not 64 lower-case hex digits.",
        "Pass hexdigest(), or leave it out.",
        {"field": "sha256"},
    ),
    (
        lambda: checked_uploaded_at("2026", now=NOW),
        "InvalidFieldError",
        "uploaded_at is '2026', which is not a datetime with a time zone.",
        "Pass datetime(..., tzinfo=UTC).",
        {"field": "uploaded_at"},
    ),
    (
        lambda: checked_uploaded_at(datetime(2026, 1, 1), now=NOW),
        "InvalidFieldError",
        "uploaded_at is 2026-01-01T00:00:00, which is not a datetime with a time zone.",
        "Pass datetime(..., tzinfo=UTC).",
        {"field": "uploaded_at"},
    ),
    (
        lambda: checked_uploaded_at(NOW + timedelta(days=1), now=NOW),
        "InvalidFieldError",
        "uploaded_at is 2026-05-02T12:00:00+00:00, which is not between 1970 and now.",
        "Pass the date of the upload.",
        {"field": "uploaded_at"},
    ),
    (
        lambda: checked_meta([]),
        "InvalidFieldError",
        "meta is of type list.",
        'Pass a dict, such as {"alt": "A cat"}.',
        {"field": "meta"},
    ),
    (
        lambda: checked_meta({"a": float("nan")}),
        "InvalidFieldError",
        "meta is not a JSON object.",
        (
            "Use dicts with string keys, lists, strings without NUL and lone surrogates, finite numbers, "
            "True, False and None, at most 32 deep."
        ),
        {"field": "meta"},
    ),
    (
        lambda: checked_meta({"a": "b" * 5000}),
        "InvalidFieldError",
        "meta has 5,008 bytes as JSON, and at most 4,096 are allowed.",
        "Keep larger data in a table of your own.",
        {"field": "meta"},
    ),
    (
        lambda: check_changes({"key": 1}),
        "InvalidFieldError",
        "key cannot be changed.",
        "What can: caption, meta.",
        {"field": "key"},
    ),
    (
        lambda: checked_limit(0),
        "InvalidFieldError",
        "The limit 0 is not a whole number from 1 to 200.",
        "Read page by page.",
        {"field": "limit"},
    ),
    (
        lambda: checked_limit(10**5000),
        "InvalidFieldError",
        "The limit of thousands of digits is not a whole number from 1 to 200.",
        "Read page by page.",
        {"field": "limit"},
    ),
    (
        lambda: checked_limit(201),
        "InvalidFieldError",
        "The limit 201 is not a whole number from 1 to 200.",
        "Read page by page.",
        {"field": "limit"},
    ),
    (
        lambda: checked_limit(True),
        "InvalidFieldError",
        "The limit True is not a whole number from 1 to 200.",
        "Read page by page.",
        {"field": "limit"},
    ),
    (
        lambda: checked_limit("5"),
        "InvalidFieldError",
        "The limit '5' is not a whole number from 1 to 200.",
        "Read page by page.",
        {"field": "limit"},
    ),
    (
        lambda: checked_idempotency_key(" a"),
        "InvalidFieldError",
        "The idempotency key is not a string of 1 to 255 printable ASCII characters, without a space at either end.",
        "Pass str(uuid.uuid4()), the same one for all retries of one upload.",
        {"field": "idempotency_key"},
    ),
    (
        lambda: checked_caption(7),
        "InvalidFieldError",
        "The caption is of type int.",
        "Pass a string.",
        {"field": "caption"},
    ),
    (
        lambda: checked_caption("a" * 1001),
        "InvalidFieldError",
        "The caption has 1001 characters, and at most 1000 are allowed.",
        "Shorten it.",
        {"field": "caption"},
    ),
    (
        lambda: checked_caption("<" * 40 + "b>" * 40),
        "InvalidFieldError",
        "The caption holds HTML tags within tags, 8 deep or more.",
        "Remove them.",
        {"field": "caption"},
    ),
    (
        lambda: read_file("cat.jpg", limit=10),
        "InvalidFieldError",
        "The file is of type str.",
        "Pass bytes or a file opened with 'rb'.",
        {"field": "file"},
    ),
    (
        lambda: read_file(b"12345678901", limit=10),
        "FileTooLargeError",
        "The file has more than 10 bytes.",
        "Send a smaller file, or raise the max_bytes of the processor.",
        {"limit": 10},
    ),
    (
        lambda: read_file(io.StringIO("text"), limit=10),
        "InvalidFieldError",
        "The file does not give bytes.",
        "Open it with 'rb'.",
        {"field": "file"},
    ),
    (
        lambda: read_file(Awaited(), limit=10),
        "InvalidFieldError",
        "The file is read by awaiting it.",
        "Pass the file inside it, such as upload.file.",
        {"field": "file"},
    ),
    (
        lambda: checked_variant(7),
        "InvalidFieldError",
        "The variant is of type int.",
        "Pass a string.",
        {"field": "variant"},
    ),
    (
        lambda: checked_variant("\0"),
        "InvalidFieldError",
        "The variant holds a NUL character.",
        "Remove it.",
        {"field": "variant"},
    ),
    (
        lambda: audit(delete=1),
        "InvalidFieldError",
        "delete must be a bool.",
        "Pass True or False.",
        {"field": "delete"},
    ),
    (
        lambda: audit(after=7),
        "InvalidFieldError",
        "The after is of type int.",
        "Pass a string.",
        {"field": "after"},
    ),
    (
        lambda: audit(limit=0),
        "InvalidFieldError",
        "The limit 0 is not a whole number from 1 up.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: audit(limit=True),
        "InvalidFieldError",
        "The limit True is not a whole number from 1 up.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: audit(limit=1.5),
        "InvalidFieldError",
        "The limit 1.5 is not a whole number from 1 up.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: audit(max_share=1.01),
        "InvalidFieldError",
        "max_share is 1.01, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "max_share"},
    ),
    (
        lambda: audit(max_share=-0.01),
        "InvalidFieldError",
        "max_share is -0.01, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "max_share"},
    ),
    (
        lambda: audit(max_share=True),
        "InvalidFieldError",
        "max_share is True, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "max_share"},
    ),
    (
        lambda: audit(max_share="1"),
        "InvalidFieldError",
        "max_share is '1', which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "max_share"},
    ),
    (
        lambda: audit(verify=1.01),
        "InvalidFieldError",
        "verify is 1.01, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "verify"},
    ),
    (
        lambda: audit(verify=-0.01),
        "InvalidFieldError",
        "verify is -0.01, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "verify"},
    ),
    (
        lambda: audit(verify=True),
        "InvalidFieldError",
        "verify is True, which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "verify"},
    ),
    (
        lambda: audit(verify="1"),
        "InvalidFieldError",
        "verify is '1', which is not a number from 0 to 1.",
        "Pass 0.01 for one percent.",
        {"field": "verify"},
    ),
    (
        lambda: check_rebuild(after=7, limit=1),
        "InvalidFieldError",
        "The after is of type int.",
        "Pass a string.",
        {"field": "after"},
    ),
    (
        lambda: check_rebuild(after="", limit=0),
        "InvalidFieldError",
        "The limit 0 is not a whole number from 1 to 10,000.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: check_rebuild(after="", limit=10001),
        "InvalidFieldError",
        "The limit 10001 is not a whole number from 1 to 10,000.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: check_rebuild(after="", limit=True),
        "InvalidFieldError",
        "The limit True is not a whole number from 1 to 10,000.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: check_rebuild(after="", limit=1.5),
        "InvalidFieldError",
        "The limit 1.5 is not a whole number from 1 to 10,000.",
        "",
        {"field": "limit"},
    ),
    (
        lambda: check_range(-1, None),
        "InvalidFieldError",
        "The start of the range, -1, is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "start"},
    ),
    (
        lambda: check_range(0, -1),
        "InvalidFieldError",
        "The length of the range, -1, is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "length"},
    ),
    (
        lambda: check_range(True, None),
        "InvalidFieldError",
        "The start of the range, True, is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "start"},
    ),
    (
        lambda: check_range(0, 1.5),
        "InvalidFieldError",
        "The length of the range, 1.5, is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "length"},
    ),
    (
        lambda: check_range(0, "b" * 38),
        "InvalidFieldError",
        "The length of the range, 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "length"},
    ),
    (
        lambda: check_range(0, "b" * 39),
        "InvalidFieldError",
        "The length of the range, 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb..., is not a whole number from 0 up.",
        "Pass start=0 for the beginning, and no length for all that follows.",
        {"field": "length"},
    ),
    (
        lambda: decode_cursor("x"),
        "InvalidFieldError",
        "Invalid cursor.",
        "Pass the next_cursor of the previous page of the same listing.",
        {"field": "cursor"},
    ),
    (
        lambda: decode_cursor(7),
        "InvalidFieldError",
        "Invalid cursor.",
        "Pass the next_cursor of the previous page of the same listing.",
        {"field": "cursor"},
    ),
    (
        lambda: decode_recent_cursor("AAAA"),
        "InvalidFieldError",
        "Invalid cursor.",
        "Pass the next_cursor of the previous page of the same listing.",
        {"field": "cursor"},
    ),
    (
        lambda: decode_cursor("A" * 32 + "!"),
        "InvalidFieldError",
        "Invalid cursor.",
        "Pass the next_cursor of the previous page of the same listing.",
        {"field": "cursor"},
    ),
    (
        lambda: UrlSigner("a-key-of-at-least-32-characters-1234"),
        "ConfigurationError",
        "The signing keys are one string.",
        "Pass a list of keys: keys=[key].",
        {},
    ),
    (
        lambda: UrlSigner([]),
        "ConfigurationError",
        "There is no signing key.",
        'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        {},
    ),
    (
        lambda: UrlSigner([KEY, "a" * 31]),
        "ConfigurationError",
        "Signing key 2 has 31 characters, and at least 32 are needed.",
        'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        {},
    ),
    (
        lambda: UrlSigner([KEY, "b,c" * 20]),
        "ConfigurationError",
        "Signing key 2 is not a string of printable ASCII without spaces, commas, quotes and backslashes.",
        'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        {},
    ),
    (
        lambda: UrlSigner([KEY], window=60),
        "ConfigurationError",
        "The window of the signer is of type int.",
        "Pass a timedelta, such as timedelta(hours=1).",
        {},
    ),
    (
        lambda: UrlSigner([KEY], window=timedelta(seconds=59)),
        "ConfigurationError",
        "The window of the signer is 59 seconds.",
        "Whole seconds from 60 (one minute) to 302400 (three and a half days) are allowed.",
        {},
    ),
    (
        lambda: UrlSigner([KEY], window=timedelta(days=4)),
        "ConfigurationError",
        "The window of the signer is 345600 seconds.",
        "Whole seconds from 60 (one minute) to 302400 (three and a half days) are allowed.",
        {},
    ),
    (
        lambda: UrlSigner([KEY], window=timedelta(hours=1, microseconds=1)),
        "ConfigurationError",
        "The window of the signer is 3600 seconds.",
        "Whole seconds from 60 (one minute) to 302400 (three and a half days) are allowed.",
        {},
    ),
    (
        lambda: UrlSigner.from_env({"USERIMAGES_SIGNING_KEYS": "short"}),
        "ConfigurationError",
        "USERIMAGES_SIGNING_KEYS: Signing key 1 has 5 characters, and at least 32 are needed.",
        'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        {},
    ),
    (
        lambda: begin(size_bytes=1),
        "ConfigurationError",
        "MemoryStorage cannot sign a direct upload, and the service has no signer for its own route.",
        "Pass ImageService(..., signer=UrlSigner(keys)), or set USERIMAGES_SIGNING_KEYS.",
        {},
    ),
    (
        lambda: read_put(PUT, io.BytesIO(b"12345"), clock=lambda: NOW),
        "InvalidFieldError",
        "The body has more than the 4 bytes that were announced.",
        "Begin the upload with the size of the file.",
        {"field": "size_bytes"},
    ),
    (
        lambda: read_put(PUT, io.BytesIO(b"123"), clock=lambda: NOW),
        "InvalidFieldError",
        "The body has fewer than the 4 bytes that were announced.",
        "Begin the upload with the size of the file.",
        {"field": "size_bytes"},
    ),
    (
        lambda: read_put(PUT, io.BytesIO(b"abcd"), clock=lambda: NOW),
        "InvalidFieldError",
        "The body is not the file whose SHA-256 was announced.",
        "Send it again.",
        {"field": "sha256"},
    ),
    (
        lambda: read_put(PUT, io.BytesIO(b"1234"), clock=lambda: NOW + timedelta(minutes=1)),
        "InvalidFieldError",
        "The upload ended after its URL had expired.",
        "Begin a new one.",
        {"field": "expires"},
    ),
    (
        lambda: recipe_id(Named(), "cover"),
        "ConfigurationError",
        "The recipe_id of the processor is 'first'.",
        "Return 16 hex digits, such as those of a SHA-256.",
        {},
    ),
    (
        lambda: made(ProcessedImage(main=rendition("image/bmp"))),
        "ConfigurationError",
        "The processor made image/bmp.",
        "It may make image/jpeg, image/png, image/webp, image/gif, image/avif.",
        {},
    ),
    (
        lambda: made(ProcessedImage(main=rendition("image/webp"), variants={"No!": rendition("image/webp")})),
        "ConfigurationError",
        "The processor named a variant 'No!'.",
        "Use a-z, 0-9, - and _, at most 32 of them.",
        {},
    ),
]


@pytest.mark.parametrize(("call", "error", "message", "hint", "facts"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_a_refusal_has_these_words(
    call: Callable[[], object], error: str, message: str, hint: str, facts: dict[str, object]
) -> None:
    """It says what, which value, which limit and what to do, and it names the field."""
    with pytest.raises(UserImagesError) as caught:
        call()

    raised = caught.value
    assert (type(raised).__name__, raised.message, raised.hint) == (error, message, hint)
    assert {name: getattr(raised, name) for name in facts} == facts


CORS = """CORS policy: [{"AllowedOrigins": ["https://app.example"], "AllowedMethods": ["PUT"], \
"AllowedHeaders": ["content-type", "if-none-match", "x-amz-checksum-sha256"], "ExposeHeaders": ["ETag"], \
"MaxAgeSeconds": 3600}]
Object lifecycle rule: delete objects with the prefix staging/ after 1 day."""


class Signing(MemoryStorage):
    """A storage that could sign a PUT."""

    def sign_put(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("storage", "origin", "line"),
    [
        (
            MemoryStorage(),
            "app.example",
            Check("direct upload", ok=False, detail="That is not an origin.", hint="Write https://app.example.com."),
        ),
        (
            MemoryStorage(),
            "http://[::1]:8000",
            Check("direct upload", ok=True, detail="It goes to the application's own route, which needs no rule."),
        ),
        (
            Signing(),
            "https://app.example",
            Check(
                "direct upload",
                ok=True,
                detail="The bucket for what is uploaded needs these two rules.",
                hint=CORS,
            ),
        ),
    ],
)
def test_the_rules_of_a_bucket_have_these_words(storage: MemoryStorage, origin: str, line: Check) -> None:
    """They are pasted into the settings of a bucket, so every word counts."""
    assert check_origin(storage, origin) == line


def test_a_healthy_service_is_reported_in_these_words() -> None:
    """One line for each part, and no hint where nothing is to be done."""
    report = check(MemoryStorage(), MemoryRepository(), now=datetime.now(UTC))

    assert {line.hint for line in report.checks} == {""}
    assert [(line.name, line.ok, line.detail) for line in report.checks] == [
        ("storage", True, "MemoryStorage can be listed."),
        ("write", True, "A probe object was written."),
        ("create-only", True, "Other bytes under the same key were refused."),
        ("read", True, "It was read back, whole and in part."),
        ("clock", True, "This machine's clock differs from the store's by 0 s."),
        ("public domain", True, "None: images are served by the application's own route."),
        ("delete", True, "It was deleted."),
        ("database", True, "MemoryRepository answers."),
        ("schema", True, "Complete."),
        ("transactions", True, "A probe intent was begun and finished."),
        ("work in hand", True, "0 intents, none is overdue."),
    ]


def test_a_wrong_store_is_named_in_these_words() -> None:
    """The operator reads this at night, so it says what to check."""
    repository = MemoryRepository()
    publish(repository, new_image("ana"))
    with pytest.raises(UserImagesError) as caught:
        require_own_store(MemoryStorage(), repository)

    assert caught.value.message == (
        "None of 1 images that the database lists is in this store, so nothing was deleted."
    )
    assert caught.value.hint == (
        "Check that the storage and the database belong together, and that the volume is mounted."
    )


def test_a_refusal_is_one_line() -> None:
    """A value that is shown is cut, so that a message is never longer than a line of a log."""
    assert max(len(message) for _, _, message, _, _ in REFUSED) <= 200
    assert not any("\n" in message for _, _, message, _, _ in REFUSED)
