"""Uploading: what is stored, in which order, and what is left where a step fails."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from userimages import (
    BrokenImageError,
    ConfigurationError,
    ConflictError,
    FileTooLargeError,
    ImageNotFoundError,
    ImageService,
    ImageType,
    InvalidFieldError,
    KeyTakenError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UserImage,
)
from userimages.errors import DatabaseBusyError, may_have_happened
from userimages.keys import parse_key
from userimages.model import Intent, ProcessedImage, PublishResult, Rendition
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing.faults import Call, after, before, faulty


def keys(images: ImageService, user: str) -> list[str]:
    """List the keys of all objects of *user*."""
    return [each.key for each in images.storage.list(f"users/{user}/")]


def left_to_the_sweep(images: ImageService) -> Sequence[Intent]:
    """Return the intents that are left, as a sweep in a day would find them."""
    return images.repository.claim_expired(datetime.now(UTC) + timedelta(days=1), limit=100)


@pytest.mark.contract("C1")
def test_a_record_holds_the_facts_of_the_stored_bytes(images: ImageService, user: str) -> None:
    """A record holds the facts of the stored bytes."""
    image = images.upload(user, b"photo", image_type="cover", is_primary=True, caption="Us")

    assert (image.user, image.image_type, image.is_primary, image.caption) == (user, "cover", True, "Us")
    assert (image.width, image.height, image.size_bytes, image.mime_type) == (640, 480, 5, "image/jpeg")
    assert image.uploaded_at.tzinfo is not None
    assert parse_key(image.key)
    assert images.get(image.id) == images.get(str(image.id)) == image
    with images.open(image.id) as whole, images.open(image.id, "64") as variant:
        assert (whole.read(), variant.read()) == (b"photo", b"photo64")


@pytest.mark.contract("C1")
def test_no_listed_image_lacks_a_fact(images: ImageService, user: str) -> None:
    """No listed image lacks a fact."""
    images.upload(user, b"photo", image_type="cover")

    (image,) = images.list(user)

    assert None not in (image.width, image.height, image.size_bytes, image.mime_type, image.url)
    assert image.caption == ""


@pytest.mark.contract("C5")
def test_without_a_public_url_there_is_the_serve_route(images: ImageService, user: str) -> None:
    """Without a public URL the serve route is the URL."""
    image = images.upload(user, b"photo", image_type="cover")

    assert image.url == f"/api/user_image/{image.id}/serve/"
    assert image.variants["64"].url == f"{image.url}?variant=64"


@pytest.mark.contract("C5")
def test_a_change_of_domain_rewrites_no_row(tiny_processor) -> None:
    """A change of domain rewrites no row."""
    storage, repository = MemoryStorage(public_url="https://old.example"), MemoryRepository()
    image = ImageService(storage, repository, processor=tiny_processor).upload("a b", b"x", image_type="cover")

    moved = ImageService(MemoryStorage(public_url="https://new.example"), repository, processor=tiny_processor)

    assert image.url.startswith("https://old.example/users/a%2520b/images/cover_")
    assert moved.get(image.id).url == image.url.replace("old", "new")


@pytest.mark.contract("C7")
def test_upload_stores_records_and_answers(images: ImageService, user: str) -> None:
    """An upload stores, records and answers."""
    image = images.upload(user, io.BytesIO(b"photo"), image_type=ImageType.GALLERY)

    assert sorted(image.object_keys) == keys(images, user)
    assert list(images.list(user)) == [image]
    assert not left_to_the_sweep(images)


@pytest.mark.contract("C7")
def test_nothing_is_stored_where_processing_fails(user: str) -> None:
    """Nothing is stored where processing fails."""
    images = ImageService.in_memory()

    with pytest.raises(BrokenImageError):
        images.upload(user, b"\xff\xd8\xff\xe0 no photo", image_type="cover")

    assert not keys(images, user)
    assert not left_to_the_sweep(images)


class Failing(MemoryStorage):
    """A storage whose second put fails, before or after it took effect."""

    def __init__(self, error: Exception, *, after: bool) -> None:
        super().__init__()
        self.error, self.after, self.puts, self.deletes = error, after, 0, 0

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        self.puts += 1
        if ".64." not in key:
            return super().put(key, data, mime_type=mime_type)
        if self.after:
            super().put(key, data, mime_type=mime_type)
        raise self.error

    def delete(self, keys: Sequence[str]) -> None:
        self.deletes += 1
        super().delete(keys)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.contract("C7")
def test_a_refused_put_is_undone_and_leaves_nothing(tiny_processor, after: bool, replace: bool) -> None:
    """A refused put is undone and leaves nothing."""
    storage = Failing(StorageError("No."), after=after)
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)

    with pytest.raises(StorageError, match="No"):
        images.upload("ana", b"x", image_type="cover", replace=replace)

    assert storage.puts == 3
    assert not list(storage.list())
    assert not left_to_the_sweep(images)
    assert not images.list("ana")


def test_the_sweep_deletes_after_a_put_without_answer(tiny_processor) -> None:
    """The store is not asked again at once: the caller would wait for a second time-out."""
    storage = Failing(StorageUnavailableError("Late."), after=False)
    images = ImageService(storage, MemoryRepository(), processor=tiny_processor)

    with pytest.raises(StorageUnavailableError):
        images.upload("ana", b"x", image_type="cover", idempotency_key="once")

    assert storage.deletes == 0
    (intent,) = left_to_the_sweep(images)
    assert set(intent.object_keys) > set(keys(images, "ana"))
    storage.error = StorageError("Now a clear no.")
    with pytest.raises(StorageError, match="clear"):
        images.upload("ana", b"x", image_type="cover", idempotency_key="once")


def test_a_row_names_what_was_put_throughout_an_undo(tiny_processor) -> None:
    """A process may die between any two statements, and a late PUT must not land without a row that names it."""
    named: list[set[str]] = []

    class Watched(MemoryRepository):
        def finish(self, intents) -> None:
            super().finish(intents)
            named.append({key for intent in self.list_intents() for key in intent.object_keys})

    storage = Failing(StorageUnavailableError("Late."), after=True)
    images = ImageService(storage, Watched(), processor=tiny_processor)

    with pytest.raises(StorageUnavailableError):
        images.upload("ana", b"x", image_type="cover")

    (after_the_first,) = named
    assert {found.key for found in storage.list("users/ana/")} <= after_the_first
    assert after_the_first


def test_what_an_undo_leaves_is_logged(tiny_processor, caplog: pytest.LogCaptureFixture) -> None:
    """By its reason: the store does not delete, and the database does not finish."""
    storage = faulty(
        MemoryStorage(), put=[before(StorageError("Full.")), None, None], delete=before(StorageError("No."))
    )
    repository = faulty(MemoryRepository(), finish=before(RepositoryError("Lost.")))
    with pytest.raises(StorageError, match="Full"):
        ImageService(storage, repository, processor=tiny_processor).upload("ana", b"x", image_type="cover")
    said = [each.getMessage() for each in caplog.records if each.event == "left_to_sweep"]
    assert said == ["left to the sweep: No.", "left to the sweep: Lost."]


def test_what_another_has_put_is_not_left_to_the_sweep(tiny_processor) -> None:
    """One put meets a key that is taken, another one gets no answer: the sweep deletes what may be ours alone."""

    def fault(call: Call) -> None:
        if ".64." in call.args[0]:
            raise KeyTakenError("Taken.")
        if ".256." in call.args[0]:
            raise StorageUnavailableError("Late.")
        call.do()

    images = ImageService(faulty(MemoryStorage(), put=fault), MemoryRepository(), processor=tiny_processor)
    with pytest.raises((KeyTakenError, StorageUnavailableError)):
        images.upload("ana", b"x", image_type="cover")
    (left,) = left_to_the_sweep(images)
    assert [".64." in key for key in left.object_keys] == [False, False]


def test_the_undo_leaves_the_object_of_another(tiny_processor) -> None:
    """An object of another upload under the same key is not touched by the undo."""

    class Taken(MemoryStorage):
        def put(self, key: str, data: bytes, *, mime_type: str) -> None:
            if ".64." in key:
                super().put(key, b"of another", mime_type=mime_type)
                raise KeyTakenError("Taken.")
            super().put(key, data, mime_type=mime_type)

    images = ImageService(Taken(), MemoryRepository(), processor=tiny_processor)

    with pytest.raises(KeyTakenError):
        images.upload("ana", b"x", image_type="cover")

    (left,) = images.storage.list()
    assert ".64." in left.key
    assert not left_to_the_sweep(images)


class LosingAnswers(MemoryRepository):
    """A repository whose connection is lost during publish: *done* or not, for the first *times* calls."""

    def __init__(self, *, done: bool, times: int) -> None:
        super().__init__()
        self.done, self.times = done, times

    def publish(self, intent: Intent, image: UserImage, **options: bool) -> PublishResult | None:
        self.times -= 1
        if self.times < 0:
            return super().publish(intent, image, **options)
        if self.done:
            super().publish(intent, image, **options)
        raise RepositoryError("The connection was lost.")


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_a_publish_whose_answer_was_lost_is_repeated(tiny_processor, done: bool, times: int) -> None:
    """A publish whose answer was lost is asked again."""
    images = ImageService(MemoryStorage(), LosingAnswers(done=done, times=times), processor=tiny_processor)

    image = images.upload("ana", b"x", image_type="cover", is_primary=True)

    assert images.primary("ana") == image
    with images.open(image.id) as stream:
        assert stream.read() == b"x"


@pytest.mark.parametrize("done", [False, True])
def test_a_publish_that_stays_unknown_is_not_undone(tiny_processor, done: bool) -> None:
    """A publish that stays unknown is never compensated."""
    images = ImageService(MemoryStorage(), LosingAnswers(done=done, times=9), processor=tiny_processor)

    with pytest.raises(RepositoryError):
        images.upload("ana", b"x", image_type="cover")

    assert len(keys(images, "ana")) == 3
    assert len(images.list("ana")) == done
    assert len(left_to_the_sweep(images)) == (not done)


def test_an_upload_that_outlives_its_lease_fails(tiny_processor) -> None:
    """An upload that outlives its lease fails, and leaves nothing."""

    class SweptMeanwhile(MemoryStorage):
        def put(self, key: str, data: bytes, *, mime_type: str) -> None:
            super().put(key, data, mime_type=mime_type)
            if images.repository.claim_expired(datetime.now(UTC) + timedelta(hours=1), limit=9):
                self.delete(list(self._objects))

    images = ImageService(SweptMeanwhile(), MemoryRepository(), processor=tiny_processor)

    message = "The upload took too long, so its lease ended and it was swept. Upload it again."
    with pytest.raises(ConflictError, match=message):
        images.upload("ana", b"x", image_type="cover")

    assert not keys(images, "ana")
    assert not images.list("ana")


def test_replace_lets_the_others_of_that_type_go(images: ImageService, user: str) -> None:
    """Replace lets the others of that type go."""
    old = [images.upload(user, b"old", image_type="profile", is_primary=True) for _ in range(2)]
    cover = images.upload(user, b"cover", image_type="cover")

    new = images.upload(user, b"new", image_type="profile", replace=True)

    assert list(images.list(user)) == [new, cover]
    assert sorted((*new.object_keys, *cover.object_keys)) == keys(images, user)
    for gone in old:
        with pytest.raises(ImageNotFoundError):
            images.get(gone.id)


def test_a_retry_with_its_key_gets_the_first_answer(images: ImageService, user: str) -> None:
    """A retry with the same idempotency key gets the first answer."""
    first = images.upload(user, b"photo", image_type="profile", idempotency_key="one")
    retry = images.upload(user, b"photo", image_type="profile", idempotency_key="one")

    assert retry == first
    assert len(images.list(user)) == 1
    assert sorted(first.object_keys) == keys(images, user)
    assert not left_to_the_sweep(images)


def test_a_key_of_another_file_is_a_conflict(images: ImageService, user: str) -> None:
    """An idempotency key of another file is a conflict, and another user's is not."""
    images.upload(user, b"photo", image_type="profile", idempotency_key="one")

    with pytest.raises(ConflictError):
        images.upload(user, b"other", image_type="profile", idempotency_key="one")
    images.upload(user + "2", b"other", image_type="profile", idempotency_key="one")


