"""The three tables, for SQLite and PostgreSQL. They live in somebody's database: hence the prefix.

``images`` holds only what may be listed and served; ``intents`` is work in hand, nearly always empty; ``primaries``
says which image of a user is primary, at most one by its primary key.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID, SafeUUID

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    cast,
    false,
    type_coerce,
)

from userimages.model import ImageType, Variant, Variants


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds: ``timestamptz`` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC, naive where the database knows no time zones."""
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.astimezone(UTC).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return what makes of a stored instant an aware one; by itself, for a listing has many."""
        if dialect.name == "postgresql":
            return lambda value: value and value.astimezone(UTC)
        return lambda value: value and datetime.fromisoformat(value + "+00:00")


class Id(TypeDecorator[UUID]):
    """A UUID: that of PostgreSQL, 32 hex digits on SQLite."""

    impl = Uuid
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], UUID | None] | None:
        """Return what makes a UUID of a stored value, or None where the driver does it."""
        if dialect.name == "postgresql":
            return Uuid().dialect_impl(dialect).result_processor(dialect, coltype)
        return _uuid


_UNKNOWN = SafeUUID.unknown
_put_int, _put_is_safe = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__


def _uuid(digits: str | None) -> UUID | None:
    """Return the UUID of 32 hex digits; its own constructor, which takes many spellings, needs twice as long."""
    if digits is None:
        return None
    made = object.__new__(UUID)
    _put_int(made, int(digits, 16))
    _put_is_safe(made, _UNKNOWN)
    return made


class TypeName(TypeDecorator[ImageType]):
    """The name of an ``ImageType``."""

    impl = String(20)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], ImageType | None]:
        """Return what looks a name up, faster than the enum does."""
        return {each.value: each for each in ImageType}.get


class VariantsJSON(TypeDecorator[Variants]):
    """The variants of an image as one JSON object, read once somebody looks at them: ``{name: [key, width, ...]}``."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Variant] | None, dialect: Dialect) -> Any:
        """Return what stands in the column."""
        facts = attrgetter("key", "width", "height", "size_bytes", "mime_type", "sha256")
        return {name: facts(variant) for name, variant in (value or {}).items()}

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Select the text, which psycopg would decode otherwise."""
        return type_coerce(cast(column, Text), self)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Variants]:
        """Return what makes variants of the text."""
        return lambda text: Variants.lazy(lambda: _variants(text))


def _variants(text: str) -> Mapping[str, Variant]:
    return {name: Variant(*facts) for name, facts in json.loads(text).items()}


def _user(*, primary_key: bool = False) -> Column[str]:
    """Return the column that names a user; always quoted, for ``user`` is a reserved word."""
    return Column("user", String(150), quote=True, nullable=False, primary_key=primary_key)


metadata = MetaData()

images = Table(
    "userimages_images",
    metadata,
    Column("id", Id, primary_key=True),
    _user(),
    Column("image_type", TypeName, nullable=False),
    Column("caption", Text, nullable=False),
    Column("uploaded_at", UTCDateTime, nullable=False),
    Column("key", String(255).with_variant(String(255, collation="C"), "postgresql"), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("mime_type", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("placeholder", String(64), nullable=False),
    Column("variants", VariantsJSON, nullable=False),
    Column("idempotency_key", String(255)),
    Column("input_sha256", String(64), nullable=False),
    UniqueConstraint("key", name="userimages_images_key"),
    UniqueConstraint("user", "idempotency_key", name="userimages_images_idempotency"),
    CheckConstraint(
        "image_type IN ({})".format(", ".join(f"'{each}'" for each in ImageType)), name="userimages_images_type"
    ),
    CheckConstraint("width > 0 AND height > 0 AND size_bytes > 0", name="userimages_images_facts"),
)
# The type comes last so that a listing of a rare type passes over the others within the index.
Index("userimages_images_newest", images.c.user, images.c.uploaded_at.desc(), images.c.id.desc(), images.c.image_type)

intents = Table(
    "userimages_intents",
    metadata,
    Column("id", Id, primary_key=True),
    _user(),
    Column("idempotency_key", String(255)),
    Column("input_sha256", String(64), nullable=False),
    Column("object_keys", JSON, nullable=False),
    Column("lease_until", UTCDateTime, nullable=False, index=True),
    Column("claimed", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("user", "idempotency_key", name="userimages_intents_idempotency"),
)

primaries = Table(
    "userimages_primaries",
    metadata,
    _user(primary_key=True),
    # Not unique: the upsert minds one unique index alone, and callers at once would break the other.
    Column("image_id", ForeignKey(images.c.id, ondelete="CASCADE"), nullable=False, index=True),
)
