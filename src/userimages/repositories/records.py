"""The rows of a database as they are, to move them to another one."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from userimages.repositories import statements
from userimages.repositories.tables import images, intents, primaries

# Each is read in an order that is that of every database: texts are not, because of their collations.
_TABLES = {"images": images, "primaries": primaries, "intents": intents}
_ORDER = {"images": [images.c.id], "primaries": [primaries.c.image_id, primaries.c.scope], "intents": [intents.c.id]}
_AT_ONCE = 500  # rows in memory


class Records:
    """All rows of the tables, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def database_id(self) -> str:
        """The random id of the database."""
        return str(self._connection.execute(statements.DATABASE_ID).scalar_one())

    @database_id.setter
    def database_id(self, id: str) -> None:
        self._connection.execute(statements.NEW_DATABASE_ID, {"the_database_id": id})

    def read(self, table: str) -> Iterator[Sequence[Any]]:
        """Yield the rows of a table."""
        statement = select(_TABLES[table]).order_by(*_ORDER[table]).execution_options(yield_per=_AT_ONCE)
        with self._connection.execute(statement) as rows:
            yield from rows

    def write(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows as ``read`` gives them."""
        names = _TABLES[table].c.keys()
        self._connection.execute(insert(_TABLES[table]), [dict(zip(names, row, strict=True)) for row in rows])
