"""The two databases, each as the URL of an empty one, and engines of an application."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from userimages.repositories.sqlalchemy import SQLAlchemyRepository


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a new database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'images.db'}"
        return
    server = make_url(request.getfixturevalue("postgresql")).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"test_{uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} STRATEGY file_copy"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def repository(url: str) -> Iterator[SQLAlchemyRepository]:
    """Return a repository on an engine of its own, ready for use."""
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    yield repository
    repository.close()


@pytest.fixture
def engine_of() -> Iterator[Callable[..., Engine]]:
    """Return a function that makes an engine as an application would, and disposes of it in the end."""
    engines: list[Engine] = []

    def make(url: str, **options: object) -> Engine:
        engines.append(create_engine(url, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()
