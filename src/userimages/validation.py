"""Check the arguments of a call, clean a caption, and read the uploaded file.

What is wrong is refused as ``InvalidFieldError``.
"""

import base64
import binascii
import inspect
import re
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from userimages.errors import FileTooLargeError, InvalidFieldError, UnsupportedFormatError
from userimages.ids import instant, microseconds
from userimages.model import ImageType
from userimages.protocols import Readable

UPLOAD_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif")
MAX_USER = 150
MAX_CAPTION = 1000
MAX_PAGE = 200
MAX_USERS = 1000
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
    if isinstance(users, str) or not hasattr(users, "__iter__"):
        raise InvalidFieldError("users is not a sequence of user names.", field="users", hint="Pass a list.")
    distinct = list(dict.fromkeys(checked_user(user) for user in users))
    if len(distinct) > MAX_USERS:
        raise InvalidFieldError(
            f"{len(distinct)} users were asked for at once, and at most {MAX_USERS} are allowed.",
            field="users",
            hint="Ask in several calls.",
        )
    return distinct


def checked_image_type(image_type: ImageType | str) -> ImageType:
    """Return the member of ``ImageType`` that *image_type* is or names."""
    try:
        return ImageType(image_type)
    except ValueError:
        names = ", ".join(ImageType)
        raise InvalidFieldError(
            f"The image type {_shown(image_type)} is none of: {names}.", field="image_type", hint="Pass one of them."
        ) from None


def checked_flag(flag: bool, field: str) -> bool:
    """Return *flag*, True or False: the string ``"false"`` would count as true."""
    if isinstance(flag, bool):
        return flag
    raise InvalidFieldError(f"{field} is neither True nor False.", field=field, hint="Pass one of the two.")


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
    if len(caption) <= _MAX_RAW_CAPTION and len(text := plain_text(caption)) <= MAX_CAPTION:
        return text
    raise InvalidFieldError(
        f"The caption has {len(caption)} characters, and at most {MAX_CAPTION} are allowed.",
        field="caption",
        hint="Shorten it.",
    )


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
            f"The file has more than {limit:,} bytes ({limit / 2**20:g} MiB).",
            limit=limit,
            hint="Send a smaller file, or raise the limit of the processor: Limits(max_bytes=).",
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


def check_audit(*, delete: bool, after: str, limit: int | None, max_share: float) -> None:
    """Refuse a flag that is none, a position that is no text, a limit under 1, and a share not between 0 and 1."""
    checked_flag(delete, "delete")
    _check_text(after, "after")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidFieldError(f"The limit {_shown(limit)} is not a whole number from 1 up.", field="limit")
    if isinstance(max_share, bool) or not isinstance(max_share, int | float) or not 0 <= max_share <= 1:
        raise InvalidFieldError(f"The share {_shown(max_share)} is not a number from 0 to 1.", field="max_share")


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
    """Return the opaque cursor of the page that follows this image."""
    return base64.urlsafe_b64encode(microseconds(uploaded_at).to_bytes(8) + id.bytes).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return the position that a cursor stands for."""
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError(f"{len(raw)} bytes")
        return instant(int.from_bytes(raw[:8])), UUID(bytes=raw[8:])
    except (ValueError, AttributeError, OverflowError, binascii.Error):
        raise InvalidFieldError(
            "The cursor is not one of ours.", field="cursor", hint="Pass the next_cursor of the page before, unchanged."
        ) from None


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
