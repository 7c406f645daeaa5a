"""Whose store is it: refuse to delete in a store that is not the one of this database."""

import secrets

from userimages.errors import ConfigurationError
from userimages.keys import PREFIX
from userimages.protocols import ImageRepository, Storage

_SAMPLE = 20


def require_own_store(storage: Storage, repository: ImageRepository) -> None:
    """Find the object of one of up to 20 listed images; one request is enough if the first is there.

    A listed image never lacks its object. So if none of them is there, this is the store of another database, or an
    empty volume, and what would be deleted or forgotten here belongs elsewhere.

    Raises:
        ConfigurationError: none of the objects is there.
    """
    somewhere = PREFIX + secrets.token_urlsafe()
    images = {image.id: image for image in repository.list_by_key(after=somewhere, limit=_SAMPLE)}
    if len(images) < _SAMPLE:
        images |= {image.id: image for image in repository.list_by_key(limit=_SAMPLE - len(images))}
    for image in images.values():
        if any(found.key == image.key for found in storage.list(image.key)):
            return
    if images:
        raise ConfigurationError(
            f"None of {len(images)} images that the database lists is in this store, so nothing was deleted.",
            hint="Check that the storage and the database belong together, and that the volume is mounted.",
        )
