"""Copy the objects of one store to another, and the records of one database to another.

Keys are equal in all stores and never rewritten, each record has the size, the type and the SHA-256 of its objects, and
``put`` is create-only. So a copy needs no state: it can be stopped anywhere and begun again, and what is there is
passed over. The move of an application that goes on working is described in ``docs/how-to/moving.md``.

========================================  ==========================================================================
copy_objects, before a put                nothing; the next copy puts it
copy_objects, after a put                 an object that its image names: the next copy passes it over
the same, its image deleted meanwhile     an object that no row names; the audit of the target finds it
copy_records, anywhere                    nothing: it is one transaction of the target
========================================  ==========================================================================
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice, takewhile, zip_longest
from typing import Any, Protocol
from uuid import UUID

import attrs

from userimages.errors import ConfigurationError, InvalidFieldError, KeyTakenError, ObjectNotFoundError
from userimages.logs import log, reason
from userimages.model import MissingObject, TransferReport, UserImage, Variant
from userimages.protocols import ImageRepository, Storage

_PAGE = 200  # images between two calls of *progress*
_PARALLEL = 8
_CHUNK = 1 << 20

_COPIED, _WRONG, _MISSING = "copied", "wrong", "missing"


def copy_objects(
    repository: ImageRepository,
    source: Storage,
    target: Storage,
    *,
    after: str = "",
    limit: int | None = None,
    progress: Callable[[TransferReport], None] | None = None,
) -> TransferReport:
    """Copy the objects that the records of *repository* name from *source* to *target*, eight side by side.

    The bytes are compared with the SHA-256 of the record before one of them is written, and the media type is that of
    the record. An object that the target lists with the right size is passed over. What differs from its record, on
    either side, and what the source lacks is never copied, and is reported by the id of its image. If an image is
    deleted meanwhile, what was copied of it is deleted again. At most eight objects are in memory.

    Args:
        repository: whose records name the objects.
        source: is only read.
        target: where they are put. It may be in use, as the second storage of a ``MirrorStorage`` is.
        after: the ``stopped_at`` of an earlier report, to go on from there.
        limit: how many images at most. None: all.
        progress: is called with the report so far, once for every 200 images.

    Raises:
        StorageError: one of the stores failed. It is safe to begin again.
        RepositoryError: the database failed. The same holds.

    >>> from userimages import ImageService
    >>> from userimages.storages.memory import MemoryStorage
    >>> from userimages.testing import make_image
    >>> images, target = ImageService.in_memory(), MemoryStorage()
    >>> image = images.upload("ana", make_image("PNG", (64, 64)), image_type="profile")
    >>> copy_objects(images.repository, images.storage, target).copied == len(image.object_keys)
    True
    >>> copy_objects(images.repository, images.storage, target).copied
    0
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidFieldError(f"limit is {limit!r}.", field="limit", hint="Pass a whole number from 1 up, or None.")
    report, left = TransferReport(stopped_at=after), limit
    while (left is None or left > 0) and (
        page := repository.list_by_key(after=report.stopped_at or "", limit=min(_PAGE, left or _PAGE))
    ):
        report = _copy_page(repository, source, target, page, report)
        left = None if left is None else left - len(page)
        if progress:
            progress(report)
    if left == 0 and repository.list_by_key(after=report.stopped_at or "", limit=1):
        return report
    return attrs.evolve(report, stopped_at=None)


def _copy_page(
    repository: ImageRepository,
    source: Storage,
    target: Storage,
    page: Sequence[UserImage],
    report: TransferReport,
) -> TransferReport:
    """Copy the objects of one page of images, and return what *report* becomes by that."""
    parts = {part.key: part for image in page for part in _parts(image)}
    of_image = {key: image.id for image in page for key in image.object_keys}
    there = _present(target, parts)
    todo = [part for key, part in sorted(parts.items()) if key not in there]
    try:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            outcomes = list(pool.map(lambda part: _copy(part, of_image[part.key], source, target), todo))
    finally:
        # A row that is gone by now had its objects deleted before they were put here.
        named = {key for image in repository.get_many([image.id for image in page]) for key in image.object_keys}
        if late := [part.key for part in todo if part.key not in named]:
            target.delete(late)
    by_outcome: dict[str, list[MissingObject]] = {_COPIED: [], _WRONG: [], _MISSING: []}
    for part, outcome in zip(todo, outcomes, strict=True):
        if part.key in named:
            by_outcome[outcome].append(MissingObject(part.key, of_image[part.key]))
    return TransferReport(
        copied=report.copied + len(by_outcome[_COPIED]),
        present=report.present + len(there),
        wrong=(*report.wrong, *by_outcome[_WRONG]),
        missing=(*report.missing, *by_outcome[_MISSING]),
        stopped_at=page[-1].key,
    )


