"""The statements that both databases share, built once. What differs is in ``sqlite.py`` and ``postgresql.py``.

A parameter's name starts with ``the_``, because SQLAlchemy reserves the names of the columns themselves in the VALUES
and SET of a statement.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)

from userimages.model import FACTS
from userimages.repositories.tables import about, images, intents, primaries

LISTED = tuple(name for name in FACTS if name != "recipe")  # which listings do without
_FACTS = tuple(images.c[name] for name in FACTS)
_LISTED = tuple(images.c[name] for name in LISTED)
_ID = images.c.id == bindparam("the_id")
_USER = images.c.user == bindparam("the_user")
_LIMIT: BindParameter[int] = bindparam("the_limit")
_IDS = images.c.id.in_(bindparam("the_ids", expanding=True))
_NAMED = (images.c.id, images.c.user, images.c.key, images.c.variants)

# A scalar subquery, because PostgreSQL would turn EXISTS into a scan of the whole table, and because a join would
# double the row of an image that two scopes name.
_IS_PRIMARY = (
    select(primaries.c.image_id).where(primaries.c.image_id == images.c.id).limit(1).scalar_subquery().is_not(None)
)


def of_one(statement: Any) -> dict[bool, Any]:
    """Narrow *statement* to one image: by its id and, where True, also by its user."""
    return {False: statement.where(_ID), True: statement.where(_ID, _USER)}


def _of_many(statement: Any) -> dict[bool, Any]:
    """Narrow *statement* to some images: by their ids and, where True, also by their user."""
    return {False: statement.where(_IDS), True: statement.where(_IDS, _USER)}


def _page(*, typed: bool, further: bool) -> Select[Any]:
    """Build the statement of one page. The user's primaries are read once, not once per row."""
    primary = select(primaries.c.image_id).where(primaries.c.user == bindparam("the_user"))
    statement = select(*_LISTED, images.c.id.in_(primary)).where(_USER)
    if typed:
        statement = statement.where(images.c.image_type == bindparam("the_type"))
    if further:
        position = tuple_(
            bindparam("the_instant", type_=images.c.uploaded_at.type), bindparam("the_id", type_=images.c.id.type)
        )
        statement = statement.where(tuple_(images.c.uploaded_at, images.c.id) < position)
    return statement.order_by(images.c.uploaded_at.desc(), images.c.id.desc()).limit(_LIMIT)


def _recent(*, typed: bool, further: bool) -> Select[Any]:
    """Build the statement of one page of all users: backwards through the primary key, which begins with the time."""
    statement = select(*_LISTED, _IS_PRIMARY)
    if typed:
        statement = statement.where(images.c.image_type == bindparam("the_type"))
    if further:
        statement = statement.where(images.c.id < bindparam("the_id", type_=images.c.id.type))
    return statement.order_by(images.c.id.desc()).limit(_LIMIT)


def _each(build: Callable[..., Select[Any]]) -> dict[tuple[bool, bool], Select[Any]]:
    """Build a statement for all types or one, from the beginning or further on."""
    return {
        (typed, further): build(typed=typed, further=further) for typed in (False, True) for further in (False, True)
    }


PAGES = _each(_page)
RECENT = _each(_recent)
_ANY = select(*_FACTS, _IS_PRIMARY)
GET = of_one(_ANY)
LOCKED = GET[False].with_for_update(of=images)
GET_MANY = select(*_LISTED, _IS_PRIMARY).where(_IDS)
MADE_BY_KEY = _ANY.add_columns(images.c.input_sha256).where(
    _USER, images.c.idempotency_key == bindparam("the_idempotency_key")
)
LIST_BY_KEY = _ANY.where(images.c.key > bindparam("the_key")).order_by(images.c.key).limit(_LIMIT)
USAGE = select(func.count(), func.coalesce(func.sum(images.c.stored_bytes), 0)).where(_USER)


def _primaries(scope: ColumnElement[bool]) -> Select[Any]:
    """Build the statement of the primaries of many users; of two of one user, the one of the narrower scope is last."""
    return (
        select(*_LISTED, literal(value=True))
        .join(primaries, primaries.c.image_id == images.c.id)
        .where(primaries.c.user.in_(bindparam("the_users", expanding=True)), scope)
        .order_by(primaries.c.scope)
    )


