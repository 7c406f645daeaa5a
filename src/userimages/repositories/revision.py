"""What the repositories share about ``revise``: when it may be done, and what it leaves behind."""

from datetime import datetime

from userimages.ids import new_id, utcnow
from userimages.model import REVISED, Intent, UserImage


def is_still(found: UserImage, of: UserImage) -> bool:
    """Tell whether the variants of the record are those that were read: whole, because a recipe may come back."""
    return (found.key, found.recipe, found.variants) == (of.key, of.recipe, of.variants)


def is_revised(found: UserImage, image: UserImage) -> bool:
    """Tell whether the record is already as *image*: an earlier try has done it, and its answer was lost."""
    return all(getattr(found, name) == getattr(image, name) for name in REVISED)


def retirement(found: UserImage, revised: UserImage, keep_until: datetime) -> Intent | None:
    """Return the intent for the objects that only the old record names, or None if there are none."""
    left = tuple(key for key in found.object_keys if key not in revised.object_keys)
    if not left:
        return None
    return Intent(id=new_id(utcnow()), user=found.user, object_keys=left, lease_until=keep_until)
