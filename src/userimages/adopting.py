"""Adopt pictures that an application has already: upload each once, with its old date, and pass over what is refused.

Every original has an idempotency key, which is made from its user, its type and its name in the old place. So the same
run again, after an interruption or with more originals, makes no doubles.
"""

import csv
import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import attrs

from userimages import validation
from userimages.errors import (
    ConfigurationError,
    ConflictError,
    InvalidFieldError,
    ObjectNotFoundError,
    RejectedImageError,
    StorageUnavailableError,
)
from userimages.ids import new_id, utcnow
from userimages.model import DISTANT_PAST, Intent
from userimages.protocols import Readable
from userimages.service import ImageService

COLUMNS = ("user", "path", "image_type", "caption", "is_primary", "uploaded_at")
"""The columns of a CSV file. The first three are required."""

REFUSAL = ("code", "message")
"""What the file of the refusals has beside the columns that were read."""

_REQUIRED = COLUMNS[:3]
_FLAGS = {
    "": False,
    "false": False,
    "f": False,
    "no": False,
    "0": False,
    "true": True,
    "t": True,
    "yes": True,
    "1": True,
}
_LANES = min(8, (os.cpu_count() or 1) + 2)  # pictures are made on every core, and two are on their way to the store
_WINDOW = 8 * _LANES
_OF_ONE_FILE = {None, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
_CONFLICTS = 1000


@attrs.frozen(kw_only=True)
class Original:
    """A picture that the application has already.

    Attributes:
        name: names it in the old place, such as ``"pinit 17"``. With the user and the type it makes the idempotency
            key, so it must stay the same when the run is repeated.
        open: opens its bytes; it is closed after use. ``FileNotFoundError`` and the like count as a refusal.
        user, image_type, caption, meta, is_primary, uploaded_at: as for ``ImageService.upload``.
        row: whatever the caller wants to have back with a refusal.
    """

    name: str
    open: Callable[[], Readable]
    user: str
    image_type: str
    caption: str = ""
    meta: Mapping[str, Any] | None = None
    is_primary: bool = False
    uploaded_at: datetime | None = None
    row: Any = None

    @property
    def idempotency_key(self) -> str:
        """The key under which it is uploaded."""
        return f"adopt-{hashlib.sha256(repr((self.user, self.image_type, self.name)).encode()).hexdigest()}"


@attrs.frozen
class Refusal:
    """An original that was passed over: the ``code`` of the error, and its message for a person."""

    original: Original
    code: str
    message: str


@attrs.frozen
class AdoptReport:
    """How many originals were adopted, how many had been before, and how many were refused."""

    adopted: int = 0
    present: int = 0
    refused: int = 0


def adopt(
    images: ImageService,
    originals: Iterable[Original],
    *,
    refused: Callable[[Refusal], None] | None = None,
    progress: Callable[[AdoptReport], None] | None = None,
) -> AdoptReport:
    """Upload each original that was not uploaded before, several side by side, those of one user in their order.

    What is refused is told and passed over: a file that is missing, that is not a picture, or whose facts are wrong.
    It may be repeated at any time. Memory does not grow with the number of originals.

    Args:
        images: the service.
        originals: may be a generator; it is read as far as there is room.
        refused: is called with each refusal, in the order of *originals*; conflicts come last, after a second try.
        progress: is called after each original with the report so far.

    Raises:
        StorageError, RepositoryError, BusyError, ConfigurationError: a part failed, or the old place did. What was done
            is done: repeat the call.

    >>> import io
    >>> from datetime import UTC, datetime
    >>> from userimages.testing import make_image
    >>> images = ImageService.in_memory()
    >>> def old_pictures():
    ...     for pk, data in ((1, make_image("PNG", (8, 8))), (2, b"no picture")):
    ...         yield Original(
    ...             name=f"old {pk}",
    ...             open=lambda data=data: io.BytesIO(data),
    ...             user="ana",
    ...             image_type="gallery",
    ...             uploaded_at=datetime(2019, 5, 4, tzinfo=UTC),
    ...         )
    >>> adopt(images, old_pictures(), refused=lambda refusal: print(refusal.original.name, refusal.code))
    old 2 unsupported_format
    AdoptReport(adopted=1, present=0, refused=1)
    >>> adopt(images, old_pictures())
    AdoptReport(adopted=0, present=1, refused=1)
    """
    report = AdoptReport()
    conflicts: list[Original] = []  # a run that was killed may hold a key for some minutes

    def settle(original: Original, outcome: Callable[[], bool], *, last: bool = False) -> None:
        nonlocal report
        try:
            fact = "adopted" if outcome() else "present"
        except (RejectedImageError, InvalidFieldError, ConflictError) as exc:
            if isinstance(exc, ConflictError) and not last and len(conflicts) < _CONFLICTS:
                conflicts.append(original)
                return
            fact = "refused"
            if refused:
                refused(Refusal(original, exc.code, exc.message))
        report = attrs.evolve(report, **{fact: getattr(report, fact) + 1})
        if progress:
            progress(report)

    for original, future in _in_lanes(originals, partial(_adopt, images)):
        settle(original, future.result)
    for original in conflicts:
        settle(original, partial(_adopt, images, original), last=True)
    return report


def _in_lanes(
    originals: Iterable[Original], work: Callable[[Original], bool]
) -> Iterator[tuple[Original, "Future[bool]"]]:
    """Yield each original with its work, in order. All those of a user are in one lane, one after the other."""
    waiting: deque[tuple[Original, Future[bool]]] = deque()
    with ExitStack() as stack:
        lanes = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(_LANES)]
        try:
            for original in originals:
                lane = lanes[crc32(repr(original.user).encode()) % _LANES]
                waiting.append((original, lane.submit(work, original)))
                if len(waiting) == _WINDOW:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:  # after an error: what has not begun does not begin
            for _, future in waiting:
                future.cancel()


