"""Find what is missing from the schema, create it, and report what differs."""

from collections.abc import Iterator
from uuid import uuid4

from sqlalchemy import (
    CheckConstraint,
    ClauseElement,
    Column,
    Connection,
    Inspector,
    Table,
    UniqueConstraint,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from userimages.errors import ConfigurationError
from userimages.repositories.tables import SCHEMA_VERSION, about, images, intents, primaries

_TABLES = (images, intents, primaries, about)


def complete(connection: Connection) -> None:
    """Create what is missing."""
    for ddl in missing(connection):
        connection.execute(text(ddl))


def missing(connection: Connection) -> tuple[str, ...]:
    """Return the statements for the tables, columns, unique constraints, indexes and the row that are not there.

    Raises:
        ConfigurationError: a newer release has made this schema.
    """
    inspector = inspect(connection)
    found = [ddl for table in _TABLES for ddl in _missing_of(table, inspector, connection)]
    version = None
    if inspector.has_table(about.name):
        version = connection.execute(select(about.c.schema_version)).scalar_one_or_none()
    if version is None:
        row = f"VALUES (1, {SCHEMA_VERSION}, '{uuid4().hex}')"
        columns = "(id, schema_version, database_id)"
        found.append(f"INSERT INTO {about.name} {columns} {row} ON CONFLICT DO NOTHING")
    elif version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"The schema of the database has version {version}, and this release knows {SCHEMA_VERSION}.",
            hint="Install the release that made it, or a newer one.",
        )
    elif version < SCHEMA_VERSION:
        found.append(f"UPDATE {about.name} SET schema_version = {SCHEMA_VERSION}")  # noqa: S608
    return tuple(found)


def differences(connection: Connection) -> tuple[str, ...]:
    """Return what is there and differs from the schema, as sentences: types, NOT NULL, keys, checks, collations."""
    inspector = inspect(connection)
    return tuple(
        sentence
        for table in _TABLES
        if inspector.has_table(table.name)
        for sentence in _differences_of(table, inspector, connection)
    )


def _missing_of(table: Table, inspector: Inspector, connection: Connection) -> Iterator[str]:
    there = inspector.has_table(table.name)
    if not there:
        yield _rendered(CreateTable(table), connection)
    else:
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                yield f"ALTER TABLE {table.name} ADD COLUMN {_added(column, connection)}"
        yield from _missing_unique(table, inspector)
    indexes = {index["name"] for index in inspector.get_indexes(table.name)} if there else set()
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        if index.name not in indexes:
            yield _rendered(CreateIndex(index), connection)


def _added(column: Column[object], connection: Connection) -> str:
    """Return the definition of a column that is added to a table with rows: NOT NULL then needs a default."""
    definition = _rendered(CreateColumn(column), connection)
    if column.nullable or column.server_default is not None:
        return definition
    kind = column.type.compile(connection.dialect).upper()
    default = (
        "'1970-01-01 00:00:00'" if "TIME" in kind else "'{}'" if "JSON" in kind else "0" if "INT" in kind else "''"
    )
    return definition.replace(" NOT NULL", f" DEFAULT {default} NOT NULL")


def _rendered(element: ClauseElement, connection: Connection) -> str:
    return str(element.compile(dialect=connection.dialect)).strip()


def _missing_unique(table: Table, inspector: Inspector) -> Iterator[str]:
    """Yield unique indexes for the unique constraints that are missing, because SQLite cannot add a constraint."""
    indexes = [each["column_names"] for each in inspector.get_indexes(table.name) if each["unique"]]
    unique = [set(each["column_names"]) for each in inspector.get_unique_constraints(table.name)]
    unique += [set(filter(None, names)) for names in indexes]
    for constraint in table.constraints:
        names = [column.name for column in constraint.columns] if isinstance(constraint, UniqueConstraint) else []
        if names and set(names) not in unique:
            quoted = ", ".join(f'"{name}"' for name in names)
            name = constraint.name or f"{table.name}_{'_'.join(names)}"
            yield f"CREATE UNIQUE INDEX {name} ON {table.name} ({quoted})"


def _differences_of(table: Table, inspector: Inspector, connection: Connection) -> Iterator[str]:
    found = {column["name"]: column for column in inspector.get_columns(table.name)}
    for column in table.columns:
        if (there := found.get(column.name)) is None:
            continue
        wanted, is_now = _type(column.type, connection), _type(there["type"], connection)
        if wanted != is_now:
            yield f"{table.name}.{column.name} has the type {is_now} in place of {wanted}."
        if bool(there["nullable"]) != bool(column.nullable) and not column.primary_key:
            yield f"{table.name}.{column.name} {'allows' if there['nullable'] else 'refuses'} NULL."
    key = [column.name for column in table.primary_key.columns]
    if (is_key := inspector.get_pk_constraint(table.name)["constrained_columns"]) != key:
        yield f"The primary key of {table.name} is ({', '.join(is_key)}) in place of ({', '.join(key)})."
    yield from _differing_constraints(table, inspector)
    yield from _differing_collations(table, connection)


def _differing_constraints(table: Table, inspector: Inspector) -> Iterator[str]:
    checks = {each["name"] for each in inspector.get_check_constraints(table.name)}
    wanted = {each.name for each in table.constraints if isinstance(each, CheckConstraint)}
    for name in sorted(map(str, wanted - checks)):
        yield f"{table.name} lacks the constraint {name}."
    for name in sorted(str(each) for each in checks - wanted if each and each.startswith("userimages_")):
        yield f"{table.name} has the constraint {name}, which this release does not know."
    there = {
        (*key["constrained_columns"], key["referred_table"]): key for key in inspector.get_foreign_keys(table.name)
    }
    for wanted_key in table.foreign_key_constraints:
        found = there.get((*wanted_key.column_keys, wanted_key.referred_table.name))
        if found is None:
            yield f"{table.name} lacks the foreign key to {wanted_key.referred_table.name}."
        elif str(found["options"].get("ondelete", "")).upper() != "CASCADE":
            yield f"The foreign key of {table.name} to {wanted_key.referred_table.name} lacks ON DELETE CASCADE."


def _differing_collations(table: Table, connection: Connection) -> Iterator[str]:
    if connection.dialect.name != "postgresql" or table is not images:
        return
    collation = connection.execute(
        text(
            "SELECT collation_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = :name AND column_name = 'key'"
        ),
        {"name": table.name},
    ).scalar_one_or_none()
    if collation != "C":
        yield f"{table.name}.key has the collation {collation or 'of the database'} in place of C."


def _type(kind: object, connection: Connection) -> str:
    """Return the name of a column's type, as the database writes it, without its collation."""
    name = kind.compile(dialect=connection.dialect) if hasattr(kind, "compile") else str(kind)
    return str(name).partition(" COLLATE")[0].upper()
