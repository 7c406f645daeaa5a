"""Direct upload: a ticket, one PUT past the application, and a finish that trusts nothing."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import pytest
import requests

from userimages import (
    ConfigurationError,
    ConflictError,
    FileTooLargeError,
    ImageNotFoundError,
    ImageService,
    InvalidFieldError,
    KeyTakenError,
    ObjectNotFoundError,
    RejectedImageError,
    StorageError,
    UnsupportedFormatError,
)
from userimages.errors import TicketNotFoundError
from userimages.ids import instant_of, new_id
from userimages.keys import STAGING_PREFIX, staging_prefix
from userimages.lifecycle.tickets import check_origin
from userimages.model import ProcessedImage, SweepReport, Ticket
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage
from userimages.testing import faulty, instant_processor, make_image
from userimages.testing.faults import Call, before

SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])
CAT = b"meow" * 300
DIGEST = hashlib.sha256(CAT).hexdigest()


@attrs.define
class Clock:
    """The present, moved on by a test."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def direct(images: ImageService, clock: Clock) -> Iterator[ImageService]:
    """Give a service on each pair of backends in turn, with a signer and a clock that a test can move."""
    made = ImageService(images.storage, images.repository, processor=images.processor, signer=SIGNER, clock=clock)
    yield made
    sweep_all(made, clock)  # other tests share the database, and look for work in hand


@pytest.fixture
def memory(clock: Clock, tiny_processor) -> ImageService:
    return ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, signer=SIGNER, clock=clock)


def begin(images: ImageService, user: str, data: bytes = CAT, **more: object) -> Ticket:
    return images.begin_upload(user, **{"size_bytes": len(data), "mime_type": "image/jpeg", **more})


def put(images: ImageService, ticket: Ticket, data: bytes = CAT) -> int:
    """Do what a browser does, and return the status."""
    if ticket.url.startswith("http"):
        return requests.put(ticket.url, data=data, headers=ticket.headers, timeout=30).status_code
    allowed = images.allowed_put(ticket.id, urlsplit(ticket.url).query)
    if allowed is None:
        return 403
    try:
        images.put_staged(allowed, io.BytesIO(data))
    except KeyTakenError:
        return 412
    except InvalidFieldError:
        return 400
    return 200


def staged(images: ImageService, user: str) -> list[str]:
    return [found.key for found in images.storage.list(staging_prefix(user))]


def sweep_all(images: ImageService, clock: Clock) -> None:
    """Let both visits of the sweep come due."""
    for _ in range(2):
        clock.ahead += timedelta(hours=2)
        images.sweep()


@pytest.mark.contract("C37")
def test_what_was_put_becomes_an_image(direct: ImageService, user: str, clock: Clock) -> None:
    """It has the id and the instant of the ticket; what was staged stays until the sweep takes it."""
    ticket = begin(direct, user, sha256=DIGEST)
    assert put(direct, ticket) == 200
    image = direct.finish_upload(user, ticket.id, image_type="gallery", caption="My cat", is_primary=True)

    assert (image.id, image.uploaded_at) == (ticket.id, instant_of(ticket.id))
    assert (image.caption, image.is_primary, image.user) == ("My cat", True, user)
    with direct.open(image.id) as stream:
        assert stream.read() == CAT
    assert len(staged(direct, user)) == 1
    sweep_all(direct, clock)
    assert staged(direct, user) == []
    assert [each.id for each in direct.list(user)] == [image.id]
    with direct.open(image.id) as stream:
        assert stream.read() == CAT


@pytest.mark.contract("C37")
def test_finishing_twice_gives_the_same_image(direct: ImageService, user: str) -> None:
    """Also as a string, also with other arguments: the first answer counts."""
    ticket = begin(direct, user)
    put(direct, ticket)
    first = direct.finish_upload(user, ticket.id, image_type="gallery")

    assert direct.finish_upload(user, str(ticket.id), image_type="cover").id == first.id
    assert len(direct.list(user)) == 1


