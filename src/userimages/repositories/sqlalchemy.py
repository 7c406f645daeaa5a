"""Records in SQLite or PostgreSQL, through SQLAlchemy Core."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any
from uuid import UUID

import attrs

from userimages.errors import ConfigurationError, ConflictError
from userimages.ids import new_id, utcnow
from userimages.model import DISTANT_PAST, SECOND_LOOK, ImageType, Intent, PublishResult, UserImage, Variants

try:
    from sqlalchemy import URL, Connection, Engine, Executable, Select
    from sqlalchemy.exc import IntegrityError
except ModuleNotFoundError as error:
    raise ConfigurationError(
        "SQLAlchemyRepository needs SQLAlchemy, which is not installed.", hint="pip install 'userimages[sqlalchemy]'"
    ) from error

from userimages.repositories import schema, statements
from userimages.repositories.database import Database
from userimages.repositories.tables import metadata

__all__ = ["SQLAlchemyRepository", "metadata"]

_PUTTERS = tuple(vars(UserImage)[name].__set__ for name in ("url", *statements.FIELDS))


class SQLAlchemyRepository:
    """Keep records in three tables of a SQLite or PostgreSQL database, each call in a transaction of its own.

    With a URL (``"sqlite:///images.db"``, ``"postgresql://user@host/name"``) the repository makes an engine and owns
    it: SQLite with a write-ahead log, PostgreSQL through psycopg 3. With a ``sqlalchemy.Engine`` it uses that one's
    pool and changes nothing about it. It may be made before a fork.

    >>> from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    >>> repository = SQLAlchemyRepository("sqlite://")
    >>> repository.create_schema()
    >>> repository.list("ana", limit=50)
    ()
    """

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self._database = Database(url_or_engine)
        self._on_sqlite = self._database.dialect == "sqlite"
        self.in_memory, self.file = self._database.in_memory, self._database.file
        self._publish = statements.PUBLISH[self._database.dialect]
        self._set_primary = statements.SET_PRIMARY[self._database.dialect]

    def create_schema(self) -> None:
        """Create what is missing of the three tables and their indexes; change nothing that is there.

        Safe to repeat, and safe when several processes start at once.
        """
        self._database.write(schema.complete, reads_first=True)

    def missing_schema(self) -> Sequence[str]:
        """Return the DDL statements that ``create_schema`` would run now: none where the schema is complete."""
        return self._database.read(schema.missing)

    def close(self) -> None:
        """Close the idle connections of an engine made from a URL; leave a given engine alone."""
        self._database.close()

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Insert *intent* and return None, or return the image that its idempotency key already made."""

        def work(connection: Connection) -> UserImage | None:
            key = {"the_user": intent.user, "the_idempotency_key": intent.idempotency_key}
            if intent.idempotency_key is not None:
                connection.execute(statements.FREE_KEY, {**key, "the_present": now})
            try:
                connection.execute(statements.BEGIN, _intent_row(intent))
            except IntegrityError as error:
                if intent.idempotency_key is None:
                    raise
                raise ConflictError(
                    "Another upload with this idempotency key is still running.", hint="Try again in a while."
                ) from error
            if intent.idempotency_key is None:
                return None
            made = connection.execute(statements.MADE_BY_KEY, key).one_or_none()
            if made is None:
                return None
            connection.rollback()
            if made.input_sha256 != intent.input_sha256:
                raise ConflictError(
                    "The idempotency key was used for another file.", hint="Use a new key for each upload."
                )
            return _made([made])[0]

        return self._database.write(work, alone=intent.idempotency_key is None)

    def publish(self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> PublishResult | None:
        """Turn *intent* into *image*; None where the intent is gone, taken or lost its idempotency key."""

        def work(connection: Connection) -> PublishResult | None:
            if replace and not self._on_sqlite:
                connection.execute(statements.QUEUE_UP, {"the_text": f"userimages {image.image_type} {image.user}"})
            at_once = self._publish[is_primary and not replace]
            if not all(connection.execute(statement, facts).rowcount for statement in at_once):
                return None
            retired: tuple[Intent, ...] = ()
            if replace:
                others = {"the_id": image.id, "the_user": image.user, "the_type": image.image_type}
                retired = self._retired(connection, connection.execute(statements.RETIRE_OTHERS, others).all())
            if replace and is_primary:
                connection.execute(self._set_primary[False], {"the_id": image.id})
            return PublishResult(_bare(image, is_primary=is_primary), retired)

        facts = {**_image_row(image, intent), "the_intent": intent.id}
        return self._database.write(work)

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image."""
        images = self._images(statements.GET[user is not None], _one(id, user))
        return images[0] if images else None

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: ImageType | None = None
    ) -> Sequence[UserImage]:
        """Return up to *limit* images of *user*, newest first, from the position *after* on."""
        parameters: dict[str, object] = {"the_user": user, "the_limit": limit}
        if image_type is not None:
            parameters["the_type"] = image_type
        if after is not None:
            parameters |= {"the_instant": after[0], "the_id": after[1]}
        return self._images(statements.PAGES[image_type is not None, after is not None], parameters)

    def primaries(self, users: Sequence[str]) -> Sequence[UserImage]:
        """Return the primary images of *users*; users without one are left out."""
        return self._images(statements.PRIMARIES, {"the_users": list(users)})

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Return up to *limit* images of all users whose key is greater than *after*, in byte order of the key."""
        return self._images(statements.ROWS, {"the_key": after, "the_limit": limit})

    def set_primary(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Make the image its user's only primary and return it; None where there is no such image."""
        return self._changed(self._set_primary[user is not None], id, user)

    def update(self, id: UUID, *, caption: str, user: str | None = None) -> UserImage | None:
        """Set the caption and return the image; None where there is no such image."""
        return self._changed(statements.UPDATE[user is not None], id, user, the_caption=caption)

    def begin_delete(self, id: UUID, *, user: str | None = None) -> Intent | None:
        """Delete the image and insert and return the intent that names its objects.

        Raises:
            ConflictError: a foreign key of the application's own tables refuses. Nothing changed.
        """

        def work(connection: Connection) -> Intent | None:
            gone = connection.execute(statements.RETIRE[user is not None], _one(id, user)).all()
            return self._retired(connection, gone)[0] if gone else None

        return self._database.write(work)

    def finish(self, intent: Intent) -> None:
        """Delete the intent, if it is there."""
        intent_id = {"the_id": intent.id}
        self._database.write(lambda connection: connection.execute(statements.FORGET, intent_id).rowcount, alone=True)

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Take up to *limit* intents whose lease is at or before *now*, oldest lease first."""

        def work(connection: Connection) -> Sequence[Intent]:
            found = connection.execute(statements.EXPIRED, {"the_present": now, "the_limit": limit})
            over = sorted(map(_intent, found), key=lambda each: each.lease_until)
            fresh = [
                {"the_id": each.id, "the_lease": each.lease_until + SECOND_LOOK} for each in over if not each.claimed
            ]
            if fresh:
                connection.execute(statements.TAKE, fresh)
            return tuple(over)

        return self._database.write(work, reads_first=True)

    def _images(self, statement: Select[Any], parameters: Mapping[str, object]) -> Sequence[UserImage]:
        return _made(self._database.read(lambda connection: connection.execute(statement, parameters).all()))

    def _changed(self, statement: Executable, id: UUID, user: str | None, **values: object) -> UserImage | None:
        """Change one image and read it again, in one transaction."""

        def work(connection: Connection) -> UserImage | None:
            if connection.execute(statement, {**_one(id, user), **values}).rowcount == 0:
                return None
            return _made(connection.execute(statements.GET[False], {"the_id": id}).all())[0]

        return self._database.write(work)

    def _retired(self, connection: Connection, gone: Sequence[Any]) -> tuple[Intent, ...]:
        """Put intents that are over in the place of the image rows that are *gone*."""
        if not gone:
            return ()
        if self._on_sqlite:
            connection.execute(statements.UNSET_PRIMARY, {"the_user": gone[0].user})
        now = utcnow()
        retired = tuple(
            Intent(
                id=new_id(now),
                user=user,
                object_keys=(key, *(each.key for each in variants.values())),
                lease_until=DISTANT_PAST,
            )
            for user, key, variants in gone
        )
        connection.execute(statements.BEGIN, [_intent_row(each) for each in retired])
        return retired


def _one(id: UUID, user: str | None) -> dict[str, object]:
    return {"the_id": id} if user is None else {"the_id": id, "the_user": user}


def _made(rows: Sequence[Any]) -> tuple[UserImage, ...]:
    """Make images, without URLs, of the rows of a statement that selects ``statements.FIELDS`` first.

    Column by column, past the constructor, which needs three times as long: a page may have 200 rows.
    """
    images = tuple(map(object.__new__, repeat(UserImage, len(rows))))
    for put, column in zip(_PUTTERS, (repeat(""), *zip(*rows, strict=True)), strict=False):
        deque(map(put, images, column), maxlen=0)
    return images


def _image_row(image: UserImage, intent: Intent) -> dict[str, object]:
    return {
        "the_id": image.id,
        "the_user": image.user,
        "the_image_type": image.image_type.value,
        "the_caption": image.caption,
        "the_uploaded_at": image.uploaded_at,
        "the_key": image.key,
        "the_width": image.width,
        "the_height": image.height,
        "the_size_bytes": image.size_bytes,
        "the_mime_type": image.mime_type,
        "the_sha256": image.sha256,
        "the_placeholder": image.placeholder,
        "the_variants": image.variants,
        "the_idempotency_key": intent.idempotency_key,
        "the_input_sha256": intent.input_sha256,
    }


def _bare(image: UserImage, *, is_primary: bool) -> UserImage:
    """Return *image* as it is read back: without URLs."""
    variants = image.variants
    if any(each.url for each in variants.values()):
        variants = Variants({name: attrs.evolve(each, url="") for name, each in variants.items()})
    return attrs.evolve(image, url="", is_primary=is_primary, variants=variants)


def _intent(row: Any) -> Intent:
    return Intent(
        id=row.id,
        user=row.user,
        object_keys=tuple(row.object_keys),
        lease_until=row.lease_until,
        idempotency_key=row.idempotency_key,
        input_sha256=row.input_sha256,
        claimed=row.claimed,
    )


def _intent_row(intent: Intent) -> dict[str, object]:
    return {
        "id": intent.id,
        "user": intent.user,
        "idempotency_key": intent.idempotency_key,
        "input_sha256": intent.input_sha256,
        "object_keys": intent.object_keys,
        "lease_until": intent.lease_until,
        "claimed": intent.claimed,
    }
