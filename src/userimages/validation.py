"""Check the arguments of a call, clean a caption, and read the uploaded file.

What is wrong is refused as ``InvalidFieldError``.
"""

import base64
import binascii
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from userimages.errors import FileTooLargeError, InvalidFieldError, UnsupportedFormatError
from userimages.ids import CLOCK_SKEW, EPOCH, instant, microseconds
from userimages.keys import TYPE_NAME
from userimages.model import CHANGEABLE, Meta
from userimages.protocols import Readable

T = TypeVar("T")

UPLOAD_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif")
MAX_USER = 150
MAX_CAPTION = 1000
MAX_PAGE = 200
MAX_AT_ONCE = 1000  # users or ids
MAX_META_BYTES = 4096
MAX_META_DEPTH = 32  # deeper values could be stored, but Python's recursion limit would not let them be read
_CHUNK = 1024 * 1024
_MAX_RAW_CAPTION = 20 * MAX_CAPTION
_TAG_PASSES = 8
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def checked_user(user: str) -> str:
    """Return *user*: any Unicode of 1 to 150 characters."""
    _check_text(user, "user")
    if not 1 <= len(user) <= MAX_USER:
        raise InvalidFieldError(
            f"The user name has {len(user)} characters, and 1 to {MAX_USER} are allowed.",
            field="user",
            hint="Pass a stable id of the user.",
        )
    return user


def checked_users(users: object) -> list[str]:
    """Return the distinct names of *users*, at most 1,000 of them."""
    return _distinct(users, checked_user, field="users")


def checked_ids(ids: object) -> list[UUID]:
    """Return the distinct ids of *ids*, at most 1,000 of them, in their order."""
    return _distinct(ids, checked_id, field="ids")


def checked_image_type(image_type: str, known: Collection[str] | None = None) -> str:
    """Return the name of an image type: one of *known* for an upload, any well-formed name otherwise.

    Images of a type that the application has taken away stay, so a listing accepts every name.
    """
    well_formed = isinstance(image_type, str) and TYPE_NAME.fullmatch(image_type)
    if known is not None and not (well_formed and image_type in known):
        raise InvalidFieldError(
            f"The image type {_shown(image_type)} is none of: {', '.join(known)}.",
            field="image_type",
            hint="Pass one of them, or add a recipe of that name to the processor.",
        )
    if not well_formed:
        raise InvalidFieldError(
            f"The image type {_shown(image_type)} is not the name of a type.",
            field="image_type",
            hint="Use 1 to 16 of the characters a-z, 0-9 and _, beginning with a letter, such as 'gallery'.",
        )
    return str(image_type)


def checked_primary_type(image_type: str | None, *, per_type: bool) -> str | None:
    """Return *image_type*, which is required if there is one primary image per type, and refused otherwise."""
    if per_type and image_type is None:
        raise InvalidFieldError(
            "image_type is missing.", field="image_type", hint="This service has one primary image per type: name it."
        )
    if not per_type and image_type is not None:
        raise InvalidFieldError(
            "image_type is not allowed here.",
            field="image_type",
            hint="This service has one primary image over all types: see primary_per_type.",
        )
    return None if image_type is None else checked_image_type(image_type)


def checked_flag(flag: bool, field: str) -> bool:
    """Return *flag*, True or False: the string ``"false"`` would count as true."""
    if isinstance(flag, bool):
        return flag
    raise InvalidFieldError(f"{field} must be a bool.", field=field, hint="Pass True or False.")


def checked_id(id: UUID | str) -> UUID:
    """Return *id* as a UUID."""
    if isinstance(id, UUID):
        return id
    try:
        return UUID(id)
    except (ValueError, AttributeError, TypeError):
        raise InvalidFieldError(
            f"The image id (of type {type(id).__name__}) is not a UUID.",
            field="id",
            hint="Pass the id of a UserImage, or its string.",
        ) from None