def test_many_finishes_at_once_make_one_image(memory: ImageService) -> None:
    """The others get it too, or hear that one is at work."""
    ticket = begin(memory, "ana")
    put(memory, ticket)

    def finish(_: int) -> object:
        with suppress(ConflictError):
            return memory.finish_upload("ana", ticket.id, image_type="gallery").id
        return "busy"

    with ThreadPoolExecutor(20) as pool:
        outcomes = set(pool.map(finish, range(50)))
    assert outcomes <= {ticket.id, "busy"}
    assert ticket.id in outcomes
    assert len(memory.list("ana")) == 1
    assert len([*memory.storage.list("users/ana/")]) == 3


def test_what_was_not_put_is_not_found(direct: ImageService, user: str) -> None:
    """Nothing there, an id of nobody's, another user's, and an id that is no ticket's."""
    ticket = begin(direct, user)
    for id in (ticket.id, new_id(datetime.now(UTC)), uuid4()):
        with pytest.raises(TicketNotFoundError) as refusal:
            direct.finish_upload(user, id, image_type="gallery")
        assert refusal.value.code == "ticket_not_found"
        if id == ticket.id:
            assert refusal.value.message == "Nothing was uploaded for this ticket."
            assert refusal.value.hint == "PUT the file to ticket.url first, as the same user."
    put(direct, ticket)
    with pytest.raises(TicketNotFoundError):
        direct.finish_upload(f"{user}x", ticket.id, image_type="gallery")
    assert issubclass(TicketNotFoundError, ImageNotFoundError)


@pytest.mark.parametrize(("minutes", "found"), [(29, True), (31, False)])
def test_a_ticket_lives_for_half_an_hour(memory: ImageService, clock: Clock, minutes: int, found: bool) -> None:
    """After that the sweep may be deleting what was put, so it is not read any more."""
    ticket = begin(memory, "ana")
    put(memory, ticket)
    clock.ahead = timedelta(minutes=minutes)

    if found:
        assert memory.finish_upload("ana", ticket.id, image_type="gallery").id == ticket.id
    else:
        with pytest.raises(TicketNotFoundError):
            memory.finish_upload("ana", ticket.id, image_type="gallery")


@pytest.mark.parametrize("used", [False, True])
def test_an_abandoned_ticket_leaves_nothing(direct: ImageService, user: str, clock: Clock, used: bool) -> None:
    """Whether something was put or not, the sweep ends it."""
    ticket = begin(direct, user)
    if used:
        put(direct, ticket)
    sweep_all(direct, clock)

    assert staged(direct, user) == []
    assert direct.sweep() == SweepReport(0, 0, 0)


def test_a_second_put_is_refused_also_after_finish(direct: ImageService, user: str, clock: Clock) -> None:
    """The staged object itself refuses it, and after the sweep nothing is left."""
    ticket = begin(direct, user)
    other = CAT[::-1]
    assert [put(direct, ticket), put(direct, ticket, other)] == [200, 412]
    image = direct.finish_upload(user, ticket.id, image_type="gallery")
    assert put(direct, ticket, other) == 412
    with direct.open(image) as stream:
        assert stream.read() == CAT
    sweep_all(direct, clock)
    assert staged(direct, user) == []


@pytest.mark.parametrize("way", ["delete", "delete_user", "replace"])
def test_a_deleted_picture_does_not_come_back(direct: ImageService, user: str, clock: Clock, way: str) -> None:
    """A client that repeats its last requests gets 404, and what it has put again is swept."""
    ticket = begin(direct, user)
    put(direct, ticket)
    direct.finish_upload(user, ticket.id, image_type="gallery")
    if way == "replace":
        direct.upload(user, b"new", image_type="gallery", replace=True)
    else:
        getattr(direct, way)(ticket.id if way == "delete" else user)
        assert staged(direct, user) == []

    for _ in range(2):
        with pytest.raises(TicketNotFoundError):
            direct.finish_upload(user, ticket.id, image_type="gallery")
        assert put(direct, ticket) in (200, 412)  # late, or again
    assert len(staged(direct, user)) == 1
    assert ticket.id not in {each.id for each in direct.list(user)}
    sweep_all(direct, clock)
    assert staged(direct, user) == []