def test_an_idempotency_key_dies_with_its_image(images: ImageService, user: str) -> None:
    """An idempotency key dies with its image."""
    first = images.upload(user, b"photo", image_type="profile", idempotency_key="one")
    images.delete(first.id)

    assert images.upload(user, b"photo", image_type="profile", idempotency_key="one").id != first.id


def test_reading_stops_at_the_limit_of_the_processor() -> None:
    """Reading stops at the limit that the processor states."""

    class Small:
        max_bytes = 10

        def __call__(self, data: bytes, image_type: ImageType) -> ProcessedImage:
            raise AssertionError("not reached")

    images = ImageService(MemoryStorage(), MemoryRepository(), processor=Small())

    assert images.max_bytes == 10
    with pytest.raises(FileTooLargeError, match="10 bytes"):
        images.upload("ana", io.BytesIO(b"x" * 11), image_type="cover")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"user": ""}, "user"),
        ({"image_type": "avatar"}, "image_type"),
        ({"caption": "x" * 1001}, "caption"),
        ({"idempotency_key": "é"}, "idempotency_key"),
        ({"file": "photo.jpg"}, "file"),
        ({"is_primary": "false"}, "is_primary"),
        ({"replace": "false"}, "replace"),
    ],
)
def test_a_bad_argument_is_named_before_any_effect(tiny_processor, arguments, field: str) -> None:
    """A bad argument is named before anything happens."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)

    with pytest.raises(InvalidFieldError) as error:
        images.upload(**{"user": "ana", "file": b"x", "image_type": "cover"} | arguments)

    assert error.value.field == field
    assert not list(images.storage.list())


def test_another_user_s_image_is_not_found(images: ImageService, user: str) -> None:
    """Another user's image is not found by any method."""
    mine = images.upload(user, b"photo", image_type="profile")
    attempts = [
        lambda it: images.get(it, user="eve"),
        lambda it: images.open(it, user="eve"),
        lambda it: images.set_primary(it, user="eve"),
        lambda it: images.update(it, caption="Eve was here", user="eve"),
        lambda it: images.delete(it, user="eve"),
    ]
    for attempt in attempts:
        with pytest.raises(ImageNotFoundError) as foreign:
            attempt(mine.id)
        with pytest.raises(ImageNotFoundError) as missing:
            attempt(uuid4())
        assert str(foreign.value) == str(missing.value)

    assert images.get(mine.id, user=user) == mine


