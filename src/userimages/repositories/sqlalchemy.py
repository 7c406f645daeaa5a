"""Records in SQLite or PostgreSQL, through SQLAlchemy Core."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import attrs

from userimages.errors import ConfigurationError, ConflictError, RepositoryError
from userimages.ids import new_id, utcnow
from userimages.model import (
    DISTANT_PAST,
    FACTS,
    REVISED,
    SECOND_LOOK,
    Intent,
    PublishResult,
    Usage,
    UserImage,
    Variants,
)
from userimages.validation import check_changes

try:
    from sqlalchemy import URL, Connection, Engine, Executable, Select
    from sqlalchemy.exc import IntegrityError
except ModuleNotFoundError as error:
    raise ConfigurationError(
        "SQLAlchemyRepository needs SQLAlchemy, which is not installed.", hint="pip install 'userimages[sqlalchemy]'"
    ) from error

from userimages.repositories import schema, sqlite, statements
from userimages.repositories.database import Database
from userimages.repositories.errors import MISSING
from userimages.repositories.records import Records
from userimages.repositories.revision import is_revised, is_still, retirement
from userimages.repositories.tables import metadata

__all__ = ["SQLAlchemyRepository", "metadata"]

_WHOLE = (*FACTS, "is_primary")  # what the statements of one record select
_LISTED = (*statements.LISTED, "is_primary")  # what listings select


class SQLAlchemyRepository:
    """Keep records in four tables of a SQLite or PostgreSQL database, each call in a transaction of its own.

    With a URL (``"sqlite:///images.db"``, ``"postgresql://user@host/name"``) the repository makes an engine and owns
    it: SQLite with a write-ahead log, PostgreSQL through psycopg 3. With a ``sqlalchemy.Engine`` it uses the pool of
    that engine and changes nothing about it. It may be made before a fork.

    >>> from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    >>> repository = SQLAlchemyRepository("sqlite://")
    >>> repository.create_schema()
    >>> repository.list("ana", limit=50)
    ()
    """

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self._database = Database(url_or_engine)
        self._dialect = self._database.dialect

    def __repr__(self) -> str:
        return f"SQLAlchemyRepository({self._database.url.render_as_string()!r})"

    @property
    def in_memory(self) -> bool:
        """Whether the database ends with this process."""
        return sqlite.is_in_memory(self._database.url)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database, or None."""
        return sqlite.file_of(self._database.url)

    def create_schema(self) -> None:
        """Create what is missing of the tables and their indexes; change nothing that is there.

        Safe to repeat, and safe when several processes start at once.

        Raises:
            ConfigurationError: a newer release has made this schema.
        """

        def work(connection: Connection) -> None:
            self._dialect.lock_schema(connection)
            schema.complete(connection)

        self._database.write(work, reads_first=True)

    def missing_schema(self) -> Sequence[str]:
        """Return the statements that ``create_schema`` would run now: none if the schema is complete."""
        return self._database.read(schema.missing)

    def schema_differences(self) -> Sequence[str]:
        """Return what ``create_schema`` cannot mend, as sentences: a type, a key, a constraint, a collation."""
        return self._database.read(schema.differences)

    def database_id(self) -> str:
        """Return the random id of this database, which stands in the keys of its objects."""
        id = self._database.read(lambda connection: connection.execute(statements.DATABASE_ID).scalar_one_or_none())
        if id is None:
            raise _no_id()
        return str(id)

    def new_database_id(self) -> None:
        """Give a copied database an id of its own, and drop the copied intents.

        The audit of the copy then never deletes what the copy did not make. The work in hand is that of the first
        database: if the copy's sweep did it too, it would delete the objects of an upload that is published there.
        """

        def work(connection: Connection) -> None:
            if not connection.execute(statements.NEW_DATABASE_ID, {"the_database_id": uuid4().hex}).rowcount:
                raise _no_id()
            connection.execute(statements.DROP_INTENTS)

        self._database.write(work)

    @contextmanager
    def open_records(self) -> Iterator[Records]:
        """Give all rows as they are, in a transaction in which nobody else writes: for ``transfer.copy_records``."""
        with self._database.alone() as connection:
            yield Records(connection)

    def close(self) -> None:
        """Close the idle connections of an engine made from a URL; leave a given engine alone."""
        self._database.close()

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Insert *intent* and return None, or return the image that its idempotency key already made."""
        tries = 0

        def work(connection: Connection) -> UserImage | None:
            nonlocal tries
            tries += 1
            key = {"the_user": intent.user, "the_idempotency_key": intent.idempotency_key}
            if intent.idempotency_key is not None:
                connection.execute(statements.FREE_KEY, {**key, "the_present": now})
            try:
                connection.execute(statements.BEGIN, _intent_row(intent))
            except IntegrityError as error:
                if intent.idempotency_key is None:
                    if tries > 1:  # an earlier try inserted it, and its answer was lost: the id is random
                        return None
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
            return _image(_WHOLE, made)

        return self._database.write(work, alone=intent.idempotency_key is None)

    def publish(
        self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool, per_type: bool = False
    ) -> PublishResult | None:
        """Turn *intent* into *image*, or return what an earlier call has made of it; None if that cannot be."""
        user, image_type = image.user, image.image_type
        facts = {f"the_{name}": getattr(image, name) for name in FACTS}
        facts |= {"the_idempotency_key": intent.idempotency_key, "the_input_sha256": intent.input_sha256}
        facts |= {"the_intent": intent.id, "the_type": image_type, "the_scope": image_type if per_type else ""}

        def work(connection: Connection) -> PublishResult | None:
            if of_ticket and not self._claim_ticket(connection, image.id):
                return earlier(connection)
            if replace:
                self._dialect.in_order(connection, f"userimages {image_type} {user}")
            if not self._dialect.publish(connection, facts, per_type=per_type if is_primary and not replace else None):
                return earlier(connection)
            replaced: tuple[Intent, ...] = ()
            if replace:
                replaced = self._begin_deletions(connection, connection.execute(statements.DELETE_OTHERS, facts).all())
            if replace and is_primary:
                connection.execute(self._dialect.SET_PRIMARY[per_type, False], facts)
                connection.execute(statements.CLEAR[per_type], facts)
            return PublishResult(_bare(image, is_primary=is_primary), replaced)

        def earlier(connection: Connection) -> PublishResult | None:
            found = self._locked(connection, image.id)  # in a transaction that writes, which a replica cannot answer
            connection.rollback()
            return None if found is None else PublishResult(found)

        of_ticket = image.id != intent.id  # that of a plain upload has the id of its image
        return self._database.write(work, reads_first=of_ticket)

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image."""
        images = self._images(_WHOLE, statements.GET[user is not None], {"the_id": id, "the_user": user})
        return images[0] if images else None

    def get_many(self, ids: Sequence[UUID]) -> Sequence[UserImage]:
        """Return the images with these ids; missing ones are left out."""
        return self._images(_LISTED, statements.GET_MANY, {"the_ids": list(ids)})

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: str | None = None
    ) -> Sequence[UserImage]:
        """Return up to *limit* images of *user*, newest first, from the position *after* on."""
        instant, id = after or (None, None)
        parameters = {
            "the_user": user,
            "the_limit": limit,
            "the_type": image_type,
            "the_instant": instant,
            "the_id": id,
        }
        return self._images(_LISTED, statements.PAGES[image_type is not None, after is not None], parameters)

    def recent(self, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Sequence[UserImage]:
        """Return up to *limit* images of all users, newest first, from below the id *after*."""
        parameters = {"the_limit": limit, "the_type": image_type, "the_id": after}
        return self._images(_LISTED, statements.RECENT[image_type is not None, after is not None], parameters)

    def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> Sequence[UserImage]:
        """Return the primary images of *users*; users without one are left out."""
        parameters = {"the_users": list(users), "the_type": image_type}
        found = self._images(_LISTED, statements.PRIMARIES[image_type is not None], parameters)
        return tuple({image.user: image for image in found}.values())

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Return up to *limit* images of all users whose key is greater than *after*, in byte order of the key."""
        return self._images(_WHOLE, statements.LIST_BY_KEY, {"the_key": after, "the_limit": limit})

    def usage(self, user: str) -> Usage:
        """Return how many images *user* has, and the sum of their stored bytes."""
        images, stored_bytes = self._database.read(
            lambda connection: connection.execute(statements.USAGE, {"the_user": user}).one()
        )
        return Usage(images, int(stored_bytes))  # PostgreSQL's sum is a Decimal

    def set_primary(self, id: UUID, *, user: str | None = None, per_type: bool = False) -> UserImage | None:
        """Make the image its user's primary, of its type or over all types, and return it; None if it is missing."""

        def work(connection: Connection) -> UserImage | None:
            image = self._change(connection, self._dialect.SET_PRIMARY[per_type, user is not None], id, user)
            if image is not None:
                facts = {"the_user": image.user, "the_type": image.image_type}
                connection.execute(statements.CLEAR[per_type], facts)
            return image

        return self._database.write(work)

    def update(self, id: UUID, changes: Mapping[str, Any], *, user: str | None = None) -> UserImage | None:
        """Set the facts that *changes* names and return the image; None if it is missing."""
        check_changes(changes)
        statement = statements.UPDATE[user is not None].values(changes)
        return self._database.write(lambda connection: self._change(connection, statement, id, user))

    def revise(self, intent: Intent, image: UserImage, *, of: UserImage, keep_until: datetime) -> UserImage | None:
        """Give an image the variants of *image*, if it still is as *of* and the intent is there; None if not."""
        changes = {name: getattr(image, name) for name in REVISED}
        taken = {"the_intent": intent.id, "the_idempotency_key": intent.idempotency_key}

        def work(connection: Connection) -> UserImage | None:
            found = self._locked(connection, image.id)
            if found is not None and is_revised(found, image):
                return found
            if found is None or not is_still(found, of):
                return None
            if not connection.execute(statements.TAKE_INTENT, taken).rowcount:
                return None
            old = retirement(found, image, keep_until)
            if old is not None:
                connection.execute(statements.BEGIN, _intent_row(old))
            return self._change(connection, statements.UPDATE[False].values(changes), image.id, None)

        return self._database.write(work, reads_first=True)

    def begin_delete(self, ids: Sequence[UUID], *, user: str | None = None) -> Sequence[Intent]:
        """Delete the images, and insert and return the intents that name their objects.

        Raises:
            ConflictError: a foreign key of the application refuses. Nothing changed.
        """
        statement, parameters = statements.BEGIN_DELETE[user is not None], {"the_ids": list(ids), "the_user": user}
        return self._database.write(
            lambda connection: self._begin_deletions(connection, connection.execute(statement, parameters).all())
        )

    def finish(self, intents: Sequence[Intent]) -> None:
        """Delete the intents that are there."""
        ids = {"the_ids": [intent.id for intent in intents]}
        self._database.write(lambda connection: connection.execute(statements.FINISH, ids).rowcount, alone=True)

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Claim up to *limit* intents whose lease ended at or before *now*, oldest lease first."""

        def work(connection: Connection) -> Sequence[Intent]:
            found = connection.execute(statements.EXPIRED, {"the_present": now, "the_limit": limit})
            due = sorted(map(_intent, found), key=lambda each: each.lease_until)
            fresh = [
                {"the_id": each.id, "the_lease": each.lease_until + SECOND_LOOK} for each in due if not each.claimed
            ]
            if fresh:
                connection.execute(statements.CLAIM, fresh)
            return tuple(due)

        return self._database.write(work, reads_first=True)

    def list_intents(self, *, after: UUID | None = None, limit: int = 1000) -> Sequence[Intent]:
        """Return up to *limit* intents whose id is greater than *after*, by id."""
        statement, parameters = statements.INTENTS[after is not None], {"the_id": after, "the_limit": limit}
        rows = self._database.read(lambda connection: connection.execute(statement, parameters).all())
        return tuple(map(_intent, rows))

    def _images(
        self, names: Sequence[str], statement: Select[Any], parameters: Mapping[str, object]
    ) -> Sequence[UserImage]:
        """Read records; *names* are those of the columns that *statement* selects, in order."""
        given = {name: value for name, value in parameters.items() if value is not None}
        rows = self._database.read(lambda connection: connection.execute(statement, given).all())
        return tuple(_image(names, row) for row in rows)

    def _change(self, connection: Connection, statement: Executable, id: UUID, user: str | None) -> UserImage | None:
        """Change one image and read it again."""
        if connection.execute(statement, {"the_id": id} | ({} if user is None else {"the_user": user})).rowcount == 0:
            return None
        return _image(_WHOLE, connection.execute(statements.GET[False], {"the_id": id}).one())

    def _locked(self, connection: Connection, id: UUID) -> UserImage | None:
        row = connection.execute(statements.LOCKED, {"the_id": id}).one_or_none()
        return None if row is None else _image(_WHOLE, row)

    def _claim_ticket(self, connection: Connection, id: UUID) -> bool:
        """Claim the intent *id*, if there is one. Tell whether nobody had claimed it before."""
        row = connection.execute(statements.INTENT, {"the_id": id}).one_or_none()
        if row is None:
            return True
        if not row.claimed:
            connection.execute(statements.CLAIM, {"the_id": id, "the_lease": row.lease_until + SECOND_LOOK})
        return not row.claimed

    def _begin_deletions(self, connection: Connection, deleted: Sequence[Any]) -> tuple[Intent, ...]:
        """Insert intents that are due at once for the image rows that were *deleted*."""
        if not deleted:
            return ()
        self._dialect.after_delete(connection, [row.id for row in deleted])
        now = utcnow()
        intents = tuple(
            Intent(
                id=new_id(now),
                user=row.user,
                object_keys=tuple(dict.fromkeys((row.key, *(each.key for each in row.variants.values())))),
                lease_until=DISTANT_PAST,
            )
            for row in deleted
        )
        connection.execute(statements.BEGIN, [_intent_row(each) for each in intents])
        return intents


def _no_id() -> RepositoryError:
    return RepositoryError("The row of userimages_about is missing.", hint=MISSING[1])


def _image(names: Sequence[str], row: Sequence[Any]) -> UserImage:
    """Make a record, without URLs, of a row that begins with the columns *names*."""
    return UserImage(**dict(zip(names, row, strict=False)))


def _bare(image: UserImage, *, is_primary: bool) -> UserImage:
    """Return *image* as it is read back: without URLs."""
    variants = image.variants
    if any(each.url for each in variants.values()):
        variants = Variants({name: attrs.evolve(each, url="") for name, each in variants.items()})
    return attrs.evolve(image, url="", is_primary=is_primary, variants=variants)


_INTENT_FACTS = tuple(field.name for field in attrs.fields(Intent))


def _intent(row: Any) -> Intent:
    facts = {name: getattr(row, name) for name in _INTENT_FACTS}
    return Intent(**facts | {"object_keys": tuple(row.object_keys)})


def _intent_row(intent: Intent) -> dict[str, object]:
    return {name: getattr(intent, name) for name in _INTENT_FACTS}