def test_what_is_deleted_meanwhile_stays_away(memory: ImageService) -> None:
    """A finish that has read the staged bytes already cannot publish what another one made and somebody deleted."""
    ticket = begin(memory, "ana")
    put(memory, ticket)

    def finish_and_delete(call: Call) -> object:
        first = ImageService(memory.storage, repository, processor=memory.processor, signer=SIGNER)
        first.delete(first.finish_upload("ana", ticket.id, image_type="gallery").id)
        return call.do()

    repository = memory.repository
    memory.repository = faulty(repository, begin_upload=finish_and_delete)
    with pytest.raises(ConflictError):
        memory.finish_upload("ana", ticket.id, image_type="gallery")
    assert len(memory.list("ana")) == 0
    assert [*memory.storage.list()] == []


def test_a_user_leaves_nothing_staged(direct: ImageService, user: str) -> None:
    """Finished or not, all of it goes, and nothing of another user."""
    kept = begin(direct, f"{user}x")
    put(direct, kept)
    for finish in (True, False):
        ticket = begin(direct, user)
        put(direct, ticket)
        if finish:
            direct.finish_upload(user, ticket.id, image_type="gallery")
    direct.delete_user(user)

    assert staged(direct, user) == []
    assert len(staged(direct, f"{user}x")) == 1
    direct.delete_user(f"{user}x")


@pytest.mark.parametrize(
    ("data", "sha256"),
    [
        pytest.param(CAT + b"!", None, id="longer"),
        pytest.param(CAT[:-1], None, id="shorter"),
        pytest.param(b"", None, id="empty"),
        pytest.param(CAT[::-1], DIGEST, id="another digest"),
    ],
)
def test_what_was_not_announced_is_not_stored(direct: ImageService, user: str, data: bytes, sha256: str | None) -> None:
    """Neither by a store that checks what was signed nor by our own route."""
    ticket = begin(direct, user, sha256=sha256)

    assert put(direct, ticket, data) in (400, 403)
    assert staged(direct, user) == []


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(query: str) -> str:
        other = query.replace(old, new, 1)
        assert other != query
        return other

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(changed("to=ana", "to=ben"), id="another user"),
        pytest.param(changed("size=1200", "size=1201"), id="another size"),
        pytest.param(changed("jpeg", "png"), id="another type"),
        pytest.param(changed(DIGEST[:9], "0" * 9), id="another digest"),
        pytest.param(changed("expires=1", "expires=2"), id="a later end"),
        pytest.param(changed("verify=1", "verify=2"), id="another time"),
        pytest.param(lambda query: query[:-1], id="a cut token"),
        pytest.param(lambda query: f"{query}&size=1", id="a second size"),
        pytest.param(lambda query: f"size=1&{query}", id="a size before"),
        pytest.param(lambda query: query.partition("&verify")[0], id="no token"),
        pytest.param(changed("size=1200", "size=x"), id="no number"),
        pytest.param(lambda query: "", id="nothing"),
        pytest.param(changed("to=", "to=\udcff"), id="a lone surrogate"),
        pytest.param(lambda query: f"{query}\udcff", id="a lone surrogate in the token"),
    ],
)
def test_a_changed_url_allows_nothing(memory: ImageService, change: Callable[[str], str]) -> None:
    """Every part of the URL of our own route is signed."""
    ticket = begin(memory, "ana", sha256=DIGEST)
    query = urlsplit(ticket.url).query

    assert memory.allowed_put(ticket.id, query) is not None
    assert memory.allowed_put(ticket.id, change(query)) is None
    assert memory.allowed_put(new_id(datetime.now(UTC)), query) is None


def test_a_token_of_an_image_allows_no_put(memory: ImageService) -> None:
    """They are signed by the same keys, for other paths."""
    image = memory.upload("ana", CAT, image_type="gallery")
    token = image.url.rpartition("=")[2]
    query = urlsplit(begin(memory, "ana").url).query.rpartition("=")[0]

    assert memory.allowed_put(image.id, f"{query}={token}") is None