def test_update_sets_the_caption(images: ImageService, user: str) -> None:
    """Update sets the caption."""
    image = images.upload(user, b"photo", image_type="profile", caption="My cat")

    assert images.update(image.id, caption="<b>Our</b> cat").caption == "Our cat"
    assert images.get(image.id).caption == "Our cat"


def test_open_gives_a_range_and_knows_its_variants(images: ImageService, user: str) -> None:
    """Open gives a range and knows its variants."""
    image = images.upload(user, b"0123456789", image_type="profile")

    with images.open(image.id, start=2, length=3) as stream:
        assert stream.read() == b"234"
    with images.open(image.id, "256", start=10) as stream:
        assert stream.read() == b"256"
    with pytest.raises(ImageNotFoundError, match="64, 256"):
        images.open(image.id, "512")
    with pytest.raises(InvalidFieldError):
        images.open(image.id, start=-1)


@pytest.mark.parametrize(
    ("storage", "repository", "named"),
    [
        (MemoryRepository(), MemoryStorage(), r"storage is of type MemoryRepository.*put"),
        (None, MemoryRepository(), "storage is of type NoneType"),
        (MemoryStorage(), "sqlite:///images.db", r"repository is of type str.*publish"),
        (MemoryStorage, MemoryRepository(), "storage is of type .*type"),
    ],
)
def test_what_is_not_a_storage_is_refused(storage, repository, named: str, tiny_processor) -> None:
    """What is not a storage, or not a repository, is refused."""
    with pytest.raises(ConfigurationError, match=named):
        ImageService(storage, repository, processor=tiny_processor)


