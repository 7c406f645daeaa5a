"""What the proofs of reliability share: a clock, a quick processor, the places, and what must hold at any time."""

import contextlib
import hashlib
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import requests

from userimages import ImageRepository, ImageService, KeyTakenError, Processor, Storage, Ticket, UserImage
from userimages.keys import staging_prefix, user_segment
from userimages.model import ProcessedImage
from userimages.signing import UrlSigner
from userimages.testing import instant_processor

TORTURE = bool(os.environ.get("USERIMAGES_TORTURE"))
RUNS = int(os.environ.get("USERIMAGES_TORTURE_RUNS", "2000" if TORTURE else "12"))  # of the state machine
REPOSITORY_METHODS = [
    "begin_upload",
    "publish",
    "get",
    "list",
    "set_primary",
    "update",
    "begin_delete",
    "finish",
    "claim_expired",
    "list_intents",
]
FIGURES: Counter[str] = Counter()
SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])
FAR = datetime(9000, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move on, or back, by hours, minutes ..."""
        self.now += timedelta(**by)


@attrs.frozen
class Place:
    """A database and a store that a proof runs on."""

    name: str
    storage: Storage
    repository: ImageRepository
    url: str
    root: Path | None = None

    def service(self, clock: Clock, processor: Processor = instant_processor) -> ImageService:
        """Make a service here."""
        return service(self.storage, self.repository, clock, processor)


@attrs.frozen
class Recipe:
    """The instant processor by a recipe: what the variants hold is told by its name, which variants by *names*."""

    name: str
    names: tuple[str, ...] = ("64", "256")

    def recipe_id(self, image_type: str) -> str:
        """Return what stands for this recipe."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
        """Make the variants of any bytes."""
        made = instant_processor(data, image_type)
        variants = {
            name: attrs.evolve(made.variants["64"], data=made.main.data + f"{name} {self.name}".encode())
            for name in self.names
        }
        return attrs.evolve(made, variants=variants)


OLD, NEW = Recipe("old"), Recipe("new", ("64", "card"))


def service(storage: Any, repository: Any, clock: Clock, processor: Processor = instant_processor) -> ImageService:
    """Make a service that signs, so that there are direct uploads to every store."""
    return ImageService(storage, repository, processor=processor, clock=clock, signer=SIGNER)


def put_directly(images: ImageService, ticket: Ticket, data: bytes) -> str:
    """Send *data* as a browser does, to the store or to our own route, and tell what became of it."""
    if ticket.url.startswith("http"):
        status = requests.put(ticket.url, data=data, headers=dict(ticket.headers), timeout=30).status_code
        return {200: "stored", 412: "taken"}.get(status, "refused")
    put = images.allowed_put(ticket.id, urlsplit(ticket.url).query)
    if put is None:
        return "refused"
    try:
        images.put_staged(put, io.BytesIO(data))
    except KeyTakenError:
        return "taken"
    return "stored"


def staged(images: ImageService, user: str) -> list[str]:
    """Return the keys of what is staged for *user*."""
    return [found.key for found in images.storage.list(staging_prefix(user))]


def new_user() -> str:
    """Return a user that nobody else has."""
    return f"u.{uuid4().hex[:12]}"


def check_whole(images: ImageService, user: str) -> dict[str, UserImage]:
    """Check what must hold at any time, and return the user's images by id: whole objects, at most one primary."""
    listed = {str(each.id): each for each in everything(images, user)}
    for image in listed.values():
        for part in (image, *image.variants.values()):
            with images.storage.open(part.key) as stream:
                stored = stream.read()
            assert hashlib.sha256(stored).hexdigest() == part.sha256, "a listed image has other bytes"
    assert sum(each.is_primary for each in listed.values()) <= 1, "two primaries"
    return listed


def everything(images: ImageService, user: str) -> list[UserImage]:
    """List all images of a user, page by page."""
    found: list[UserImage] = []
    cursor = None
    while True:
        page = images.list(user, limit=200, cursor=cursor)
        found += page
        if (cursor := page.next_cursor) is None:
            return found


def check_nothing_left(images: ImageService, users: Collection[str], *, root: Path | None = None) -> None:
    """Check what must hold for *users* after the sweeps: no object without a row, no intent, no temporary file."""
    for user in users:
        stored = {found.key for found in images.storage.list(f"users/{user_segment(user)}/")}
        named = {key for image in everything(images, user) for key in image.object_keys}
        assert staged(images, user) == [], "something is left of a direct upload"
        assert stored == named, f"{len(stored - named)} objects without a row, {len(named - stored)} rows without"
    left = [each for each in images.repository.claim_expired(FAR, limit=1000) if each.user in (users or {each.user})]
    assert left == [], "an intent is left"
    if root is not None:
        assert os.listdir(root / ".tmp") == [], "a temporary file is left"


def sweep_twice(images: ImageService, clock: Clock) -> None:
    """Move the clock past the lease, then past the second look, and sweep."""
    clock.move(minutes=16)
    assert images.sweep().failed == 0
    clock.move(hours=2)
    assert images.sweep().failed == 0


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Start all calls together and return what each gave or raised."""
    gate = threading.Barrier(len(calls))

    def caught(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except Exception as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(caught, calls))


def finish(place: Place, clock: Clock, user: str) -> None:
    """Sweep what is left, and see that nothing is."""
    images = place.service(clock)
    check_whole(images, user)
    sweep_twice(images, clock)
    check_whole(images, user)
    check_nothing_left(images, [user], root=place.root)


def new_database(url: str, name: str) -> str:
    """Make an empty database on the server of *url* and return its URL."""
    import psycopg
    from sqlalchemy import make_url

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def wait_until_alone(place: Place) -> None:
    """Wait until the servers have done with what a killed process had asked for."""
    if place.url.startswith("postgresql"):
        import psycopg

        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        with psycopg.connect(place.url, autocommit=True) as connection:
            while connection.execute(f"{others} AND pid <> pg_backend_pid()").fetchone() != (0,):
                time.sleep(0.002)
    if place.root is None:
        port = urlsplit(getattr(place.storage, "endpoint", "")).port
        deadline = time.monotonic() + 10
        while port and _is_serving_the_dead(port) and time.monotonic() < deadline:
            time.sleep(0.002)


def _is_serving_the_dead(port: int) -> bool:
    """Tell whether a server still works for a client that has gone: its side of the connection is in CLOSE_WAIT."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            for line in lines:
                _, local, _, state, *_ = line.split()
                if state == "08" and local.endswith(f":{port:04X}"):
                    return True
    return False


def count(what: str, number: int) -> None:
    """Add to a figure that is printed at the end."""
    FIGURES[what] += number
