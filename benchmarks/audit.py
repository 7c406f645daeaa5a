"""What an audit needs: time and memory at 10,000, 100,000 and 1,000,000 objects, on disk and SQLite.

Four objects an image, five images a user. Each audit runs in a process of its own, whose peak memory is shown. A second
one reads one object in a hundred, and a third runs after a tenth of the records were lost, so that its report is long.
Run ``python benchmarks/audit.py``, or with other counts behind it. A million needs a million names in the file system,
and a quarter of an hour.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

SIZES = (10_000, 100_000, 1_000_000)
BYTES = b"meow"
LINKS = 10_000  # to one file, because a file system allows only so many
VARIANTS = (320, 640, 1280)
USER_IMAGES = 5
LIMIT_MB = 200


def service(folder):
    from userimages import ImageService
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    from userimages.storages.disk import DiskStorage

    return ImageService(DiskStorage(folder / "objects"), SQLAlchemyRepository(f"sqlite:///{folder}/images.sqlite3"))


def fill(folder, objects):
    """Write the records and the files of *objects* objects: the files are links to a few, so that they cost no room."""
    from sqlalchemy import create_engine, insert

    from userimages.ids import new_id
    from userimages.keys import new_stem, object_key, owner_of
    from userimages.model import Meta, Variant, Variants
    from userimages.repositories import tables

    images = service(folder)
    images.repository.create_schema()
    owner = owner_of(images.repository.database_id())
    began, sha256 = datetime(2024, 1, 1, tzinfo=UTC), hashlib.sha256(BYTES).hexdigest()
    engine, rows, made = create_engine(f"sqlite:///{folder}/images.sqlite3"), [], 0
    while made < objects:
        number = made // (1 + len(VARIANTS))
        user, at = f"user-{number // USER_IMAGES}", began + timedelta(seconds=number)
        stem = new_stem(user, "gallery", at, owner)
        key = object_key(stem, "image/jpeg")
        variants = {
            str(width): Variant(
                object_key(stem, "image/jpeg", str(width)), width, width, len(BYTES), "image/jpeg", sha256
            )
            for width in VARIANTS
        }
        for each in (key, *(variant.key for variant in variants.values())):
            file = folder / "objects" / each
            if made % LINKS == 0:
                source = folder / f"{made}.jpg"
                source.write_bytes(BYTES)
                os.utime(source, (0, began.timestamp()))
            if each == key and number % USER_IMAGES == 0:
                file.parent.mkdir(parents=True)
            os.link(source, file)
            made += 1
        facts = {"id": new_id(at), "user": user, "image_type": "gallery", "caption": "", "meta": Meta()}
        facts |= {"uploaded_at": at, "key": key, "width": 1920, "height": 1920, "size_bytes": len(BYTES)}
        facts |= {"stored_bytes": 4 * len(BYTES), "mime_type": "image/jpeg", "sha256": sha256, "placeholder": ""}
        facts |= {"frames": 1, "variants": Variants(variants), "recipe": "", "idempotency_key": None}
        rows.append(facts | {"input_sha256": sha256})
        if len(rows) == 10_000 or made >= objects:
            with engine.begin() as connection:
                connection.execute(insert(tables.images), rows)
            rows.clear()
    engine.dispose()


def lose_records(folder):
    """Delete one record in ten, as a restore of an older backup does."""
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{folder}/images.sqlite3")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM userimages_images WHERE rowid % 10 = 0"))
    engine.dispose()


def audit(folder, verify):
    """Audit in this process, and print what it saw, the seconds, those of the CPU, and the peak of memory in MB."""
    images = service(Path(folder))
    began, cpu = time.perf_counter(), time.process_time()
    report = images.audit(verify=float(verify), progress=lambda seen: None)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    wrong = len(report.missing) + len(report.damaged) + report.foreign + report.unknown
    assert wrong == 0, f"The audit of a healthy store finds {wrong} differences."
    print(report.objects, len(report.orphans), seconds, cpu, peak_mb())


def peak_mb():
    """Return the peak of this process. Linux tells it apart from that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def measured(folder, verify):
    command = [sys.executable, __file__, "--audit", str(folder), str(verify)]
    return map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def main(sizes):
    before = {}
    print(f"{'audit':<25}{'objects':>10}{'orphans':>9}{'seconds':>9}{'CPU us/object':>15}{'ratio':>7}{'peak MB':>9}")
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            fill(folder, size)
            for name, verify in (("nothing read", 0), ("one in a hundred read", 0.01), ("a tenth of records lost", 0)):
                if name.startswith("a tenth"):
                    lose_records(folder)
                objects, orphans, seconds, cpu, peak = measured(folder, verify)
                each = cpu / objects * 1e6
                ratio = f"{each / before[name]:.2f}" if name in before else ""
                before[name] = each
                line = f"{name:<25}{objects:>10,.0f}{orphans:>9,.0f}{seconds:>9.1f}{each:>15.0f}{ratio:>7}{peak:>9.0f}"
                print(line, flush=True)
                assert peak < LIMIT_MB, f"The peak of {peak:.0f} MB is over {LIMIT_MB} MB."
    print("ratio: the time for one object, over that of the row of the same name before it; 1 is in proportion.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--audit"]:
        audit(*sys.argv[2:])
    else:
        main([int(each) for each in sys.argv[1:]] or SIZES)