def test_a_rule_that_is_no_bool_is_refused(tiny_processor) -> None:
    """A rule that is not a bool is refused."""
    for rule in ("false", 1, None):
        with pytest.raises(ConfigurationError, match="primary_per_type"):
            ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, primary_per_type=rule)  # type: ignore[arg-type]


def test_a_serve_url_without_an_id_is_refused(tiny_processor) -> None:
    """A `serve_url` without an id is refused."""
    with pytest.raises(ConfigurationError, match=r"\{id\}"):
        ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, serve_url="/images/")


def test_a_serve_url_may_hold_other_braces(tiny_processor) -> None:
    """A `serve_url` may hold other braces."""
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, serve_url="/{tenant}/{id}")

    image = images.upload("ana", b"x", image_type="cover")

    assert image.url == f"/{{tenant}}/{image.id}"


@pytest.mark.parametrize(
    ("mime_type", "name"), [("image/jxl", "64"), ("image/webp", "Large"), ("image/webp", "x" * 33)]
)
def test_what_a_processor_makes_has_to_fit_in_a_key(mime_type: str, name: str) -> None:
    """What a processor makes has to fit in a key."""

    def strange(data: bytes, image_type: ImageType) -> ProcessedImage:
        return ProcessedImage(Rendition(data, 1, 1, "image/jpeg"), {name: Rendition(data, 1, 1, mime_type)})

    images = ImageService(MemoryStorage(), MemoryRepository(), processor=strange)

    with pytest.raises(ConfigurationError, match=r"The processor"):
        images.upload("ana", b"x", image_type="cover")


