"""A cache in front of any repository."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Protocol, TypeVar
from uuid import UUID

import attrs

from userimages.errors import ConfigurationError
from userimages.logs import log
from userimages.model import FACTS, Intent, Meta, PublishResult, Usage, UserImage, Variant, Variants
from userimages.protocols import ImageRepository

Changed = TypeVar("Changed", UserImage | None, Sequence[Intent])
Found = TypeVar("Found")

# Part of every key, because this release must not read a record that one with other fields has written.
_SHAPE = ",".join(field.name for cls in (UserImage, Variant) for field in attrs.fields(cls))


class Cache(Protocol):
    """What a cache must offer. Django's caches and those of cachelib do."""

    def get(self, key: str, /) -> Any:
        """Return the value, or None."""

    def set(self, key: str, value: Any, timeout: int, /) -> Any:
        """Keep *value* for at most *timeout* seconds."""


class CachingRepository:
    """Cache the listings of a repository for *ttl* seconds, or until the images of their user change.

    A page that is read again costs two reads of the cache instead of one statement of the database. So it pays if the
    database is the bottleneck. It does not make one listing faster. Each change of a user's images costs one write to
    the cache, and each page that is read for the first time up to two. All other calls go straight to the repository,
    because a cache must not decide what is served or deleted.

    A page is stored under a version of its user. Each change writes a new version after it is committed, so later
    reads see it. A page may be stale, for at most *ttl* seconds, in four cases: something else changes the tables, the
    cache cannot be written, a process dies just after a commit, or processes do not share the cache. A cache that
    fails is logged and otherwise ignored.

    Values are JSON, because whoever can write to the cache could make a pickle run code here. The id of the database is
    part of every key, so that two applications may share a cache. A repository of your own without ``database_id()``
    needs a cache, or a prefix, of its own.

    Args:
        repository: the repository behind the cache.
        cache: anything with ``get(key)`` and ``set(key, value, timeout)`` that takes strings, such as
            ``django.core.cache.cache``, a cache of cachelib or a ``redis.Redis``. All processes that write must share
            it.
        ttl: seconds, a whole number from 1 up.

    >>> from userimages.caching import CachingRepository
    >>> from userimages.repositories.memory import MemoryRepository
    >>> class DictCache(dict):
    ...     def set(self, key, value, timeout):
    ...         self[key] = value
    >>> CachingRepository(MemoryRepository(), DictCache()).list("ana", limit=50)
    ()
    """

    def __init__(self, repository: ImageRepository, cache: Cache, *, ttl: int = 300) -> None:
        if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < 1:
            raise ConfigurationError("ttl must be a whole number of seconds, at least 1.", hint="Pass ttl=300.")
        self.repository = repository
        self._cache = cache
        self._ttl = ttl
        self._database_id: str | None = None

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Record the intent in the repository."""
        return self.repository.begin_upload(intent, now=now)

    def publish(
        self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool, per_type: bool = False
    ) -> PublishResult | None:
        """Publish in the repository, then renew the user's listings, also if the outcome is unknown."""
        try:
            return self.repository.publish(intent, image, is_primary=is_primary, replace=replace, per_type=per_type)
        finally:
            self._renew(image.user)

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: str | None = None
    ) -> Sequence[UserImage]:
        """Return the page from the cache, or read it and store it there."""
        parts = ("page", user, self._version(user), limit, after, image_type)
        page = self._tried(lambda: _decoded(self._cache.get(self._key(*parts))))
        if page is None:
            page = tuple(self.repository.list(user, limit=limit, after=after, image_type=image_type))
            self._keep(parts, _encoded(page))
        return page

    def set_primary(self, id: UUID, *, user: str | None = None, per_type: bool = False) -> UserImage | None:
        """Set it in the repository, then renew the user's listings."""
        return self._changed(lambda: self.repository.set_primary(id, user=user, per_type=per_type), user)

    def update(self, id: UUID, changes: Mapping[str, Any], *, user: str | None = None) -> UserImage | None:
        """Update in the repository, then renew the user's listings."""
        return self._changed(lambda: self.repository.update(id, changes, user=user), user)

    def begin_delete(self, ids: Sequence[UUID], *, user: str | None = None) -> Sequence[Intent]:
        """Begin the deletions in the repository, then renew the listings of their users."""
        return self._changed(lambda: self.repository.begin_delete(ids, user=user), user)

    def get(self, id: UUID, *, user: str | None = None) -> UserImage | None:
        """Ask the repository."""
        return self.repository.get(id, user=user)

    def get_many(self, ids: Sequence[UUID]) -> Sequence[UserImage]:
        """Ask the repository."""
        return self.repository.get_many(ids)

    def recent(self, *, limit: int, after: UUID | None = None, image_type: str | None = None) -> Sequence[UserImage]:
        """Ask the repository."""
        return self.repository.recent(limit=limit, after=after, image_type=image_type)

    def primaries(self, users: Sequence[str], *, image_type: str | None = None) -> Sequence[UserImage]:
        """Ask the repository, because one query for many users is cheaper than one read of the cache for each."""
        return self.repository.primaries(users, image_type=image_type)

    def usage(self, user: str) -> Usage:
        """Ask the repository."""
        return self.repository.usage(user)

    def finish(self, intents: Sequence[Intent]) -> None:
        """Finish the intents in the repository."""
        self.repository.finish(intents)

    def claim_expired(self, now: datetime, *, limit: int) -> Sequence[Intent]:
        """Ask the repository."""
        return self.repository.claim_expired(now, limit=limit)

    def list_intents(self, *, after: UUID | None = None, limit: int = 1000) -> Sequence[Intent]:
        """Ask the repository."""
        return self.repository.list_intents(after=after, limit=limit)

    def list_by_key(self, *, after: str = "", limit: int = 1000) -> Sequence[UserImage]:
        """Ask the repository."""
        return self.repository.list_by_key(after=after, limit=limit)

    def __getattr__(self, name: str) -> Any:
        """Return what a repository offers beyond the protocol, such as ``database_id``."""
        if name == "repository":  # not there yet, while this is copied or unpickled
            raise AttributeError(name)
        found = getattr(self.repository, name)
        return partial(self._revise, found) if name == "revise" else found

    def _revise(
        self, revise: Callable[..., UserImage | None], intent: Intent, image: UserImage, **how: Any
    ) -> UserImage | None:
        """Revise in the repository, then renew the user's listings, also if the outcome is unknown."""
        return self._changed(lambda: revise(intent, image, **how), image.user)

    def _changed(self, change: Callable[[], Changed], user: str | None) -> Changed:
        """Make a change, then renew the listings of its users, also if it fails, because it may have happened."""
        try:
            changed = change()
        except BaseException:
            if user is not None:
                self._renew(user)
            raise
        records: Iterable[UserImage | Intent] = changed if isinstance(changed, Sequence) else filter(None, [changed])
        for owner in {record.user for record in records}:
            self._renew(owner)
        return changed

    def _version(self, user: str) -> str:
        """Return the version of the user's listings, or a new one if the cache has lost it."""
        version = self._tried(lambda: _text(self._cache.get(self._key("version", user))))
        return self._renew(user) if version is None else version

    def _renew(self, user: str) -> str:
        """Start a new version. Pages that are still being read under the old one are discarded."""
        version = os.urandom(8).hex()
        self._keep(("version", user), version)
        return version

    def _keep(self, parts: Sequence[object], value: str) -> None:
        self._tried(lambda: self._cache.set(self._key(*parts), value, self._ttl))

    def _key(self, *parts: object) -> str:
        """Return a key that any cache accepts, that holds no user's name, and that no other database has."""
        if self._database_id is None:
            find: Callable[[], str] = getattr(self.repository, "database_id", str)
            self._database_id = find()
        named = repr((self._database_id, _SHAPE, *parts))
        return "userimages-" + hashlib.sha256(named.encode()).hexdigest()[:40]

    def _tried(self, ask: Callable[[], Found]) -> Found | None:
        """Ask the cache. If it fails, log that and return None."""
        try:
            return ask()
        except Exception as exc:
            log.warning("cache failed: %s", type(exc).__name__, extra={"event": "cache"}, exc_info=exc)
            return None


def _text(value: object) -> str | None:
    """Return a value as text, because a client of Redis returns bytes."""
    if isinstance(value, bytes):
        value = value.decode()
    return value if isinstance(value, str) else None


def _encoded(page: Iterable[UserImage]) -> str:
    return json.dumps([{name: _WRITE.get(name, _as_is)(getattr(image, name)) for name in _KEPT} for image in page])


def _decoded(value: object) -> tuple[UserImage, ...] | None:
    """Return the page that a value holds, or None if it holds none."""
    text = _text(value)
    try:
        records = None if text is None else json.loads(text)
        if not isinstance(records, list):
            return None
        return tuple(UserImage(**{name: _READ.get(name, _as_is)(record[name]) for name in _KEPT}) for record in records)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _as_is(value: Any) -> Any:
    return value


_KEPT = (*(name for name in FACTS if name != "recipe"), "is_primary")  # what a listing knows
_WRITE: Mapping[str, Callable[[Any], Any]] = {
    "id": str,
    "uploaded_at": datetime.isoformat,
    "meta": attrgetter("text"),
    "variants": Variants.to_json,
}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "id": UUID,
    "uploaded_at": datetime.fromisoformat,
    "meta": Meta,
    "variants": Variants.from_json,
}
