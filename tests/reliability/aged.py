"""A store whose images were all put long ago, so that an audit judges them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs

from userimages import Storage
from userimages.model import StoredObject


@attrs.frozen
class Aged:
    """A storage whose images were all put two days ago."""

    storage: Storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        for found in self.storage.list(prefix, after=after):
            old = found.key.startswith("users/")
            yield attrs.evolve(found, modified=found.modified - timedelta(days=2)) if old else found
