"""The four tables, for SQLite and PostgreSQL. Their names have a prefix, because they live in somebody's database.

``images`` holds only what may be listed and served. ``intents`` is work in hand, nearly always empty. ``primaries``
says which images are primary: its key is a user and a scope, so there is at most one of each. ``about`` has one row:
the version of this schema and a random id of the database.

From the first release on, a change adds a column with a server default, or an index, and nothing else: so old and new
processes can use one database while an application is deployed.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
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

from userimages.model import Meta, Variants

SCHEMA_VERSION = 1


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds: ``timestamptz`` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC, naive if the database knows no time zones."""
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.astimezone(UTC).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return what makes a stored instant aware. It is a function of its own, because a listing has many."""
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
        return lambda digits: None if digits is None else UUID(digits)


class JSONText(TypeDecorator[Any]):
    """A JSON column that is written and read as text, so that nothing is decoded before somebody looks at it."""

    impl = JSON
    cache_ok = True

    def __init__(self, to_text: Callable[[Any], str], from_text: Callable[[str], Any]) -> None:
        super().__init__()
        self.to_text, self.from_text = to_text, from_text

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        """Return what makes text of a value."""
        return self.to_text

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Select the text, because psycopg would decode JSON."""
        return type_coerce(cast(column, Text), self)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Return what makes a value of the text."""
        return self.from_text


def _meta_text(meta: Mapping[str, Any]) -> str:
    return Meta.of(meta).text


def _user(*, primary_key: bool = False) -> Column[str]:
    """Return the column that names a user; always quoted, because ``user`` is a reserved word."""
    return Column("user", String(150), quote=True, nullable=False, primary_key=primary_key)


metadata = MetaData()

images = Table(
    "userimages_images",
    metadata,
    Column("id", Id, primary_key=True),
    _user(),
    Column("image_type", String(32), nullable=False),
    Column("caption", Text, nullable=False),
    Column("meta", JSONText(_meta_text, Meta), nullable=False, server_default="{}"),
    Column("uploaded_at", UTCDateTime, nullable=False),
    Column("key", String(255).with_variant(String(255, collation="C"), "postgresql"), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
    Column("mime_type", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("placeholder", String(64), nullable=False),
    Column("frames", Integer, nullable=False, server_default="1"),
    Column("variants", JSONText(Variants.to_json, Variants.from_json), nullable=False),
    Column("recipe", String(32), nullable=False, server_default=""),
    Column("idempotency_key", String(255)),
    Column("input_sha256", String(64), nullable=False),
    UniqueConstraint("key", name="userimages_images_key"),
    UniqueConstraint("user", "idempotency_key", name="userimages_images_idempotency"),
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
    Column("scope", String(32), nullable=False, primary_key=True, server_default=""),  # "" over all types, or a type
    # Deliberately not unique: ON CONFLICT handles one unique index, and concurrent upserts would violate a second.
    Column("image_id", ForeignKey(images.c.id, ondelete="CASCADE"), nullable=False, index=True),
)

about = Table(
    "userimages_about",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1, so that there is one row
    Column("schema_version", Integer, nullable=False),
    Column("database_id", String(32), nullable=False),
    CheckConstraint("id = 1", name="userimages_about_one"),
)