def checked_upload(size_bytes: int, mime_type: str, sha256: str | None, *, limit: int) -> str:
    """Return the media type of a file that is to come, if what is said about it can be a picture.

    Raises:
        FileTooLargeError: *size_bytes* is over *limit*.
        UnsupportedFormatError: *mime_type* is none of ``UPLOAD_TYPES``.
    """
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 1:
        raise InvalidFieldError(
            f"The size {_shown(size_bytes)} is not a whole number from 1 up.",
            field="size_bytes",
            hint="Pass file.size.",
        )
    if size_bytes > limit:
        raise FileTooLargeError(
            f"The file has {size_bytes:,} bytes, and at most {limit:,} ({limit / 2**20:g} MiB) are allowed.",
            limit=limit,
            hint="Send a smaller file, or raise the limit of the processor: Limits(max_bytes=).",
        )
    _check_text(mime_type, "mime_type")
    media_type = mime_type.partition(";")[0].strip().lower()
    if media_type not in UPLOAD_TYPES:
        raise UnsupportedFormatError(
            "The file is not said to be a picture of an allowed format.",
            found=media_type[:40],
            allowed=UPLOAD_TYPES,
            hint="Pass file.type of a JPEG, PNG, GIF, WebP or HEIC.",
        )
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise InvalidFieldError(
            "The SHA-256 is not 64 lower-case hex digits.", field="sha256", hint="Pass hexdigest(), or leave it out."
        )
    return media_type


def checked_uploaded_at(uploaded_at: datetime | None, *, now: datetime) -> datetime | None:
    """Return *uploaded_at* in UTC: None, or an aware datetime from 1970 to *now*.

    A clock that is a little ahead of ours, as the sweep allows, counts as *now*.
    """
    if uploaded_at is None:
        return None
    if not isinstance(uploaded_at, datetime) or uploaded_at.utcoffset() is None:
        shown = uploaded_at.isoformat() if isinstance(uploaded_at, datetime) else _shown(uploaded_at)
        raise InvalidFieldError(
            f"uploaded_at is {shown}, which is not a datetime with a time zone.",
            field="uploaded_at",
            hint="Pass datetime(..., tzinfo=UTC).",
        )
    try:
        at = uploaded_at.astimezone(UTC)
    except OverflowError:
        at = EPOCH - CLOCK_SKEW
    if not EPOCH <= at <= now + CLOCK_SKEW:
        raise InvalidFieldError(
            f"uploaded_at is {uploaded_at.isoformat()}, which is not between 1970 and now.",
            field="uploaded_at",
            hint="Pass the date of the upload.",
        )
    return min(at, now)


def checked_meta(meta: Mapping[str, Any] | None) -> Meta:
    """Return *meta* as a read-only JSON object of at most 4,096 bytes."""
    if meta is None:
        return Meta()
    if not isinstance(meta, Mapping):
        raise InvalidFieldError(
            f"meta is of type {type(meta).__name__}.", field="meta", hint='Pass a dict, such as {"alt": "A cat"}.'
        )
    try:
        values = dict(meta)  # also of a Meta, which an application may have made of any text
        _check_json(values, MAX_META_DEPTH)
        made = Meta.of(values)
        size = len(made.text.encode())
    except (TypeError, ValueError) as exc:  # NaN, a lone surrogate, a set ...
        raise InvalidFieldError(
            "meta is not a JSON object.",
            field="meta",
            hint="Use dicts with string keys, lists, strings without NUL and lone surrogates, finite numbers, "
            f"True, False and None, at most {MAX_META_DEPTH} deep.",
        ) from exc
    if size > MAX_META_BYTES:
        raise InvalidFieldError(
            f"meta has {size:,} bytes as JSON, and at most {MAX_META_BYTES:,} are allowed.",
            field="meta",
            hint="Keep larger data in a table of your own.",
        )
    return made


def check_changes(changes: Mapping[str, Any]) -> None:
    """Refuse a fact that an update may not change, so that a misspelt name is no silent success."""
    for name in changes:
        if name not in CHANGEABLE:
            raise InvalidFieldError(
                f"{name} cannot be changed.", field=name, hint=f"What can: {', '.join(CHANGEABLE)}."
            )


