"""Records in the memory of this process: for tests, demonstrations and a first try."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import attrs

from userimages.errors import ConflictError
from userimages.fork_safety import reset_after_fork
from userimages.ids import new_id, utcnow
from userimages.model import DISTANT_PAST, REVISED, SECOND_LOOK, Intent, PublishResult, Usage, UserImage
from userimages.repositories.revision import is_revised, is_still, retirement
from userimages.validation import check_changes

Scope = tuple[str, str]  # a user, and "" or the name of a type


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
        self._primaries: dict[Scope, UUID] = {}
        self._unique: dict[object, UUID] = {}
        self._id = uuid4().hex
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MemoryRepository(<{len(self._rows)} images>)"

    def database_id(self) -> str:
        """Return the random id of this repository."""
        return self._id

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

    def publish(
        self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool, per_type: bool = False
    ) -> PublishResult | None:
        """Turn *intent* into *image*, or return what an earlier call has made of it; None if that cannot be."""
        with self._lock:
            held = self._intents.get(intent.id)
            there = self._rows.get(image.id)
            earlier = None if there is None else PublishResult(self._seen(there))
            if held is None or held.claimed or held.idempotency_key != intent.idempotency_key:
                return earlier
            ticket = None if image.id == intent.id else self._intents.get(image.id)
            if ticket is not None and ticket.claimed:
                return earlier
            row = _Row(_bare(image), held.idempotency_key, held.input_sha256)
            claims = _claims(row)
            if image.id in self._rows or not self._unique.keys().isdisjoint(claims):
                raise ConflictError("An image with this id, key or idempotency key exists already.")
            del self._intents[intent.id]
            if ticket is not None:
                self._claim(ticket)
            others = [
                each.image.id
                for each in self._rows.values()
                if replace and (each.image.user, each.image.image_type) == (image.user, image.image_type)
            ]
            self._rows[image.id] = row
            self._unique |= dict.fromkeys(claims, image.id)
            replaced = tuple(self._begin_delete(other) for other in others)
            if is_primary:
                self._make_primary(row.image, per_type=per_type)
            return PublishResult(self._seen(row), replaced)

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Return one image."""
        with self._lock:
            row = self._find(id, user)
            return None if row is None else self._seen(row)

    def get_many(self, ids: Sequence[UUID]) -> Sequence[UserImage]:
        """Return the images with these ids; missing ones are left out."""
        with self._lock:
            return tuple(self._seen(self._rows[id]) for id in {*ids} if id in self._rows)

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: str | None = None
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

    def recent(self, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Sequence[UserImage]:
        """Return up to *limit* images of all users, newest first, from below the id *after*."""
        with self._lock:
            found = [
                each
                for each in self._images()
                if (image_type is None or each.image_type == image_type) and (after is None or each.id < after)
            ]
        return tuple(sorted(found, key=lambda each: each.id, reverse=True)[:limit])

    def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> Sequence[UserImage]:
        """Return the primary images of *users*; users without one are left out."""
        with self._lock:
            found = (self._primary(user, image_type) for user in {*users})
            return tuple(self._seen(row) for row in found if row is not None)

    def set_primary(self, id: UUID, *, user: str | None = None, per_type: bool = False) -> UserImage | None:
        """Make the image its user's primary, of its type or over all types, and return it; None if it is missing."""
        with self._lock:
            row = self._find(id, user)
            if row is None:
                return None
            self._make_primary(row.image, per_type=per_type)
            return self._seen(row)

    def update(self, id: UUID, changes: Mapping[str, Any], *, user: str | None = None) -> UserImage | None:
        """Set the facts that *changes* names and return the image; None if it is missing."""
        check_changes(changes)
        with self._lock:
            row = self._find(id, user)
            if row is None:
                return None
            self._rows[id] = row = attrs.evolve(row, image=attrs.evolve(row.image, **changes))
            return self._seen(row)

    def revise(self, intent: Intent, image: UserImage, *, of: UserImage, keep_until: datetime) -> UserImage | None:
        """Give an image the variants of *image*, if it still is as *of* and the intent is there; None if not."""
        with self._lock:
            row, held = self._rows.get(image.id), self._intents.get(intent.id)
            if row is not None and is_revised(row.image, image):
                return self._seen(row)
            if row is None or held is None or held.claimed or not is_still(row.image, of):
                return None
            del self._intents[intent.id]
            revised = attrs.evolve(row.image, **{name: getattr(image, name) for name in REVISED})
            if old := retirement(row.image, revised, keep_until):
                self._intents[old.id] = old
            self._rows[image.id] = row = attrs.evolve(row, image=_bare(revised))
            return self._seen(row)

    def usage(self, user: str) -> Usage:
        """Return how many images *user* has, and the sum of their stored bytes."""
        with self._lock:
            sizes = [row.image.stored_bytes for row in self._rows.values() if row.image.user == user]
        return Usage(len(sizes), sum(sizes))

    def begin_delete(self, ids: Sequence[UUID], *, user: str | None = None) -> Sequence[Intent]:
        """Delete the images, and insert and return the intents that name their objects."""
        with self._lock:
            return tuple(self._begin_delete(id) for id in dict.fromkeys(ids) if self._find(id, user) is not None)

    def finish(self, intents: Sequence[Intent]) -> None:
        """Delete the intents that are there."""
        with self._lock:
            for intent in intents:
                self._intents.pop(intent.id, None)

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Claim up to *limit* intents whose lease ended at or before *now*, oldest lease first."""
        with self._lock:
            due = [each for each in self._intents.values() if each.lease_until <= now]
            due = sorted(due, key=lambda each: each.lease_until)[:limit]
            for each in due:
                if not each.claimed:
                    self._claim(each)
            return tuple(due)

    def list_intents(self, *, after: UUID | None = None, limit: int = 1000) -> Sequence[Intent]:
        """Return up to *limit* intents whose id is greater than *after*, by id."""
        with self._lock:
            found = [each for each in self._intents.values() if after is None or each.id > after]
        return tuple(sorted(found, key=lambda each: each.id)[:limit])

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
        image = row.image
        scopes = ((image.user, ""), (image.user, image.image_type))
        is_primary = any(self._primaries.get(scope) == image.id for scope in scopes)
        return attrs.evolve(image, is_primary=is_primary) if is_primary else image

    def _images(self) -> Iterable[UserImage]:
        return map(self._seen, self._rows.values())

    def _primary(self, user: str, image_type: str | None) -> _Row | None:
        id = self._primaries.get((user, image_type or ""))
        if id is None and image_type is not None and (overall := self._primaries.get((user, ""))) is not None:
            id = overall if self._rows[overall].image.image_type == image_type else None
        return None if id is None else self._rows[id]

    def _make_primary(self, image: UserImage, *, per_type: bool) -> None:
        """Write the row of the scope, and delete the rows that the rule forbids."""
        forbidden: Collection[Scope]
        if per_type:
            overall = self._rows.get(self._primaries.get((image.user, ""), image.id))
            same_type = overall is not None and overall.image.image_type == image.image_type
            forbidden = [(image.user, "")] if same_type else []
        else:
            forbidden = [scope for scope in self._primaries if scope[0] == image.user and scope[1]]
        for scope in forbidden:
            self._primaries.pop(scope, None)
        self._primaries[image.user, image.image_type if per_type else ""] = image.id

    def _made_by(self, intent: Intent) -> _Row | None:
        """Return what this user's upload with this idempotency key became."""
        id = self._unique.get((intent.user, intent.idempotency_key))
        return None if id is None else self._rows[id]

    def _free_key(self, intent: Intent, now: datetime) -> None:
        """Take the idempotency key from an older intent whose lease ended; refuse if that one is live."""
        for other in self._intents.values():
            if (other.user, other.idempotency_key) == (intent.user, intent.idempotency_key):
                if not other.claimed and other.lease_until > now:
                    raise ConflictError(
                        "Another upload with this idempotency key is still running.", hint="Try again in a while."
                    )
                self._intents[other.id] = attrs.evolve(other, idempotency_key=None)
                return

    def _claim(self, intent: Intent) -> None:
        later = intent.lease_until + SECOND_LOOK
        self._intents[intent.id] = attrs.evolve(intent, claimed=True, lease_until=later)

    def _begin_delete(self, id: UUID) -> Intent:
        row = self._rows.pop(id)
        for claim in _claims(row):
            del self._unique[claim]
        for scope in [scope for scope, primary in self._primaries.items() if primary == id]:
            del self._primaries[scope]
        image = row.image
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
