"""What the costliest files do when many come at once: python benchmarks/crowd.py

1. Six of them, sent at once to the demo under gunicorn, while another client asks for a list ten times a second.
2. Large pictures of each format in 32 threads of one process: the most memory that it holds, over its start.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from userimages.errors import UserImagesError
from userimages.processing import Limits, PillowProcessor
from userimages.testing import make_image

ROOT = Path(__file__).parents[1]
PORT = 8765
THREADS, UPLOADS = 32, 6


def animation(format="GIF", frames=25, side=1000):
    """Return an animation of as many pixels as are allowed, in few colors, so that its file is small enough."""
    drawn = [Image.open(io.BytesIO(make_image("PNG", (side, side), seed=n))).quantize(16) for n in range(frames)]
    file = io.BytesIO()
    drawn[0].save(file, format, save_all=True, append_images=drawn[1:], duration=40)
    return file.getvalue()


FILES = {
    "JPEG 48 MP": lambda: make_image("JPEG", (8000, 6000), quality=60),
    "JPEG 24 MP progressive": lambda: make_image("JPEG", (6000, 4000), quality=60, progressive=True),
    "PNG 25 MP": lambda: make_image("PNG", (5000, 5000), mode="L"),
    "WebP 25 MP": lambda: make_image("WEBP", (5000, 5000), quality=40),
    "GIF, 25 frames of 1 MP": animation,
    "APNG, 25 frames of 1 MP": lambda: animation("PNG"),
}


def form(data):
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("username", "ana"), ("image_type", "gallery"))
    )
    part = 'Content-Disposition: form-data; name="image"; filename="a"\r\nContent-Type: image/jpeg'
    return f"{fields}--x\r\n{part}\r\n\r\n".encode() + data + b"\r\n--x--\r\n"


def asked(path, data=None):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data)
    if data:
        request.add_header("Content-Type", "multipart/form-data; boundary=x")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as exc:
        return exc.code


def six_at_once(name, data):
    """Print how long the slowest answer to somebody else took meanwhile."""
    waits, body = [], form(data)
    began = time.perf_counter()
    with ThreadPoolExecutor(UPLOADS) as pool:
        uploads = [pool.submit(asked, "/api/upload_user_image/", body) for _ in range(UPLOADS)]
        while not all(each.done() for each in uploads):
            asking = time.perf_counter()
            assert asked("/api/user_images/ana/?limit=1") == 200
            waits.append(time.perf_counter() - asking)
            time.sleep(0.1)
    statuses = sorted({each.result() for each in uploads})
    took = time.perf_counter() - began
    print(f"| {name} | {took:.1f} s, {statuses} | {max(waits) * 1000:.0f} ms |", flush=True)


def under_gunicorn(files):
    command = [sys.executable, "-m", "gunicorn", "--workers=1", "--threads=16", f"--bind=127.0.0.1:{PORT}"]
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {"USERIMAGES_DATA_DIR": folder, "USERIMAGES_EXAMPLE_OPEN": "1"}
        process = subprocess.Popen(
            [*command, "examples.flask_app:create_app()"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
        )
        try:
            while True:
                try:
                    asked("/api/user_images/ana/?limit=1")
                    break
                except OSError:
                    time.sleep(0.1)
            print(
                f"| {UPLOADS} at once | all are answered after | the slowest answer to another client |\n|---|---|---|"
            )
            for name, data in files.items():
                six_at_once(name, data)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def status(name):
    """Return a line of what Linux says of this process, in KiB."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(name)]
    return int(line.split()[1])


def memory(path):
    """Print the most memory that this process holds beyond its start, in MiB, and how it ended for each thread."""
    data = Path(path).read_bytes()
    processor = PillowProcessor(limits=Limits(wait_seconds=600))
    processor(make_image("JPEG", (64, 64)), "gallery")
    before = status("VmRSS")
    outcomes = set()

    def work():
        try:
            processor(data, "gallery")
            outcomes.add("stored")
        except UserImagesError as exc:
            outcomes.add(exc.code)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(json.dumps([(status("VmHWM") - before) / 1024, sorted(outcomes)]))


def main():
    files = {name: make() for name, make in FILES.items()}
    under_gunicorn(files)
    print(f"\n| {THREADS} threads | peak beyond the start | outcome |\n|---|---|---|")
    for name, data in files.items():
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            done = subprocess.run([sys.executable, __file__, file.name], capture_output=True, text=True, check=True)
        peak, outcomes = json.loads(done.stdout)
        print(f"| {name}, {len(data) / 1e6:.1f} MB | {peak:.0f} MiB | {', '.join(outcomes)} |", flush=True)


if __name__ == "__main__":
    memory(sys.argv[1]) if len(sys.argv) > 1 else main()
