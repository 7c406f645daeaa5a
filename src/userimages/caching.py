"""A cache in front of any repository."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import attrs

from userimages.errors import ConfigurationError
from userimages.logs import log
from userimages.model import Intent, PublishResult, Usage, UserImage, Variant
from userimages.protocols import ImageRepository

Changed = TypeVar("Changed", UserImage | None, Sequence[Intent])

# A record pickled by a release with other fields must not be read by this one.
_SHAPE = ",".join(field.name for cls in (UserImage, Variant) for field in attrs.fields(cls))


class Cache(Protocol):
    """What is asked of a cache: Django's caches and those of cachelib have it."""

    def get(self, key: str, /) -> Any:
        """Return the value, or None."""

    def set(self, key: str, value: Any, timeout: int, /) -> Any:
        """Keep *value* for *timeout* seconds, or for less."""


class CachingRepository:
    """Keep the listings of a repository in a cache for *ttl* seconds, or until their user's images change.

    *cache* is anything with ``get(key)`` and ``set(key, value, timeout)`` that takes picklable values, such as
    ``django.core.cache.cache`` or one of cachelib. Share one cache between all processes that write.

    It saves the database the statement of each page of ``list`` that is read again: two reads of the cache stand in
    its place, so it is worth its while where the database is the bottleneck, not where a listing should be quicker.
    It costs one write to the cache after each change of a user's images, and two where a page is read first. All else
    goes straight to the repository, so that what is served or deleted is never decided by a cache.

    A page is kept under a version of its user, and each change writes a new version once it is committed: whoever
    reads after that sees it. A page may be stale, for *ttl* seconds at most, where something else changes the tables,
    where the cache cannot be written or a process dies just after a commit, and where caches are not shared. A cache
    that fails is logged and otherwise ignored.

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
            raise ConfigurationError("ttl is not a whole number of seconds from 1 up.", hint="Pass, say, ttl=300.")
        self.repository = repository
        self._cache = cache
        self._ttl = ttl

    def begin_upload(self, intent: Intent, *, now: datetime) -> UserImage | None:
        """Begin in the repository."""
        return self.repository.begin_upload(intent, now=now)

    def publish(
        self, intent: Intent, image: UserImage, *, is_primary: bool, replace: bool, per_type: bool = False
    ) -> PublishResult | None:
        """Publish in the repository, then renew the user's listings; also if the outcome is unknown."""
        try:
            return self.repository.publish(intent, image, is_primary=is_primary, replace=replace, per_type=per_type)
        finally:
            self._renew(image.user)

    def list(
        self, user: str, *, limit: int, after: tuple[datetime, UUID] | None = None, image_type: str | None = None
    ) -> Sequence[UserImage]:
        """Return the page from the cache, or read it and keep it there."""
        version = self._version(user)
        name = _hashed("page", user, version, limit, after, image_type)
        page = self._tried("get", name)
        if not isinstance(page, tuple):
            page = tuple(self.repository.list(user, limit=limit, after=after, image_type=image_type))
            self._tried("set", name, page, self._ttl)
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
        """Ask the repository: one query for many users is cheaper than one look in the cache for each."""
        return self.repository.primaries(users, image_type=image_type)

    def usage(self, user: str) -> Usage:
        """Ask the repository."""
        return self.repository.usage(user)

    def finish(self, intents: Sequence[Intent]) -> None:
        """Finish in the repository."""
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
        """Give what a repository offers beyond the protocol, such as ``database_id``."""
        if name == "repository":  # not there yet, while this is copied or unpickled
            raise AttributeError(name)
        return getattr(self.repository, name)

    def _changed(self, change: Callable[[], Changed], user: str | None) -> Changed:
        """Make a change; renew the listings of the users that it names, or of the one that was named if it failed."""
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
        """Return the version of the user's listings; a new one where the cache has lost it."""
        name = _hashed("version", user)
        version = self._tried("get", name)
        if not isinstance(version, str):
            version = self._new_version(name)
        return version

    def _renew(self, user: str) -> None:
        self._new_version(_hashed("version", user))

    def _new_version(self, name: str) -> str:
        """Write a version that never was before, so that pages which are still being read under an old one are lost."""
        version = os.urandom(8).hex()
        self._tried("set", name, version, self._ttl)
        return version

    def _tried(self, verb: str, *arguments: object) -> Any:
        """Call the cache; log where it fails, and return None."""
        try:
            return getattr(self._cache, verb)(*arguments)
        except Exception as exc:
            log.warning("cache failed: %s", type(exc).__name__, extra={"event": "cache", "verb": verb}, exc_info=exc)
            return None


def _hashed(*parts: object) -> str:
    """Return a key that any cache takes and that names nobody."""
    return "userimages-" + hashlib.sha256(repr((_SHAPE, *parts)).encode()).hexdigest()[:40]
