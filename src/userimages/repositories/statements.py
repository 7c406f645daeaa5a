"""Every statement of ``SQLAlchemyRepository``, built once. A parameter's name starts with ``the_``."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BindParameter,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from userimages.repositories.tables import images, intents, primaries

_FACTS = (
    images.c.id,
    images.c.user,
    images.c.image_type,
    images.c.caption,
    images.c.uploaded_at,
    images.c.key,
    images.c.width,
    images.c.height,
    images.c.size_bytes,
    images.c.mime_type,
    images.c.sha256,
    images.c.placeholder,
    images.c.variants,
)
FIELDS = (*(fact.name for fact in _FACTS), "is_primary")
_ID = images.c.id == bindparam("the_id")
_USER = images.c.user == bindparam("the_user")
_LIMIT: BindParameter[int] = bindparam("the_limit")
_NAMED = (images.c.user, images.c.key, images.c.variants)


def _of_one(statement: Any) -> dict[bool, Any]:
    """Narrow *statement* to one image: by its id, and where True also by its user."""
    return {False: statement.where(_ID), True: statement.where(_ID, _USER)}


def _page(*, typed: bool, further: bool) -> Select[Any]:
    """Build the statement of one page; the user's primary is looked up once, not once per row."""
    primary = select(primaries.c.image_id).where(primaries.c.user == bindparam("the_user")).scalar_subquery()
    statement = select(*_FACTS, images.c.id.is_not_distinct_from(primary)).where(_USER)
    if typed:
        statement = statement.where(images.c.image_type == bindparam("the_type"))
    if further:
        position = tuple_(
            bindparam("the_instant", type_=images.c.uploaded_at.type), bindparam("the_id", type_=images.c.id.type)
        )
        statement = statement.where(tuple_(images.c.uploaded_at, images.c.id) < position)
    return statement.order_by(images.c.uploaded_at.desc(), images.c.id.desc()).limit(_LIMIT)


PAGES = {(typed, further): _page(typed=typed, further=further) for typed in (False, True) for further in (False, True)}

_ANY = select(*_FACTS, primaries.c.image_id.is_not(None)).outerjoin(primaries, primaries.c.image_id == images.c.id)
GET = _of_one(_ANY)
MADE_BY_KEY = _ANY.add_columns(images.c.input_sha256).where(
    _USER, images.c.idempotency_key == bindparam("the_idempotency_key")
)
ROWS = _ANY.where(images.c.key > bindparam("the_key")).order_by(images.c.key).limit(_LIMIT)
PRIMARIES = (
    select(*_FACTS, literal(value=True))
    .join(primaries, primaries.c.image_id == images.c.id)
    .where(primaries.c.user.in_(bindparam("the_users", expanding=True)))
)

UPDATE = _of_one(update(images).values(caption=bindparam("the_caption")))
RETIRE = _of_one(delete(images).returning(*_NAMED))
RETIRE_OTHERS = (
    delete(images)
    .where(_USER, images.c.image_type == bindparam("the_type"), images.c.id != bindparam("the_id"))
    .returning(*_NAMED)
)
# Two that replace at once would not see each other's image: on PostgreSQL they go one after the other.
QUEUE_UP = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("the_text"), 0)))
# A given SQLite engine may have foreign keys switched off: then nothing cascades by itself.
UNSET_PRIMARY = delete(primaries).where(
    primaries.c.user == bindparam("the_user"), ~exists().where(images.c.id == primaries.c.image_id)
)

BEGIN = insert(intents)
FREE_KEY = (
    update(intents)
    .where(
        intents.c.user == bindparam("the_user"),
        intents.c.idempotency_key == bindparam("the_idempotency_key"),
        or_(intents.c.claimed, intents.c.lease_until <= bindparam("the_present")),
    )
    .values(idempotency_key=None)
)
FORGET = delete(intents).where(intents.c.id == bindparam("the_id"))
EXPIRED = (
    select(intents)
    .where(intents.c.lease_until <= bindparam("the_present"))
    .order_by(intents.c.lease_until)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
TAKE = (
    update(intents)
    .where(intents.c.id == bindparam("the_id"))
    .values(claimed=true(), lease_until=bindparam("the_lease"))
)


_CLAIM = delete(intents).where(
    intents.c.id == bindparam("the_intent"),
    ~intents.c.claimed,
    intents.c.idempotency_key.is_not_distinct_from(bindparam("the_idempotency_key")),
)
_NEW_IMAGE = select(*(bindparam(f"the_{column.name}", type_=column.type) for column in images.c))


def _inserted(image: Select[Any]) -> Any:
    return insert(images).from_select(images.c.keys(), image).execution_options(preserve_rowcount=True)


def _upserted(insert_into: Callable[[Table], Any], primary: Select[Any]) -> Any:
    """Build the one upsert that can leave neither two primaries nor none."""
    statement = insert_into(primaries).from_select(["user", "image_id"], primary)
    moved = {"image_id": statement.excluded.image_id}
    upsert = statement.on_conflict_do_update(index_elements=[primaries.c.user], set_=moved)
    return upsert.execution_options(preserve_rowcount=True)


def _published_on_sqlite() -> dict[bool, tuple[Any, ...]]:
    claim_and_insert = (_CLAIM, _inserted(_NEW_IMAGE))
    primary = select(bindparam("the_user"), bindparam("the_id", type_=images.c.id.type))
    upsert = _upserted(sqlite.insert, primary.where(true()))  # without WHERE, ON would be taken for that of a join
    return {False: claim_and_insert, True: (*claim_and_insert, upsert)}


def _published_on_postgresql() -> dict[bool, tuple[Any, ...]]:
    """Build one statement of all: one round trip, not three."""
    claimed = _CLAIM.returning(intents.c.id).cte("claimed")
    insertion = _inserted(_NEW_IMAGE.select_from(claimed))
    published = insertion.returning(images.c.user, images.c.id).cte("published")
    return {False: (insertion,), True: (_upserted(postgresql.insert, select(published)),)}


# What publishes an image, and True: makes it primary. One after the other, until one finds nothing to do.
PUBLISH = {"sqlite": _published_on_sqlite(), "postgresql": _published_on_postgresql()}


def _set_primary(insert_into: Callable[[Table], Any]) -> dict[bool, Any]:
    """Lock the image against deletion before the user's row is touched: in the order in which a deletion locks them."""
    image = _of_one(select(images.c.user, images.c.id).with_for_update(read=True, key_share=True))
    return {of_user: _upserted(insert_into, image[of_user]) for of_user in image}


SET_PRIMARY = {"sqlite": _set_primary(sqlite.insert), "postgresql": _set_primary(postgresql.insert)}