def test_a_url_ends_after_ten_minutes(memory: ImageService, clock: Clock) -> None:
    """Also if the body began in time and ended later, because it would land after the sweep."""
    ticket = begin(memory, "ana")
    assert timedelta(minutes=9) < ticket.expires_at - clock() <= timedelta(minutes=10)
    allowed = memory.allowed_put(ticket.id, urlsplit(ticket.url).query)
    clock.ahead = timedelta(minutes=10)

    assert put(memory, ticket) == 403
    with pytest.raises(InvalidFieldError, match="expired"):
        memory.put_staged(allowed, io.BytesIO(CAT))
    assert staged(memory, "ana") == []


def test_a_route_may_name_a_ticket_in_its_query(memory: ImageService, clock: Clock) -> None:
    """And the signer of images may have windows that are shorter than a URL for a PUT lives."""
    short = UrlSigner(SIGNER.keys, window=timedelta(minutes=1))
    images = ImageService(memory.storage, memory.repository, signer=short, staged_url="/put?ticket={id}", clock=clock)
    ticket = begin(images, "ana")
    assert ticket.url.startswith(f"/put?ticket={ticket.id}&to=ana&size={len(CAT)}&")
    clock.ahead += timedelta(minutes=9)
    query = urlsplit(ticket.url).query.partition("&")[2]  # what a framework took for its own is not in it
    assert images.allowed_put(ticket.id, query)


@pytest.mark.parametrize("more", [0, 1])
def test_what_is_staged_is_read_up_to_its_limit(clock: Clock, more: int) -> None:
    """And one byte past it, by which it is too large."""

    class Limited:
        image_types, max_bytes = ("gallery",), len(CAT)

        def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
            assert data == CAT
            return instant_processor(data, image_type)

    asked: list[object] = []
    storage = faulty(MemoryStorage(), open=lambda call: asked.append(call.kwargs.get("length")) or call.do())
    images = ImageService(storage, MemoryRepository(), processor=Limited(), signer=SIGNER, clock=clock)
    ticket = begin(images, "ana")
    images.storage.put(f"{staging_prefix('ana')}{ticket.id}", CAT + b"!" * more, mime_type="image/jpeg")
    if more:
        with pytest.raises(FileTooLargeError):
            images.finish_upload("ana", ticket.id, image_type="gallery")
    else:
        assert images.finish_upload("ana", ticket.id, image_type="gallery").size_bytes == len(CAT)
    assert asked[0] == len(CAT) + 1


def test_a_ticket_names_the_headers_of_its_put(memory: ImageService) -> None:
    """A browser sends them as they are."""
    assert begin(memory, "ana").headers == {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize("first", [1, len(CAT), 2**20])
@pytest.mark.parametrize("more", [0, 1])
def test_a_body_that_comes_in_pieces_is_counted(memory: ImageService, first: int, more: int) -> None:
    """Also one whose first piece is all that was announced. No more than a byte past that is asked for."""
    data, asked = CAT * (first // len(CAT) + 1), []

    class Pieces(io.BytesIO):
        def read(self, size: int = -1, /) -> bytes:
            asked.append(size)
            return super().read(min(size, first))

    ticket = begin(memory, "ana", data)
    allowed = memory.allowed_put(ticket.id, urlsplit(ticket.url).query)
    if more:
        with pytest.raises(InvalidFieldError, match=f"more than the {len(data):,} bytes"):
            memory.put_staged(allowed, Pieces(data + b"!"))
        assert staged(memory, "ana") == []
    else:
        memory.put_staged(allowed, Pieces(data))
        with memory.storage.open(staged(memory, "ana")[0]) as stream:
            assert stream.read() == data
    assert max(asked) <= min(2**20, len(data) + 1)


def test_a_page_that_calls_itself_a_picture_is_refused(clock: Clock) -> None:
    """The bytes decide, as in any upload; the type that was announced is only what the URL binds."""
    images = ImageService(MemoryStorage(), MemoryRepository(), signer=SIGNER, clock=clock)
    page = b"<!doctype html><script>alert(1)</script>"
    ticket = begin(images, "ana", page)
    put(images, ticket, page)

    with pytest.raises(RejectedImageError):
        images.finish_upload("ana", ticket.id, image_type="gallery")
    sweep_all(images, clock)
    assert [*images.storage.list()] == []


def test_a_real_picture_is_encoded_anew(clock: Clock) -> None:
    """Finish does all that upload does: no byte of what was put is kept."""
    images = ImageService(MemoryStorage(), MemoryRepository(), signer=SIGNER, clock=clock)
    photo = make_image("JPEG", (640, 480), gps=True)
    ticket = begin(images, "ana", photo)
    put(images, ticket, photo)
    image = images.finish_upload("ana", ticket.id, image_type="gallery")

    with images.open(image) as stream:
        data = stream.read()
    assert data != photo
    assert b"Exif" not in data


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"size_bytes": 0}, InvalidFieldError),
        ({"size_bytes": -1}, InvalidFieldError),
        ({"size_bytes": "12"}, InvalidFieldError),
        ({"size_bytes": True}, InvalidFieldError),
        ({"size_bytes": 10 * 2**20 + 1}, FileTooLargeError),
        ({"mime_type": "image/svg+xml"}, UnsupportedFormatError),
        ({"mime_type": "text/html"}, UnsupportedFormatError),
        ({"mime_type": "image/jpeg\r\nx: y"}, UnsupportedFormatError),
        ({"mime_type": ""}, UnsupportedFormatError),
        ({"sha256": "00"}, InvalidFieldError),
        ({"sha256": DIGEST.upper()}, InvalidFieldError),
    ],
)
def test_what_cannot_be_uploaded_gets_no_ticket(memory: ImageService, facts: dict[str, object], error: type) -> None:
    """Size, type and digest are judged before anything is signed or recorded."""
    with pytest.raises(error):
        begin(memory, "ana", **facts)
    assert not memory.repository.claim_expired(datetime.now(UTC) + timedelta(days=1), limit=9)


