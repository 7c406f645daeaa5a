"""Moving records from one database to another: every row, whole or not at all."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import OperationalError

from userimages import ConfigurationError, DatabaseBusyError, ImageService, RepositoryError, UserImagesError
from userimages.caching import CachingRepository
from userimages.ids import new_id
from userimages.keys import staging_key
from userimages.lifecycle import transfer
from userimages.model import Intent, TransferReport
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.repositories.tables import metadata
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor
from userimages.testing.faults import before, faulty

Make = Callable[[str], SQLAlchemyRepository]
NOW = datetime.now(UTC)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return a function that makes a repository on an empty database of one kind."""
    made: list[SQLAlchemyRepository] = []

    def new(kind: str) -> SQLAlchemyRepository:
        postgresql = kind == "postgresql"
        url = request.getfixturevalue("new_database")() if postgresql else f"sqlite:///{tmp_path}/{len(made)}.db"
        made.append(SQLAlchemyRepository(url))
        made[-1].create_schema()
        return made[-1]

    yield new
    for each in made:
        each.close()


def fill(repository: Any) -> MemoryStorage:
    """Leave every kind of row: primaries of both rules, meta, keys, work in hand, an upload that was cut off."""
    storage = MemoryStorage()
    images = ImageService(storage, repository, processor=instant_processor)
    per_type = ImageService(storage, repository, processor=instant_processor, primary_per_type=True)
    for number in range(5):
        user, facts = f"user é {number}", {"caption": f"No. {number} \N{CAT}", "meta": {"alt": "ä", "n": [1, None]}}
        images.upload(user, b"%d" % number, image_type="profile", is_primary=number % 2 == 0, **facts)
        per_type.upload(user, b"%d" % number, image_type="cover", is_primary=True, idempotency_key=f"k{number}")
        images.upload(user, b"old", image_type="gallery", uploaded_at=datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=UTC))
    dying = ImageService(storage, faulty(repository, publish=before(KeyboardInterrupt())), processor=instant_processor)
    with pytest.raises(KeyboardInterrupt):
        dying.upload("ana", b"cut off", image_type="cover", idempotency_key="again")
    unable = ImageService(faulty(storage, delete=before(KeyboardInterrupt())), repository)
    with pytest.raises(KeyboardInterrupt):
        unable.delete(images.list("user é 4")[0].id)
    return storage


def rows(repository: SQLAlchemyRepository) -> dict[str, list[Any]]:
    """Return every row of every table, in an order of its own."""
    engine = create_engine(repository._database.url)
    with engine.connect() as connection:
        found = {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.tables.values()
        }
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("source", "target"),
    [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite"), ("postgresql", "postgresql")],
)
def test_every_row_is_moved(make: Make, source: str, target: str) -> None:
    """Ids, dates, keys, primaries, intents and the id of the database; a second time finds them equal."""
    old, new = make(source), make(target)
    storage = fill(old)
    assert old.database_id() != new.database_id()
    assert transfer.copy_records(old, new) == TransferReport(copied=14)
    assert rows(old) == rows(new)
    assert min(map(len, rows(new).values())) >= 1
    assert transfer.copy_records(old, new) == TransferReport(present=14)

    moved = ImageService(storage, new, processor=instant_processor, clock=lambda: NOW + timedelta(hours=1))
    assert moved.upload("user é 1", b"1", image_type="cover", idempotency_key="k1") in moved.list("user é 1")
    report = moved.audit()
    assert (report.images, report.foreign, report.unknown, report.missing, report.orphans) == (14, 0, 0, (), ())
    assert len({found.key.rpartition("_")[2][:6] for found in storage.list()}) == 1


