"""What of the three tables a database lacks, and how it comes by it."""

from collections.abc import Iterator

from sqlalchemy import ClauseElement, Connection, Inspector, Table, UniqueConstraint, func, inspect, select, text
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from userimages.repositories.tables import images, intents, primaries

_LOCK = 0x75736572696D6167  # "userimag": one schema at a time


def complete(connection: Connection) -> None:
    """Create what is missing, while no other process does the same."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    for ddl in missing(connection):
        connection.execute(text(ddl))


def missing(connection: Connection) -> tuple[str, ...]:
    """Return the DDL for the tables, columns, unique constraints and indexes that are not there."""
    inspector = inspect(connection)
    return tuple(ddl for table in (images, intents, primaries) for ddl in _missing_of(table, inspector, connection))


def _missing_of(table: Table, inspector: Inspector, connection: Connection) -> Iterator[str]:
    def rendered(element: ClauseElement) -> str:
        return str(element.compile(dialect=connection.dialect)).strip()

    there = inspector.has_table(table.name)
    if not there:
        yield rendered(CreateTable(table))
    else:
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                yield f"ALTER TABLE {table.name} ADD COLUMN {rendered(CreateColumn(column))}"
        yield from _missing_unique(table, inspector)
    indexes = {index["name"] for index in inspector.get_indexes(table.name)} if there else set()
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        if index.name not in indexes:
            yield rendered(CreateIndex(index))


def _missing_unique(table: Table, inspector: Inspector) -> Iterator[str]:
    """Yield unique indexes for the unique constraints that are missing; SQLite cannot add a constraint."""
    indexes = [each["column_names"] for each in inspector.get_indexes(table.name) if each["unique"]]
    unique = [set(each["column_names"]) for each in inspector.get_unique_constraints(table.name)]
    unique += [set(filter(None, names)) for names in indexes]
    for constraint in table.constraints:
        names = [column.name for column in constraint.columns] if isinstance(constraint, UniqueConstraint) else []
        if names and set(names) not in unique:
            quoted = ", ".join(f'"{name}"' for name in names)
            name = constraint.name or f"{table.name}_{'_'.join(names)}"
            yield f"CREATE UNIQUE INDEX {name} ON {table.name} ({quoted})"
