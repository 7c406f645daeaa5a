"""Records for tests of a repository, and what a test does with them in one line."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from userimages.ids import new_id
from userimages.keys import new_stem
from userimages.model import ImageType, Intent, UserImage, Variant, Variants
from userimages.protocols import ImageRepository

NOW = datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
TICK = timedelta(microseconds=1)
LEASE = timedelta(minutes=10)
PROFILE, GALLERY, COVER = map(str, ImageType)


def new_user() -> str:
    """Return a name that no other test has."""
    return f"u{uuid4().hex}"


def new_image(user: str, image_type: str = GALLERY, *, at: datetime = NOW) -> UserImage:
    """Return a record as the service makes one, with three variants."""
    stem = new_stem(user, image_type, at)
    variants = {
        name: Variant(f"{stem}.{name}.webp", int(name), int(name) // 2, 900, "image/webp", "b" * 64)
        for name in ("640", "320", "1280")
    }
    return UserImage(
        id=new_id(at),
        user=user,
        image_type=image_type,
        uploaded_at=at,
        key=f"{stem}.jpg",
        width=2000,
        height=1000,
        size_bytes=123_456,
        stored_bytes=126_156,
        mime_type="image/jpeg",
        sha256="a" * 64,
        placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
        frames=3,
        meta={"alt": "A cat", "tags": ["é", 1.5, None, True]},
        variants=Variants(variants),
        recipe="0123456789abcdef",
    )


def new_intent(
    image: UserImage,
    *,
    lease_until: datetime = NOW + LEASE,
    idempotency_key: str | None = None,
    id: UUID | None = None,
) -> Intent:
    """Return the intent to upload *image*; with the *id* of the image it can stand for a ticket."""
    return Intent(
        id=id or new_id(NOW),
        user=image.user,
        object_keys=image.object_keys,
        lease_until=lease_until,
        idempotency_key=idempotency_key,
        input_sha256="c" * 64,
    )


def begin_upload(repository: ImageRepository, image: UserImage, *, now: datetime = NOW, **facts: Any) -> Intent:
    """Begin an upload that must be free to go on."""
    intent = new_intent(image, **facts)
    assert repository.begin_upload(intent, now=now) is None
    return intent


def publish(
    repository: ImageRepository, image: UserImage, *, is_primary: bool = False, replace: bool = False, **facts: Any
) -> UserImage:
    """Begin and publish *image*."""
    published = repository.publish(
        begin_upload(repository, image, **facts), image, is_primary=is_primary, replace=replace
    )
    assert published
    return published.image


def upload(repository: ImageRepository, image: UserImage, **facts: Any) -> UserImage:
    """Publish *image*, or return the one that the idempotency key already made."""
    intent = new_intent(image, **facts)
    made = repository.begin_upload(intent, now=NOW)
    if made is None:
        published = repository.publish(intent, image, is_primary=False, replace=False)
        assert published
        made = published.image
    return made


def delete_one(repository: ImageRepository, id: UUID, *, user: str | None = None) -> Intent | None:
    """Begin the deletion of one image; return its intent, or None if there is no such image."""
    intents = repository.begin_delete([id], user=user)
    assert len(intents) <= 1
    return intents[0] if intents else None


def publish_gallery(repository: ImageRepository, user: str) -> list[UUID]:
    """Publish images of two types, some at one instant, in no order; return their ids, newest first."""
    steps = (3, 1, 2, 2, 1, 2, 0)
    images = [new_image(user, (COVER, GALLERY)[step % 2], at=NOW + step * TICK) for step in steps]
    for image in images:
        publish(repository, image)
    return ids(sorted(images, key=lambda image: (image.uploaded_at, image.id), reverse=True))


def rows_of(
    repository: ImageRepository, image: UserImage | None = None, *, start: str = "", limit: int = 1000
) -> list[UserImage]:
    """Read the rows whose key begins with *start*, page by page; with *image*, only its own."""
    found: list[UserImage] = []
    start = start if image is None else image.key
    after = start[:-1]
    while page := repository.list_by_key(after=after, limit=limit):
        assert len(page) <= limit
        found += [each for each in page if each.key.startswith(start)]
        assert page[-1].key > after, "list_by_key returns what it returned before"
        after = page[-1].key
        if not after.startswith(start) and after > start:
            break
    return found


def claim_expired_of(repository: ImageRepository, user: str, now: datetime, *, limit: int = 10_000) -> list[Intent]:
    """Claim the expired intents and return those of *user*."""
    return [intent for intent in repository.claim_expired(now, limit=limit) if intent.user == user]


def finish_all(repository: ImageRepository) -> int:
    """Finish the intents that this suite left, and return how many there were."""
    intents = repository.claim_expired(datetime(2002, 1, 1, tzinfo=UTC), limit=100_000)
    repository.finish(intents)
    return len(intents)


def is_deletion(intent: Intent, user: str) -> bool:
    """Tell whether *intent* is as ``begin_delete`` makes one."""
    long_ago = intent.lease_until < datetime(2000, 1, 1, tzinfo=UTC)
    return long_ago and (intent.user, intent.idempotency_key, intent.claimed) == (user, None, False)


def primary_ids(repository: ImageRepository, user: str) -> list[UUID]:
    """Return the ids of the images that a listing shows as primary."""
    return ids(image for image in repository.list(user, limit=99) if image.is_primary)


def ids(images: Any) -> list[UUID]:
    """Return the ids, in order."""
    return [image.id for image in images]


def by_id(records: Any) -> list[Any]:
    """Return the records in the order of their ids."""
    return sorted(records, key=lambda record: record.id)


def at_once(calls: Sequence[Callable[[], Any]], *expected: type[Exception]) -> list[Any]:
    """Make all calls at the same moment in threads; return their outcomes, *expected* errors as values."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(30)
        try:
            return call()
        except expected as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
