"""A probe: an object that is written to learn something about the store, and then deleted."""

import os
from datetime import datetime

from userimages.errors import StorageError
from userimages.keys import PROBE_PREFIX
from userimages.protocols import Storage


def store_time(storage: Storage) -> datetime:
    """Return the present by the store's own clock, read off a probe: the clock of this machine may be wrong by days."""
    key = PROBE_PREFIX + os.urandom(10).hex()
    storage.put(key, b"What time is it?", mime_type="text/plain")
    try:
        return written_at(storage, key)
    finally:
        storage.delete([key])


def written_at(storage: Storage, key: str) -> datetime:
    """Return when the probe *key* was written, by the clock of the store."""
    found = next(storage.list(key), None)
    if found is None:
        raise StorageError("The listing lacks what was just written.", hint="Use a store whose listing is up to date.")
    return found.modified