_OVER_ALL_TYPES = primaries.c.scope == ""
PRIMARIES = {
    False: _primaries(_OVER_ALL_TYPES),
    True: _primaries(
        or_(
            primaries.c.scope == bindparam("the_type"),
            and_(_OVER_ALL_TYPES, images.c.image_type == bindparam("the_type")),
        )
    ),
}

UPDATE = of_one(update(images))
BEGIN_DELETE = _of_many(delete(images).returning(*_NAMED))
DELETE_OTHERS = (
    delete(images)
    .where(_USER, images.c.image_type == bindparam("the_type"), images.c.id != bindparam("the_id"))
    .returning(*_NAMED)
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
FINISH = delete(intents).where(intents.c.id.in_(bindparam("the_ids", expanding=True)))
EXPIRED = (
    select(intents)
    .where(intents.c.lease_until <= bindparam("the_present"))
    .order_by(intents.c.lease_until)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
CLAIM = (
    update(intents)
    .where(intents.c.id == bindparam("the_id"))
    .values(claimed=true(), lease_until=bindparam("the_lease"))
)
INTENT = select(intents).where(intents.c.id == bindparam("the_id")).with_for_update()
INTENTS = {
    False: select(intents).order_by(intents.c.id).limit(_LIMIT),
    True: select(intents)
    .where(intents.c.id > bindparam("the_id", type_=intents.c.id.type))
    .order_by(intents.c.id)
    .limit(_LIMIT),
}
DATABASE_ID = select(about.c.database_id)
DROP_INTENTS = delete(intents)
NEW_DATABASE_ID = update(about).values(database_id=bindparam("the_database_id"))

TAKE_INTENT = delete(intents).where(
    intents.c.id == bindparam("the_intent"),
    ~intents.c.claimed,
    intents.c.idempotency_key.is_not_distinct_from(bindparam("the_idempotency_key")),
)
NEW_IMAGE = select(*(bindparam(f"the_{column.name}", type_=column.type) for column in images.c))

# The rows of primaries that a rule forbids, after an image has become primary. Where there is one primary per type, it
# is the row over all types, if its image is of this type; else it is the rows of all types.
FORBIDDEN = {
    False: (primaries.c.user == bindparam("the_user"), primaries.c.scope != ""),
    True: (
        primaries.c.user == bindparam("the_user"),
        primaries.c.scope == "",
        primaries.c.image_id.in_(select(images.c.id).where(_USER, images.c.image_type == bindparam("the_type"))),
    ),
}
CLEAR = {per_type: delete(primaries).where(*forbidden) for per_type, forbidden in FORBIDDEN.items()}


def inserted(image: Select[Any]) -> Any:
    """Build the insertion of an image."""
    return insert(images).from_select(images.c.keys(), image).execution_options(preserve_rowcount=True)


def upserted(insert_into: Callable[[Table], Any], primary: Select[Any]) -> Any:
    """Build the one upsert that can leave neither two primaries of a scope nor none. *primary* selects its row."""
    statement = insert_into(primaries).from_select(["user", "scope", "image_id"], primary)
    moved = {"image_id": statement.excluded.image_id}
    upsert = statement.on_conflict_do_update(index_elements=[primaries.c.user, primaries.c.scope], set_=moved)
    return upsert.execution_options(preserve_rowcount=True)


def set_primary(insert_into: Callable[[Table], Any]) -> dict[tuple[bool, bool], Any]:
    """Build the upserts of one primary per type (True) or over all types, for one user (True) or any.

    The image is locked against deletion before the user's row is touched: in the order in which a deletion locks them.
    """
    made: dict[tuple[bool, bool], Any] = {}
    for per_type in (False, True):
        scope = images.c.image_type if per_type else literal("", type_=primaries.c.scope.type)
        image = of_one(select(images.c.user, scope, images.c.id).with_for_update(read=True, key_share=True))
        made |= {(per_type, of_user): upserted(insert_into, image[of_user]) for of_user in image}
    return made
