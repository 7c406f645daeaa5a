"""Records in the memory of this process: for tests, demonstrations and a first try."""

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import attrs

from userimages.errors import ConflictError
from userimages.fork_safety import reset_after_fork
from userimages.ids import new_id, utcnow
from userimages.model import DISTANT_PAST, SECOND_LOOK, ImageType, Intent, PublishResult, UserImage


@attrs.frozen
class _Row:
    """An image as it is kept, and what its upload was known by."""

    image: UserImage
    idempotency_key: str | None
    input_sha256: str


class MemoryRepository:
    """Keep records in dictionaries under one lock; they are gone when the process ends.

    >>> from userimages.repositories.memory import MemoryRepository
    >>> MemoryRepository().list("ana", limit=50)
    ()
    """

    def __init__(self) -> None:
        self._rows: dict[UUID, _Row] = {}
        self._intents: dict[UUID, Intent] = {}
        self._primaries: dict[str, UUID] = {}
        self._unique: dict[object, UUID] = {}
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Insert *intent* and return None, or return the image that its idempotency key already made."""
        with self._lock:
            if intent.id in self._intents:
                raise ConflictError("An intent with this id exists already.", hint="Begin each upload with a new id.")
            if intent.idempotency_key is not None:
                if (row := self._made_by(intent)) is not None:
                    if row.input_sha256 != intent.input_sha256:
                        raise ConflictError(
                            "The idempotency key was used for another file.", hint="Use a new key for each upload."
                        )
                    return self._seen(row)
                self._free_key(intent, now)
            self._intents[intent.id] = intent
            return None

    def publish(self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool) -> PublishResult | None:
        """Turn *intent* into *image*; None where the intent is gone, taken or lost its idempotency key."""
        with self._lock:
            held = self._intents.get(intent.id)
            if held is None or held.claimed or held.idempotency_key != intent.idempotency_key:
                return None
            row = _Row(_bare(image), held.idempotency_key, held.input_sha256)
            claims = _claims(row)
            if image.id in self._rows or not self._unique.keys().isdisjoint(claims):
                raise ConflictError("An image with this id, key or idempotency key exists already.")
            del self._intents[intent.id]
            others = [
                each.image.id
                for each in self._rows.values()
                if replace and (each.image.user, each.image.image_type) == (image.user, image.image_type)
            ]
            self._rows[image.id] = row
            self._unique |= dict.fromkeys(claims, image.id)
            if is_primary:
                self._primaries[image.user] = image.id
            return PublishResult(self._seen(row), tuple(self._retire(other) for other in others))

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image."""
        with self._lock:
            row = self._find(id, user)
            return None if row is None else self._seen(row)

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: ImageType | None = None
    ) -> Sequence[UserImage]:
        """Return up to *limit* images of *user*, newest first, from the position *after* on."""
        with self._lock:
            found = [
                each
                for each in self._images()
                if each.user == user
                and (image_type is None or each.image_type == image_type)
                and (after is None or _position(each) < after)
            ]
        return tuple(sorted(found, key=_position, reverse=True)[:limit])

    def primaries(self, users: Sequence[str]) -> Sequence[UserImage]:
        """Return the primary images of *users*; users without one are left out."""
        with self._lock:
            return tuple(self._seen(self._rows[self._primaries[user]]) for user in {*users} & self._primaries.keys())

    def set_primary(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Make the image its user's only primary and return it; None where there is no such image."""
        with self._lock:
            row = self._find(id, user)
            if row is None:
                return None
            self._primaries[row.image.user] = id
            return self._seen(row)

    def update(self, id: UUID, *, caption: str, user: str | None = None) -> UserImage | None:
        """Set the caption and return the image; None where there is no such image."""
        with self._lock:
            row = self._find(id, user)
            if row is None:
                return None
            self._rows[id] = row = attrs.evolve(row, image=attrs.evolve(row.image, caption=caption))
            return self._seen(row)

    def begin_delete(self, id: UUID, *, user: str | None = None) -> Intent | None:
        """Delete the image and insert and return the intent that names its objects."""
        with self._lock:
            return None if self._find(id, user) is None else self._retire(id)

    def finish(self, intent: Intent) -> None:
        """Delete the intent, if it is there."""
        with self._lock:
            self._intents.pop(intent.id, None)

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Take up to *limit* intents whose lease is at or before *now*, oldest lease first."""
        with self._lock:
            over = sorted(
                (each for each in self._intents.values() if each.lease_until <= now), key=lambda each: each.lease_until
            )
            for each in over[:limit]:
                if not each.claimed:
                    self._intents[each.id] = attrs.evolve(
                        each, claimed=True, lease_until=each.lease_until + SECOND_LOOK
                    )
            return tuple(over[:limit])

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Return up to *limit* images of all users whose key is greater than *after*, in byte order of the key."""
        with self._lock:
            found = [each for each in self._images() if each.key > after]
        return tuple(sorted(found, key=lambda each: each.key)[:limit])

    def _find(self, id: UUID, user: str | None) -> _Row | None:
        row = self._rows.get(id)
        return row if row is not None and user in (None, row.image.user) else None

    def _seen(self, row: _Row) -> UserImage:
        """Return the image as it is now, with the one fact that is kept elsewhere."""
        is_primary = self._primaries.get(row.image.user) == row.image.id
        return attrs.evolve(row.image, is_primary=is_primary) if is_primary else row.image

    def _images(self) -> Iterable[UserImage]:
        return map(self._seen, self._rows.values())

    def _made_by(self, intent: Intent) -> _Row | None:
        """Return what this user's upload with this idempotency key became."""
        id = self._unique.get((intent.user, intent.idempotency_key))
        return None if id is None else self._rows[id]

    def _free_key(self, intent: Intent, now: datetime) -> None:
        """Take the idempotency key from an older intent that is over; refuse where that one is live."""
        for other in self._intents.values():
            if (other.user, other.idempotency_key) == (intent.user, intent.idempotency_key):
                if not other.claimed and other.lease_until > now:
                    raise ConflictError(
                        "Another upload with this idempotency key is still running.", hint="Try again in a while."
                    )
                self._intents[other.id] = attrs.evolve(other, idempotency_key=None)
                return

    def _retire(self, id: UUID) -> Intent:
        row = self._rows.pop(id)
        image = row.image
        for claim in _claims(row):
            del self._unique[claim]
        if self._primaries.get(image.user) == id:
            del self._primaries[image.user]
        intent = Intent(id=new_id(utcnow()), user=image.user, object_keys=image.object_keys, lease_until=DISTANT_PAST)
        self._intents[intent.id] = intent
        return intent


def _claims(row: _Row) -> tuple[object, ...]:
    """Return what no other image may have: its key, and its user's idempotency key."""
    if row.idempotency_key is None:
        return (row.image.key,)
    return row.image.key, (row.image.user, row.idempotency_key)


def _position(image: UserImage) -> tuple[datetime, UUID]:
    return image.uploaded_at, image.id


def _bare(image: UserImage) -> UserImage:
    """Return *image* without what is not kept in its row: the URLs, and whether it is primary."""
    variants = {name: attrs.evolve(each, url="") for name, each in image.variants.items()}
    return attrs.evolve(image, url="", is_primary=False, variants=variants)