def test_without_a_way_to_sign_there_is_no_ticket() -> None:
    """The error says what to set; nothing is recorded."""
    images = ImageService.in_memory()
    with pytest.raises(ConfigurationError, match="USERIMAGES_SIGNING_KEYS"):
        begin(images, "ana")
    assert not images.repository.claim_expired(datetime.now(UTC) + timedelta(days=1), limit=9)


def test_a_public_bucket_needs_a_second_one() -> None:
    """What browsers put there is raw, with the place where a photo was taken in it."""
    bucket = {"account_id": "0" * 32, "access_key_id": "id", "secret_access_key": "secret", "bucket_name": "pictures"}
    public = ImageService(R2Storage(**bucket, public_url="img.example.com"), MemoryRepository())
    with pytest.raises(ConfigurationError, match="R2_STAGING_BUCKET_NAME"):
        begin(public, "ana")
    staging = R2Storage(**bucket, public_url="img.example.com", staging_bucket_name="raw")
    ticket = begin(ImageService(staging, MemoryRepository()), "ana")
    assert urlsplit(ticket.url).path == f"/raw/staging/ana/{ticket.id}"


@pytest.mark.parametrize(
    "storage",
    [
        lambda path: MemoryStorage(public_url="https://img.example.com"),
        lambda path: DiskStorage(path, public_url="https://img.example.com"),
        lambda path: R2Storage(
            account_id="0" * 32,
            access_key_id="id",
            secret_access_key="secret",
            bucket_name="pictures",
            public_url="img.example.com",
        ),
    ],
    ids=["memory", "disk", "r2"],
)
def test_what_is_staged_has_no_public_url(tmp_path, storage: Callable[[object], object]) -> None:
    """On no storage."""
    assert storage(tmp_path).url(f"{STAGING_PREFIX}ana/x") is None


def test_what_is_staged_is_not_found_in_public(seaweedfs, clock: Clock, tiny_processor) -> None:
    """The public bucket has no staged key, and the other bucket answers nobody who has no signature."""
    raw = f"raw-{uuid4().hex}"
    R2Storage.from_env(seaweedfs.environ()).client.create_bucket(Bucket=raw)
    settings = seaweedfs.environ() | {"R2_PUBLIC_DOMAIN": "img.example.com", "R2_STAGING_BUCKET_NAME": raw}
    storage = R2Storage.from_env(settings)
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor, clock=clock)
    ticket = begin(images, "ana")
    assert put(images, ticket) == 200
    (key,) = staged(images, "ana")
    public = attrs.evolve(storage, staging_bucket_name=None)

    with pytest.raises(ObjectNotFoundError):
        public.open(key)
    assert requests.get(ticket.url.partition("?")[0], timeout=30).status_code == 403
    assert requests.get(ticket.url, timeout=30).status_code == 403  # it is signed for PUT
    assert images.finish_upload("ana", ticket.id, image_type="gallery").url.startswith("https://img.example.com/users/")