def _adopt(images: ImageService, original: Original) -> bool:
    """Upload the original, or return False if that was done before."""
    user = validation.checked_user(original.user)
    data = _read(original, limit=images.max_bytes)
    if _was_adopted(images, user, original.idempotency_key, data):
        return False
    images.upload(
        user,
        data,
        image_type=original.image_type,
        caption=original.caption,
        meta=original.meta,
        is_primary=original.is_primary,
        uploaded_at=original.uploaded_at,
        idempotency_key=original.idempotency_key,
    )
    return True


def _read(original: Original, *, limit: int) -> bytes:
    """Return the bytes of the original.

    Raises:
        UnreadableFileError: this one cannot be read.
        StorageUnavailableError: the old place is away.
    """
    try:
        file = original.open()
        try:
            return validation.read_file(file, limit=limit)
        finally:
            getattr(file, "close", bool)()
    except (RejectedImageError, InvalidFieldError):
        raise
    except (OSError, ValueError, ObjectNotFoundError) as exc:
        # A subclass without a number is that of a library, such as `requests`, and may mean that a server is away.
        missing = isinstance(exc, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        if not isinstance(exc, OSError) or missing or (type(exc) is OSError and exc.errno in _OF_ONE_FILE):
            raise UnreadableFileError("The file is missing or cannot be read.") from exc
        raise StorageUnavailableError(
            "The place of the old files does not answer.", hint="Check that it is mounted, then repeat the run."
        ) from exc


class UnreadableFileError(RejectedImageError):
    """Raised within this module when an original is missing or cannot be read."""

    code = "unreadable_file"


def _was_adopted(images: ImageService, user: str, key: str, data: bytes) -> bool:
    """Ask the database, before the picture is made again: a repeated run costs little more than reading the files.

    The protocol asks by an intent. This one names no object, and its lease has ended, so it stands in nobody's way.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    probe = Intent(
        id=new_id(utcnow()),
        user=user,
        object_keys=(),
        lease_until=DISTANT_PAST,
        idempotency_key=key,
        input_sha256=sha256,
    )
    try:
        if images.repository.begin_upload(probe, now=DISTANT_PAST):
            return True
    except ConflictError:  # the upload says whether it still stands
        return False
    images.repository.finish([probe])
    return False


def read_csv(file: str | os.PathLike[str]) -> Iterator[Original]:
    """Yield the originals that a CSV file in UTF-8 names. A relative ``path`` begins at its folder.

    The columns are ``COLUMNS``, in any order. ``is_primary`` is true or false (also t, f, yes, no, 1, 0), and
    ``uploaded_at`` an ISO 8601 instant with an offset. A row that is wrong gives an original that is refused.

    Raises:
        ConfigurationError: the file cannot be read, or is not such a CSV file.
    """
    path = Path(file)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, restkey="", strict=True)
            _check_columns(path, rows.fieldnames or ())
            for row in rows:
                yield _original(path.parent, row)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise ConfigurationError(f"{path} is not a CSV file in UTF-8: {exc}.", hint="Save it as CSV, UTF-8.") from exc
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {os.strerror(exc.errno or 0)}.") from exc


def _check_columns(path: Path, names: Iterable[str]) -> None:
    names = list(names)
    missing = [name for name in _REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS + REFUSAL]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    for what, which in (("lacks", missing), ("has unknown", unknown), ("repeats", twice)):
        if which:
            raise ConfigurationError(
                f"{path} {what} columns: {', '.join(map(ascii, which))}.",
                hint=f"Its first line names them, with commas between: {', '.join(COLUMNS)}.",
            )


def _original(folder: Path, row: dict[str, Any]) -> Original:
    text: dict[str, str] = {name: row.get(name) or "" for name in COLUMNS}
    original = Original(
        name=f"{text['path']} {text['uploaded_at']}".strip(),
        open=partial(_open, folder / text["path"]),
        user=text["user"],
        image_type=text["image_type"],
        caption=text["caption"],
        row=row,
    )
    try:
        if None in row.values() or "" in row:
            raise InvalidFieldError("The row has more or fewer cells than the first line.", field="row")
        return attrs.evolve(original, is_primary=_flag(text["is_primary"]), uploaded_at=_instant(text["uploaded_at"]))
    except InvalidFieldError as exc:
        return attrs.evolve(original, open=partial(_refuse, exc))


def _open(path: Path) -> Readable:
    return path.open("rb")


def _refuse(error: InvalidFieldError) -> Readable:
    raise error


def _flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip().lower()]
    except KeyError:
        raise InvalidFieldError("is_primary is neither true nor false.", field="is_primary") from None


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()) if text.strip() else None
    except ValueError:
        raise InvalidFieldError("uploaded_at is not an ISO 8601 instant.", field="uploaded_at") from None
