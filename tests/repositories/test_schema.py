"""What is missing is created by DDL that can be run; what differs is reported; the version is known."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from userimages import ConfigurationError, ImageService, RepositoryError
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.repositories.tables import images, intents, primaries
from userimages.storages.memory import MemoryStorage
from userimages.testing.records import new_image, new_user, publish

EngineOf = Callable[..., Engine]
COLUMNS = [
    (table.name, column.name)
    for table in (images, intents)
    for column in table.columns
    if not column.primary_key and not any(column.name in index.columns for index in table.indexes)
]


def run(engine: Engine, *statements: str) -> None:
    """Run statements by hand, as a database administrator does."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_missing_column_can_be_added(url: str, engine_of: EngineOf, table: str, column: str) -> None:
    """Also NOT NULL ones, to a table that has rows: the printed DDL gives a default."""
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    publish(repository, new_image(new_user()))
    if engine.dialect.name == "sqlite":  # which drops no column that a constraint names
        ddl = _without(column, _ddl(engine, table))
        run(engine, "PRAGMA foreign_keys = OFF", f"DROP TABLE {table}", ddl)
    else:
        run(engine, f'ALTER TABLE {table} DROP COLUMN "{column}" CASCADE')
    missing = repository.missing_schema()
    assert any(f"ADD COLUMN {column}" in each or f'ADD COLUMN "{column}"' in each for each in missing), missing
    run(engine, *missing)
    assert repository.missing_schema() == ()
    image = publish(repository, new_image(new_user()))
    assert repository.get(image.id) == image


def test_the_printed_ddl_makes_a_whole_database(url: str, engine_of: EngineOf) -> None:
    """The id of the database is among it, so that nobody has to call ``create_schema``."""
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    run(engine, *repository.missing_schema())
    assert repository.missing_schema() == repository.schema_differences() == ()
    assert re.fullmatch("[0-9a-f]{32}", repository.database_id())


def test_each_database_has_an_id_of_its_own(url: str, engine_of: EngineOf) -> None:
    """Each database has an id of its own."""
    repository = SQLAlchemyRepository(engine_of(url))
    repository.create_schema()
    first = repository.database_id()
    repository.create_schema()
    assert repository.database_id() == first
    repository.new_database_id()
    assert repository.database_id() != first


def test_a_database_that_lost_its_id_says_so(url: str, engine_of: EngineOf) -> None:
    """A test suite that empties all tables does that, and ``create_schema`` mends it."""
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    run(engine, "DELETE FROM userimages_about")
    for call in (repository.database_id, repository.new_database_id):
        with pytest.raises(RepositoryError, match=r"userimages_about is missing.*create_schema"):
            call()
    repository.create_schema()
    assert repository.database_id()


def test_a_schema_of_a_newer_release_is_refused(url: str, engine_of: EngineOf) -> None:
    """A schema of a newer release is refused."""
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    run(engine, "UPDATE userimages_about SET schema_version = 99")
    for call in (repository.create_schema, repository.missing_schema):
        with pytest.raises(ConfigurationError, match="version 99"):
            call()


def test_a_schema_of_an_older_release_is_raised(url: str, engine_of: EngineOf) -> None:
    """A schema of an older release is raised."""
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    repository.create_schema()
    run(engine, "UPDATE userimages_about SET schema_version = 0")
    assert [each.split()[0] for each in repository.missing_schema()] == ["UPDATE"]
    repository.create_schema()
    assert repository.missing_schema() == ()


DIFFERENT: dict[str, Any] = {
    "a narrower type": ("image_type VARCHAR(32)", "image_type VARCHAR(20)", "image_type has the type VARCHAR(20)"),
    "a column that allows NULL": ("caption TEXT NOT NULL", "caption TEXT", "caption allows NULL"),
    "a check that is missing": ("userimages_images_facts", "userimages_images_other", "lacks the constraint"),
    "a check of an older schema": (
        "CONSTRAINT userimages_images_facts",
        "CONSTRAINT userimages_images_type CHECK (image_type <> 'x'), CONSTRAINT userimages_images_facts",
        "has the constraint userimages_images_type",
    ),
    "one primary for all types": (
        'PRIMARY KEY ("user", scope)',
        'PRIMARY KEY ("user")',
        "primary key of",
    ),
    "no foreign key": (
        ", \n\tFOREIGN KEY(image_id) REFERENCES userimages_images (id) ON DELETE CASCADE",
        "",
        "userimages_primaries lacks the foreign key to userimages_images",
    ),
    "no cascade": ("ON DELETE CASCADE", "", "lacks ON DELETE CASCADE"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_create_schema_cannot_mend_is_reported(url: str, engine_of: EngineOf, name: str) -> None:
    """The check says in a sentence what differs, in place of "Complete."."""
    right, wrong, sentence = DIFFERENT[name]
    engine = engine_of(url)
    repository = SQLAlchemyRepository(engine)
    ddl = repository.missing_schema()
    assert any(right in each for each in ddl)
    run(engine, *(each.replace(right, wrong) for each in ddl))
    assert repository.missing_schema() == ()
    found = repository.schema_differences()
    assert any(sentence in each for each in found), found
    (line,) = [each for each in ImageService(MemoryStorage(), repository).check().checks if each.name == "schema"]
    assert not line.ok
    assert sentence in line.hint


def test_another_collation_is_reported_on_postgresql(postgresql: str, own_database: str, engine_of: EngineOf) -> None:
    """Another collation is reported on PostgreSQL."""
    engine = engine_of(own_database.replace("postgresql://", "postgresql+psycopg://"))
    repository = SQLAlchemyRepository(engine)
    run(engine, *(each.replace('COLLATE "C" ', "") for each in repository.missing_schema()))
    assert any("collation" in each for each in repository.schema_differences())


def test_nothing_differs_in_a_schema_of_this_release(url: str, engine_of: EngineOf) -> None:
    """Nothing differs in a schema of this release."""
    repository = SQLAlchemyRepository(engine_of(url))
    repository.create_schema()
    assert repository.schema_differences() == ()
    assert len(primaries.primary_key.columns) == 2


def _ddl(engine: Engine, table: str) -> str:
    with engine.connect() as connection:
        statement = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
        return str(connection.execute(statement, {"name": table}).scalar_one())


def _without(column: str, ddl: str) -> str:
    """Return the DDL of a table without a column, and without the constraints that name it."""
    head, _, body = ddl.partition("(")
    lines = [line.strip().rstrip(",") for line in body.rpartition(")")[0].splitlines() if line.strip()]
    word = re.compile(rf"(?<![a-z_]){column}(?![a-z_])")
    return f"{head}({', '.join(line for line in lines if not word.search(line))})"