def test_a_web_server_cannot_read_what_is_staged(tmp_path, clock: Clock, tiny_processor) -> None:
    """On disk its folder is for the owner alone, as that of temporary files is."""
    images = ImageService(
        DiskStorage(tmp_path), MemoryRepository(), processor=tiny_processor, signer=SIGNER, clock=clock
    )
    put(images, begin(images, "ana"))

    assert (tmp_path / "staging").stat().st_mode & 0o077 == 0


def test_the_rules_of_a_bucket_are_printed() -> None:
    """The headers by name, because R2 wants them so; nothing is set, and our own route needs none."""
    bucket = R2Storage(account_id="0" * 32, access_key_id="id", secret_access_key="secret", bucket_name="raw")
    line = check_origin(bucket, "https://app.example.com")
    cors = json.loads(line.hint.splitlines()[0].removeprefix("CORS policy: "))

    assert line.ok
    assert cors[0]["AllowedHeaders"] == ["content-type", "if-none-match", "x-amz-checksum-sha256"]
    assert (cors[0]["AllowedOrigins"], cors[0]["AllowedMethods"]) == (["https://app.example.com"], ["PUT"])
    assert "staging/" in line.hint
    assert check_origin(MemoryStorage(), "https://app.example.com").hint == ""
    assert not check_origin(bucket, "https://app.example.com/path").ok


def test_a_browser_passes_the_printed_rules(seaweedfs) -> None:
    """A real S3 server with that CORS policy answers the preflight that a browser sends."""
    storage = R2Storage.from_env(seaweedfs.environ())
    origin = "https://app.example.com"
    cors = json.loads(check_origin(storage, origin).hint.splitlines()[0].removeprefix("CORS policy: "))
    storage.client.put_bucket_cors(Bucket=storage.bucket_name, CORSConfiguration={"CORSRules": cors})
    ticket = begin(ImageService(storage, MemoryRepository()), "ana", sha256=DIGEST)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": ",".join(sorted(name.lower() for name in ticket.headers)),
    }
    answer = requests.options(ticket.url, headers=asked, timeout=30)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= allowed
    refused = requests.options(ticket.url, headers=asked | {"Origin": "https://evil.example"}, timeout=30)
    assert "Access-Control-Allow-Origin" not in refused.headers
    storage.client.delete_bucket_cors(Bucket=storage.bucket_name)


def test_an_audit_finds_what_was_forgotten(memory: ImageService) -> None:
    """Staged objects of more than a day are orphans, younger ones are not, and both are counted."""
    put(memory, begin(memory, "ana"))
    old = f"{STAGING_PREFIX}ana/{uuid4()}"
    memory.storage._objects[old] = (b"x", datetime.now(UTC) - timedelta(hours=25))
    report = memory.audit()

    assert ([each.key for each in report.orphans], report.objects) == ([old], 2)
    assert memory.audit(delete=True, max_share=1).deleted == 1
    assert len(staged(memory, "ana")) == 1


def test_a_ticket_that_is_not_recorded_is_not_given(memory: ImageService) -> None:
    """An object never exists without a row that names it, so the row comes first."""
    memory.repository = faulty(memory.repository, begin_upload=before(StorageError("Away.")))
    with pytest.raises(StorageError):
        begin(memory, "ana")


def test_the_instant_of_an_id_can_be_read_back() -> None:
    """To the microsecond, for every fraction of a millisecond."""
    base = datetime(2026, 5, 1, 12, tzinfo=UTC)
    for fraction in range(1000):
        at = base + timedelta(microseconds=fraction)
        assert instant_of(new_id(at)) == at
