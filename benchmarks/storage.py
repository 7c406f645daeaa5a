"""What it costs to put the five objects of one image into a store that answers after 30 ms.

The store is a stub in its own process. It waits before every answer, and once more if the client asks with
``Expect: 100-continue`` whether it may send. Run ``python benchmarks/storage.py`` on a quiet machine.
"""

import multiprocessing
import os
import statistics
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from userimages.lifecycle.upload import put_objects
from userimages.model import Rendition
from userimages.storages.r2 import R2Storage, _without_expect

SIZES = (2_000_000, 450_000, 42_000, 9_000, 1_000)
DELAY = 0.030
ROUNDS = 9


class Store(BaseHTTPRequestHandler):
    """A store that accepts everything, after a delay."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_expect_100(self):
        time.sleep(DELAY)
        return super().handle_expect_100()

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(DELAY)
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(port):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    port.send(server.server_port)
    server.serve_forever()


def storage_at(port):
    return R2Storage(
        account_id="stub",
        access_key_id="key",
        secret_access_key="secret",
        bucket_name="stub",
        endpoint_url=f"http://127.0.0.1:{port}",
    )


def one_by_one(storage, objects):
    for key, each in objects.items():
        storage.put(key, each.data, mime_type=each.mime_type)


def milliseconds(put, storage, objects):
    """Return the median of some rounds, after one that opens the connections."""
    put(storage, objects)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        failed = put(storage, objects)
        times.append((time.perf_counter() - began) * 1000)
        assert not failed, failed
    return statistics.median(times)


def main():
    here, there = multiprocessing.Pipe()
    store = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    store.start()
    try:
        port = here.recv()
        objects = {f"users/ana/images/{size}.webp": Rendition(os.urandom(size), 1, 1, "image/webp") for size in SIZES}
        ours, asking = storage_at(port), storage_at(port)
        asking.client.meta.events.unregister("before-send.s3.PutObject", _without_expect)
        figures = {
            "one by one, asking first (Expect)": milliseconds(one_by_one, asking, objects),
            "one by one": milliseconds(one_by_one, ours, objects),
            "side by side, asking first (Expect)": milliseconds(put_objects, asking, objects),
            "side by side, as userimages does": milliseconds(put_objects, ours, objects),
        }
    finally:
        store.kill()
    first, *_, last = figures.values()
    for name, figure in figures.items():
        print(f"{name:38} {figure:7.1f} ms   {first / figure:4.1f}x")
    print(f"limit (one answer)                     {DELAY * 1000:7.1f} ms   ours is {last / DELAY / 1000:.2f} of it")
    print(f"put of 5 objects, boto3 one by one / ours: {first / last:.1f} (goal: at least 7)")


if __name__ == "__main__":
    main()