def test_a_ticket_is_finished_on_the_other_side(make: Make) -> None:
    """What a browser uploads directly while the records move becomes an image, and the sweep deletes what is staged."""
    old, new = make("sqlite"), make("sqlite")
    storage, signer = MemoryStorage(), UrlSigner(["a-key-of-at-least-32-characters-1234"])
    before_it = ImageService(storage, old, processor=instant_processor, signer=signer)
    used, unused = (before_it.begin_upload("ana", size_bytes=3, mime_type="image/png") for _ in range(2))
    for ticket in (used, unused):
        storage.put(staging_key("ana", ticket.id), b"cat", mime_type="image/png")
    transfer.copy_records(old, new)
    after_it = ImageService(storage, new, processor=instant_processor, signer=signer)
    assert after_it.finish_upload("ana", used.id, image_type="cover").id == used.id
    for hours in (1, 3):
        then = NOW + timedelta(hours=hours)
        ImageService(storage, new, clock=lambda then=then: then).sweep()
    assert (new.list_intents(), list(storage.list("staging/"))) == ((), [])
    assert len(list(storage.list())) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_more_rows_than_a_batch(make: Make, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read and written in batches, so that no more of them are in memory."""
    monkeypatch.setattr(transfer, "_BATCH", 3)
    monkeypatch.setattr("userimages.repositories.records._AT_ONCE", 2)
    old, new = make(kind), make("sqlite")
    fill(old)
    transfer.copy_records(old, new)
    assert rows(old) == rows(new)


def test_an_empty_database_gives_its_id(make: Make) -> None:
    """An empty database gives its id."""
    old, new = make("sqlite"), make("sqlite")
    assert transfer.copy_records(old, new) == TransferReport()
    assert old.database_id() == new.database_id()


@pytest.mark.parametrize("table", ["images", "intents"])
def test_a_target_with_other_records_is_refused(make: Make, table: str) -> None:
    """A target with other records is refused."""
    old, new = make("sqlite"), make("sqlite")
    fill(old)
    if table == "images":
        ImageService(MemoryStorage(), new, processor=instant_processor).upload("ben", b"x", image_type="cover")
    else:
        new.begin_upload(Intent(id=new_id(NOW), user="ben", object_keys=("x",), lease_until=NOW), now=NOW)
    held = rows(new)
    message = "The target holds records of another database, so nothing was copied. Use an empty database."
    with pytest.raises(ConfigurationError, match=message):
        transfer.copy_records(old, new)
    assert rows(new) == held


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE userimages_images SET caption = 'x' WHERE id = (SELECT max(id) FROM userimages_images)", "images"),
        ("DELETE FROM userimages_primaries WHERE scope = 'cover'", "primaries"),
        ("DELETE FROM userimages_intents", "intents"),
    ],
    ids=["images", "primaries", "intents"],
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_difference_is_told(make: Make, change: str, table: str, side: str) -> None:
    """What was written to either of them since then, down to the last row."""
    old, new = make("sqlite"), make("sqlite")
    fill(old)
    transfer.copy_records(old, new)
    engine = create_engine((old if side == "source" else new)._database.url)
    with engine.begin() as connection:
        connection.execute(text(change))
    engine.dispose()
    held = rows(new)
    with pytest.raises(ConfigurationError, match=f"its {table} differ") as caught:
        transfer.copy_records(old, new)
    assert caught.value.hint == (
        "If an application has worked on the target since, the move is done. Else it was a trial: "
        "repeat it with an empty database."
    )
    assert rows(new) == held


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("table", ["images", "primaries", "intents", "about"])
def test_nobody_writes_meanwhile(make: Make, kind: str, table: str) -> None:
    """It would be lost. Reading goes on."""
    impatient = {"sqlite": {"timeout": 0.05}, "postgresql": {"options": "-c lock_timeout=50"}}[kind]
    repository = make(kind)
    engine = create_engine(repository._database.url, connect_args=impatient)
    with repository.open_records() as records, engine.connect() as other:
        assert other.execute(text("SELECT database_id FROM userimages_about")).scalar_one() == records.database_id
        with pytest.raises(OperationalError):
            other.execute(text(f"DELETE FROM userimages_{table}"))
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_failure_leaves_the_target_empty(make: Make, kind: str) -> None:
    """A row that the target refuses undoes all that were written."""
    old, new = make("sqlite"), make(kind)
    fill(old)
    empty = rows(new)
    engine = create_engine(new._database.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE UNIQUE INDEX one_lease ON userimages_intents (claimed)"))
    with pytest.raises(UserImagesError):
        transfer.copy_records(old, new)
    assert rows(new) == empty
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX one_lease"))
    engine.dispose()
    assert transfer.copy_records(old, new).copied == 14


def test_a_target_without_tables_says_what_to_do(make: Make, tmp_path: Path) -> None:
    """A target without tables says what to do."""
    old, new = make("sqlite"), SQLAlchemyRepository(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(RepositoryError, match=r"create_schema\(\)"):
        transfer.copy_records(old, new)
    new.close()


def test_a_database_that_others_hold_is_busy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as everywhere; the same database on both sides is such a case."""
    old = make("postgresql")
    monkeypatch.setattr("userimages.repositories.postgresql.PATIENCE", 0.1)
    with pytest.raises(DatabaseBusyError):
        transfer.copy_records(old, old)


@pytest.mark.parametrize("role", ["source", "target"])
def test_records_in_memory_cannot_be_moved(make: Make, role: str) -> None:
    """Records in memory cannot be moved."""
    pair = {"source": make("sqlite"), "target": make("sqlite")} | {role: MemoryRepository()}
    words = f"The {role} is of type MemoryRepository, whose records cannot be moved. Use a SQLAlchemyRepository."
    with pytest.raises(ConfigurationError, match=words):
        transfer.copy_records(**pair)


def test_a_cache_in_front_is_no_hindrance(make: Make) -> None:
    """A cache in front is no hindrance."""
    old, new = make("sqlite"), make("sqlite")
    fill(old)

    class Cache(dict):
        def set(self, key: str, value: Any, timeout: int) -> None:
            self[key] = value

    assert transfer.copy_records(CachingRepository(old, Cache()), CachingRepository(new, Cache())).copied == 14


def test_every_table_is_moved() -> None:
    """A table that is added one day must not be forgotten here."""
    moved = {f"userimages_{name}" for name in (*transfer.TABLES, "about")}
    assert moved == set(metadata.tables)