def test_a_clock_of_another_zone_gives_equal_instants(tiny_processor) -> None:
    """The hour that Berlin repeats in autumn must not put a lease into the past."""
    moment = datetime(2026, 10, 25, 0, 55, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor, clock=lambda: moment)
    seen: list[datetime] = []
    begin = images.repository.begin_upload
    images.repository.begin_upload = lambda intent, now: (seen.append(intent.lease_until), begin(intent, now=now))[1]  # type: ignore[method-assign]

    images.upload("ana", b"x", image_type="cover")

    assert seen == [datetime(2026, 10, 25, 1, 5, tzinfo=UTC)]


def test_an_upload_works_where_no_thread_can_start(tiny_processor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload works where no thread can be started."""

    def refuse(self: object, *arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", refuse)
    images = ImageService(MemoryStorage(), MemoryRepository(), processor=tiny_processor)

    assert len(images.upload("ana", b"x", image_type="cover").object_keys) == len(keys(images, "ana")) == 3


@pytest.mark.parametrize("call", ["begin_upload", "publish"])
def test_a_database_that_is_busy_is_asked_once(tiny_processor, call: str) -> None:
    """Each call may have waited for half a minute: whoever waits for the upload has done so long enough."""
    asked: list[str] = []

    def busy(asking: Call) -> None:
        asked.append(asking.method.__name__)
        raise DatabaseBusyError("Busy.")

    def done(asking: Call) -> object:
        asked.append(asking.method.__name__)
        return asking.do()

    repository = faulty(MemoryRepository(), **{"begin_upload": done, "publish": done, "finish": done, call: busy})
    with pytest.raises(RepositoryError):
        ImageService(MemoryStorage(), repository, processor=tiny_processor).upload("ana", b"x", image_type="cover")
    assert asked == (["begin_upload"] if call == "begin_upload" else ["begin_upload", "publish"])


def test_a_publish_that_certainly_failed_is_undone(tiny_processor) -> None:
    """As where the encoding of the database cannot hold a caption: a retry with the same key need not wait."""
    memory = MemoryRepository()
    refused = faulty(memory, publish=[before(InvalidFieldError("Not in Latin-1."))])
    images = ImageService(MemoryStorage(), refused, processor=tiny_processor)
    with pytest.raises(InvalidFieldError):
        images.upload("ana", b"x", image_type="cover", idempotency_key="k")
    assert not list(images.storage.list())
    assert not memory.list_intents()
    images.upload("ana", b"x", image_type="cover", idempotency_key="k")


def test_an_upload_never_claims_that_nothing_happened(tiny_processor) -> None:
    """The try that was refused did nothing; the one before, whose answer was lost, published the image."""
    lost, busy = RepositoryError("Lost."), DatabaseBusyError("Busy.", hint="Wait.")
    repository = faulty(MemoryRepository(), publish=[after(lost), before(busy)])
    images = ImageService(MemoryStorage(), repository, processor=tiny_processor)
    with pytest.raises(RepositoryError, match=r"Busy\. Wait\.") as raised:
        images.upload("ana", b"x", image_type="cover")
    assert may_have_happened(raised.value)
    assert len(images.list("ana")) == 1


class Replica(MemoryRepository):
    """A database whose reads go to a replica that knows nothing yet; what writes goes to the primary."""

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        return None

    def get_many(self, ids: Sequence[UUID]) -> Sequence[UserImage]:
        return ()


@pytest.mark.parametrize("losses", [1, 2])
def test_an_unknown_outcome_is_not_read_from_a_replica(tiny_processor, losses: int) -> None:
    """Publishing again asks the primary, hence nobody deletes the objects of an image that is listed."""
    lost = [after(RepositoryError("Lost."))] * losses
    images = ImageService(MemoryStorage(), faulty(Replica(), publish=lost), processor=tiny_processor)
    image = images.upload("ana", b"x", image_type="cover")
    assert list(images.list("ana")) == [image]
    assert {found.key for found in images.storage.list()} == set(image.object_keys)


@pytest.mark.parametrize("call", ["begin_delete", "finish"])
def test_a_busy_database_is_waited_for_once(tiny_processor, call: str) -> None:
    """A busy database is waited for once, however many images there are."""
    memory = MemoryRepository()
    images = ImageService(MemoryStorage(), memory, processor=tiny_processor)
    for _ in range(5):
        images.upload("ana", b"x", image_type="cover")
    asked: list[Call] = []

    def busy(asking: Call) -> None:
        asked.append(asking)
        raise DatabaseBusyError("Busy.")

    images.repository = faulty(memory, **{call: busy})
    with pytest.raises(RepositoryError):
        images.delete_user("ana")
    assert len(asked) == 1
    for _ in range(5):
        images.upload("ana", b"x", image_type="cover")
    images.upload("ana", b"y", image_type="cover", replace=True)
    assert len(asked) == (1 if call == "begin_delete" else 2)
    images.sweep()
    assert len(asked) == (1 if call == "begin_delete" else 3)
    images.repository = memory
    images.sweep()
    assert len(list(images.storage.list())) == 3 * len(images.list("ana"))