def _check_json(value: object, depth: int) -> None:
    """Raise ValueError for what JSON can hold but a database cannot, and for what is more than *depth* deep.

    Raise TypeError for keys that JSON would turn into strings.
    """
    if not depth:
        raise ValueError("it is too deep")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key is not a string")
        for each in (*value.keys(), *value.values()):
            _check_json(each, depth - 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_json(each, depth - 1)
    elif isinstance(value, str) and "\0" in value:
        raise ValueError("a string holds NUL")


def checked_limit(limit: int) -> int:
    """Return *limit*, a whole number from 1 to 200."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise InvalidFieldError(
            f"The limit {_shown(limit)} is not a whole number from 1 to {MAX_PAGE}.",
            field="limit",
            hint="Read page by page.",
        )
    return limit


def checked_idempotency_key(key: str | None) -> str | None:
    """Return *key*: None, or 1 to 255 printable ASCII characters without a space at either end."""
    if key is None or (isinstance(key, str) and _IDEMPOTENCY_KEY.fullmatch(key)):
        return key
    raise InvalidFieldError(
        "The idempotency key is not a string of 1 to 255 printable ASCII characters, without a space at either end.",
        field="idempotency_key",
        hint="Pass str(uuid.uuid4()), the same one for all retries of one upload.",
    )


def checked_caption(caption: str) -> str:
    """Return *caption* as plain text: HTML tags and control characters removed, at most 1,000 characters left.

    A parser removes the tags, so ``I <3 you & me > all`` stays as it is. The text is stored as text: whoever shows it
    escapes it, as template engines do.
    """
    _check_text(caption, "caption")
    text = plain_text(caption) if len(caption) <= _MAX_RAW_CAPTION else caption
    if len(text) > MAX_CAPTION:
        raise InvalidFieldError(
            f"The caption has {len(text)} characters, and at most {MAX_CAPTION} are allowed.",
            field="caption",
            hint="Shorten it.",
        )
    return text


def plain_text(caption: str) -> str:
    """Return *caption* (without NUL) with no HTML tags and no control characters but tabs and line ends.

    Tags that only appear once others are gone go too, as far as anybody types them.
    """
    text = _CONTROLS.sub("", caption.replace("\r\n", "\n").replace("\r", "\n"))
    for _ in range(_TAG_PASSES):
        fewer = _without_tags(text) if "<" in text else text
        if fewer == text:
            return text
        text = fewer
    raise InvalidFieldError(
        f"The caption holds HTML tags within tags, {_TAG_PASSES} deep or more.", field="caption", hint="Remove them."
    )


def _without_tags(text: str) -> str:
    """Return *text* without what a browser would take for a tag, a comment or a declaration.

    An ampersand travels as NUL, which the text cannot hold, so that the parser leaves entities as they were typed;
    what it holds back as unfinished (``a <b``) is text.
    """
    from html.parser import HTMLParser

    kept: list[str] = []

    class TextOnly(HTMLParser):
        def handle_data(self, data: str) -> None:
            kept.append(data)

        def parse_marked_section(self, i: int, report: int = 1) -> int:
            """Take ``<![`` for the comment that it is in HTML: the parser's own way is to raise AssertionError."""
            return self.parse_bogus_comment(i)

    parser = TextOnly(convert_charrefs=False)
    parser.feed(text.replace("&", "\0"))
    return "".join((*kept, parser.rawdata)).replace("\0", "&")


def read_file(file: bytes | Readable, *, limit: int) -> bytes:
    """Return the bytes of *file*; no more than one byte past *limit* is ever read.

    Raises:
        FileTooLargeError: there are more than *limit* bytes.
        InvalidFieldError: *file* is neither bytes nor something that reads bytes.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        data = bytes(file)
    elif callable(getattr(file, "read", None)):
        data = b"".join(_chunks(file, limit + 1))
    else:
        raise InvalidFieldError(
            f"The file is of type {type(file).__name__}.", field="file", hint="Pass bytes or a file opened with 'rb'."
        )
    if len(data) > limit:
        raise FileTooLargeError(
            f"The file has more than {limit:,} bytes.",
            limit=limit,
            hint="Send a smaller file, or raise the max_bytes of the processor.",
        )
    return data


def _chunks(file: Readable, wanted: int) -> Iterator[bytes]:
    """Yield what *file* gives until it ends or *wanted* bytes are there."""
    while wanted > 0:
        try:
            chunk = file.read(min(_CHUNK, wanted))
        except UnicodeDecodeError as exc:  # a picture that was opened as text
            raise _not_bytes() from exc
        if inspect.isawaitable(chunk):
            getattr(chunk, "close", bool)()
            raise InvalidFieldError(
                "The file is read by awaiting it.", field="file", hint="Pass the file inside it, such as upload.file."
            )
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise _not_bytes()
        if not chunk:
            return
        wanted -= len(chunk)
        yield bytes(chunk)


def _not_bytes() -> InvalidFieldError:
    return InvalidFieldError("The file does not give bytes.", field="file", hint="Open it with 'rb'.")


def checked_variant(variant: str | None) -> str | None:
    """Return *variant*, a string or None."""
    if variant is not None:
        _check_text(variant, "variant")
    return variant


def check_audit(*, delete: bool, after: str, limit: int | None, max_share: float, verify: float) -> None:
    """Validate the arguments of ``audit``."""
    checked_flag(delete, "delete")
    _check_text(after, "after")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidFieldError(f"The limit {_shown(limit)} is not a whole number from 1 up.", field="limit")
    for name, share in (("max_share", max_share), ("verify", verify)):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise InvalidFieldError(
                f"{name} is {_shown(share)}, which is not a number from 0 to 1.",
                field=name,
                hint="Pass 0.01 for one percent.",
            )


def check_rebuild(*, after: str, limit: int) -> None:
    """Validate the arguments of ``rebuild_all``."""
    _check_text(after, "after")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 10_000:
        raise InvalidFieldError(f"The limit {_shown(limit)} is not a whole number from 1 to 10,000.", field="limit")


def check_range(start: int, length: int | None) -> None:
    """Refuse a byte range that is not of whole numbers from 0 up."""
    for name, value in (("start", start), ("length", length)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise InvalidFieldError(
                f"The {name} of the range, {_shown(value)}, is not a whole number from 0 up.",
                field=name,
                hint="Pass start=0 for the beginning, and no length for all that follows.",
            )


def encode_cursor(uploaded_at: datetime, id: UUID) -> str:
    """Return the opaque cursor of the page that follows this image in the listing of a user."""
    return _encode(microseconds(uploaded_at).to_bytes(8) + id.bytes)


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return the position that a cursor of ``list`` stands for."""
    raw = _decode(cursor, 24)
    try:
        return instant(int.from_bytes(raw[:8])), UUID(bytes=raw[8:])
    except OverflowError:
        raise _invalid_cursor() from None


def encode_recent_cursor(id: UUID) -> str:
    """Return the opaque cursor of the page that follows this image in the listing of all users."""
    return _encode(id.bytes)


def decode_recent_cursor(cursor: str) -> UUID:
    """Return the id that a cursor of ``recent`` stands for; a cursor of ``list`` has another length."""
    return UUID(bytes=_decode(cursor, 16))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _decode(cursor: str, size: int) -> bytes:
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, AttributeError, binascii.Error):
        raise _invalid_cursor() from None
    if len(raw) != size:
        raise _invalid_cursor()
    return raw


def _invalid_cursor() -> InvalidFieldError:
    return InvalidFieldError(
        "Invalid cursor.", field="cursor", hint="Pass the next_cursor of the previous page of the same listing."
    )


def _distinct(values: object, checked: Callable[[Any], T], *, field: str) -> list[T]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidFieldError(f"{field} is not a sequence of {field}.", field=field, hint="Pass a list.")
    distinct = list(dict.fromkeys(map(checked, values)))
    if len(distinct) > MAX_AT_ONCE:
        raise InvalidFieldError(
            f"{len(distinct):,} {field} were asked for at once, and at most {MAX_AT_ONCE:,} are allowed.",
            field=field,
            hint="Ask in several calls.",
        )
    return distinct


def _check_text(text: str, field: str) -> None:
    if not isinstance(text, str):
        raise InvalidFieldError(f"The {field} is of type {type(text).__name__}.", field=field, hint="Pass a string.")
    if "\0" in text:
        raise InvalidFieldError(f"The {field} holds a NUL character.", field=field, hint="Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFieldError(f"The {field} holds a lone surrogate.", field=field, hint="Remove it.") from None


def _shown(value: object) -> str:
    """Return *value* as a message may show it: on one line, and short."""
    try:
        text = ascii(value)
    except ValueError:  # Python does not write out a number of more than 4,300 digits
        text = "of thousands of digits"
    return text if len(text) <= 40 else f"{text[:37]}..."
