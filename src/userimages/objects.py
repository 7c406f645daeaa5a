"""The objects of one image: drafted from what was processed, put side by side, removed together."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from userimages import identity
from userimages.errors import ConfigurationError
from userimages.logs import log, reason
from userimages.model import ImageType, Processed, Rendition, UserImage, Variant, Variants
from userimages.ports import Storage

PROBE_PREFIX = "userimages-probe/"  # outside of what an audit judges
_PARALLEL_PUTS = 8

OnDeleted = Callable[[Sequence[str]], None]


def drafted(
    user: str, image_type: ImageType, caption: str, processed: Processed, *, at: datetime
) -> tuple[UserImage, dict[str, Rendition]]:
    """Return the record of what was processed, and its objects by key.

    Raises:
        ConfigurationError: the processor made a media type or named a variant that no key can hold.
    """
    _check_processed(processed)
    stem = identity.new_stem(user, image_type, at)
    main = processed.image
    variants, objects = {}, {identity.object_key(stem, main.mime_type): main}
    for name, each in processed.variants.items():
        key = identity.object_key(stem, each.mime_type, name)
        objects[key] = each
        variants[name] = Variant(key, each.width, each.height, len(each.data), each.mime_type, _sha256(each.data))
    image = UserImage(
        id=identity.new_id(at),
        user=user,
        image_type=image_type,
        caption=caption,
        uploaded_at=at,
        key=identity.object_key(stem, main.mime_type),
        width=main.width,
        height=main.height,
        size_bytes=len(main.data),
        mime_type=main.mime_type,
        sha256=_sha256(main.data),
        placeholder=processed.placeholder,
        variants=Variants(variants),
    )
    return image, objects


def _check_processed(processed: Processed) -> None:
    made = {processed.image.mime_type, *(each.mime_type for each in processed.variants.values())}
    if strange := sorted(made - identity.EXTENSIONS.keys()):
        known = ", ".join(identity.EXTENSIONS)
        raise ConfigurationError(f"The processor made {', '.join(strange)}.", hint=f"It may make {known}.")
    if wrong := [name for name in processed.variants if not identity.VARIANT_NAME.fullmatch(name)]:
        raise ConfigurationError(
            f"The processor named a variant {wrong[0]!r}.", hint="Use a-z, 0-9, - and _, at most 32 of them."
        )


def put_all(storage: Storage, objects: Mapping[str, Rendition]) -> dict[str, Exception]:
    """Put the objects side by side and return what failed, by key, once every PUT has ended."""
    from concurrent.futures import ThreadPoolExecutor

    def put(key: str) -> Exception | None:
        try:
            storage.put(key, objects[key].data, mime_type=objects[key].mime_type)
        except Exception as exc:
            return exc
        return None

    try:
        with ThreadPoolExecutor(min(_PARALLEL_PUTS, len(objects))) as pool:
            outcomes = list(pool.map(put, objects))
    except RuntimeError:  # no thread can be started any more; to put the same bytes again is fine
        outcomes = [put(key) for key in objects]
    return {key: failure for key, failure in zip(objects, outcomes, strict=True) if failure}


def remove_objects(storage: Storage, keys: Sequence[str], on_deleted: OnDeleted | None = None) -> None:
    """Delete the objects and tell *on_deleted* their public URLs; what that raises is logged, for they are gone."""
    storage.delete(keys)
    urls = [url for url in map(storage.url, keys) if url is not None] if on_deleted else []
    if on_deleted and urls:
        try:
            on_deleted(urls)
        except Exception as exc:
            log.warning("on_deleted failed: %s", reason(exc), extra={"event": "on_deleted", "objects": len(urls)})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