def _parts(image: UserImage) -> tuple[UserImage | Variant, ...]:
    """Return what names the objects of an image: the image itself, and its variants."""
    return image, *image.variants.values()


def _present(target: Storage, parts: Mapping[str, UserImage | Variant]) -> set[str]:
    """Return those keys of *parts* that *target* lists with the right size. Other keys are listed too, but not kept."""
    first, last = min(parts), max(parts)
    listed = takewhile(lambda found: found.key <= last, target.list(after=first[:-1]))
    return {found.key for found in listed if found.key in parts and found.size == parts[found.key].size_bytes}


def _copy(part: UserImage | Variant, image_id: UUID, source: Storage, target: Storage) -> str:
    """Copy one object of an image, and return what became of it."""
    try:
        data = _read(source, part)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            return _WRONG
        target.put(part.key, data, mime_type=part.mime_type)
    except ObjectNotFoundError:
        return _MISSING
    except KeyTakenError:
        return _WRONG
    except Exception as exc:
        log.warning("copying an object of image %s failed: %s", image_id, reason(exc), extra={"event": "copy"})
        raise
    return _COPIED


def _read(source: Storage, part: UserImage | Variant) -> bytes:
    """Return the bytes of an object, at most one more than its record says."""
    data, wanted = bytearray(), part.size_bytes + 1
    with source.open(part.key) as stream:
        while len(data) < wanted and (chunk := stream.read(min(_CHUNK, wanted - len(data)))):
            data += chunk
    return bytes(data)


class Records(Protocol):
    """The rows of a database, in a transaction in which nobody else writes. It is committed at the end."""

    database_id: str

    def read(self, table: str) -> Iterator[Sequence[Any]]:
        """Yield the rows of a table, in the same order in every database, without holding all of them."""

    def write(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows as ``read`` gives them."""


class RecordsOwner(Protocol):
    """A repository whose rows can be moved."""

    def open_records(self) -> AbstractContextManager[Records]:
        """Begin the transaction."""


TABLES = ("images", "primaries", "intents")  # in the order in which they may be written
_BATCH = 1000


def copy_records(source: ImageRepository, target: ImageRepository) -> TransferReport:
    """Copy all records of *source* into *target*, which is empty: images, primaries, intents, and the database's id.

    It is one transaction of the target, so it is done whole or not at all. As long as it runs, nobody else can write to
    either database. What is written to the source afterwards is not copied, so stop the application first. Ids, keys
    and dates stay as they are. So does the id of the database, because the keys of its objects carry it: from then on
    no sweep and no audit may use the source.

    If the target holds these records already, they are compared one by one and nothing is written.

    Args:
        source: a ``SQLAlchemyRepository``, on SQLite or PostgreSQL.
        target: another one. Its tables are there: call ``create_schema()``.

    Returns:
        How many images were ``copied``, or are ``present`` and equal.

    Raises:
        ConfigurationError: the target holds other records, or one of the two cannot do it. Nothing was written.
        RepositoryError: a database failed. It is safe to call it again.
    """
    with _opened(source, "source") as old, _opened(target, "target") as new:
        if old.database_id == new.database_id:
            return TransferReport(present=_compared(old, new))
        if any(next(new.read(table), None) for table in TABLES):
            raise ConfigurationError(
                "The target holds records of another database, so nothing was copied.", hint="Use an empty database."
            )
        copied = 0
        for table in TABLES:
            for rows in _batches(old.read(table)):
                new.write(table, rows)
                copied += len(rows) if table == "images" else 0
        new.database_id = old.database_id
        return TransferReport(copied=copied)


def _opened(repository: ImageRepository, role: str) -> AbstractContextManager[Records]:
    owner: RecordsOwner | None = repository if hasattr(repository, "open_records") else None  # type: ignore[assignment]
    if owner is None:
        raise ConfigurationError(
            f"The {role} is of type {type(repository).__name__}, whose records cannot be moved.",
            hint="Use a SQLAlchemyRepository.",
        )
    return owner.open_records()


def _compared(old: Records, new: Records) -> int:
    """Return the number of images, if both databases hold the same rows."""
    images = 0
    for table in TABLES:
        for theirs, ours in zip_longest(old.read(table), new.read(table)):
            if theirs is None or ours is None or tuple(theirs) != tuple(ours):
                raise ConfigurationError(
                    f"The target holds records of this source already, and its {table} differ.",
                    hint="If an application has worked on the target since, the move is done. Else it was a trial: "
                    "repeat it with an empty database.",
                )
            images += table == "images"
    return images


def _batches(rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch
