"""The values that travel through the library: frozen, comparable, picklable, free of I/O."""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, overload
from uuid import UUID

import attrs


class ImageType(StrEnum):
    """The names of the three image types that every service knows, unless its processor says otherwise.

    A member equals its string: ``ImageType.COVER == "cover"``. An application adds a type by a recipe of that name.
    """

    PROFILE = "profile"
    GALLERY = "gallery"
    COVER = "cover"

    @property
    def label(self) -> str:
        """The name a person reads, such as ``"Profile Picture"``."""
        return _LABELS[self.value]


_LABELS = {"profile": "Profile Picture", "gallery": "Gallery Image", "cover": "Cover Photo"}


@attrs.frozen
class Variant:
    """A smaller rendition of an image, stored as an object of its own.

    ``width`` and ``height`` are pixels, ``size_bytes`` bytes, ``sha256`` 64 hex digits of the stored bytes.
    """

    key: str
    width: int
    height: int
    size_bytes: int
    mime_type: str
    sha256: str
    url: str = ""


_VARIANT_FACTS = attrgetter("key", "width", "height", "size_bytes", "mime_type", "sha256")


class Variants(Mapping[str, Variant]):
    """The variants of an image by name, in the order of the recipe. Read-only and hashable.

    They may be made on first use, because most listings never look at them.
    """

    __slots__ = ("_load", "_named")

    def __init__(self, named: Mapping[str, Variant] = {}) -> None:
        self._named = dict(named)
        self._load: Callable[[], Mapping[str, Variant]] | None = None

    @classmethod
    def lazy(cls, load: Callable[[], Mapping[str, Variant]]) -> Variants:
        """Return variants that ``load()`` gives when somebody looks at them."""
        made = cls()
        made._load = load
        return made

    @classmethod
    def from_json(cls, text: str) -> Variants:
        """Return the variants that ``to_json`` has written. They are decoded when somebody looks at them."""
        return cls.lazy(lambda: {name: Variant(*facts) for name, facts in json.loads(text).items()})

    def to_json(self) -> str:
        """Return the variants, without their URLs, as a JSON object of lists."""
        return json.dumps({name: _VARIANT_FACTS(each) for name, each in self.items()})

    def with_urls(self, url: Callable[[str, Variant], str]) -> Variants:
        """Return the same variants, lazily, with ``url(name, variant)`` as the URL of each."""

        def made() -> dict[str, Variant]:  # by the constructor, because attrs.evolve takes longer than all the rest
            return {
                name: Variant(v.key, v.width, v.height, v.size_bytes, v.mime_type, v.sha256, url(name, v))
                for name, v in self._ready().items()
            }

        return Variants.lazy(made)

    def _ready(self) -> Mapping[str, Variant]:
        load = self._load  # read once, because another thread may be here too; both make the same
        if load is not None:
            self._named = dict(load())
            self._load = None
        return self._named

    def __getitem__(self, name: str) -> Variant:
        try:
            return self._ready()[name]
        except KeyError:
            raise KeyError(
                f"There is no variant {name!r}, only {', '.join(self) or 'the image itself'}. "
                "If the recipe has changed, a rebuild is due: images.rebuild_all()."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._ready())

    def __len__(self) -> int:
        return len(self._ready())

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"Variants({dict(self)!r})"

    def __reduce__(self) -> tuple[type[Variants], tuple[dict[str, Variant]]]:
        return Variants, (dict(self),)


def _variants(named: Mapping[str, Variant]) -> Variants:
    return named if isinstance(named, Variants) else Variants(named)


class Meta(Mapping[str, Any]):
    """What an application keeps with an image: a read-only JSON object.

    It is compared and hashed by its canonical text. What it gives out is a copy, and ``dict(meta)`` copies it all.

    >>> meta = Meta.of({"alt": "A cat", "tags": ["cat"]})
    >>> meta["alt"], dict(meta)
    ('A cat', {'alt': 'A cat', 'tags': ['cat']})
    >>> meta == {"tags": ["cat"], "alt": "A cat"}
    True
    """

    __slots__ = ("_decoded", "text")

    def __init__(self, text: str = "{}") -> None:
        self.text = text
        self._decoded: dict[str, Any] | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Meta:
        """Return the read-only object with these values, in canonical text: sorted keys, no spaces, UTF-8."""
        if isinstance(values, Meta):
            return values
        return cls(json.dumps(dict(values), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))

    def _values(self) -> dict[str, Any]:
        if self._decoded is None:
            self._decoded = json.loads(self.text)
        return self._decoded

    def __getitem__(self, name: str) -> Any:
        return copy.deepcopy(self._values()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Meta):
            return self.text == other.text
        return isinstance(other, Mapping) and self._values() == dict(other)

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Meta({self.text})"

    def __reduce__(self) -> tuple[type[Meta], tuple[str]]:
        return Meta, (self.text,)


def _meta(values: Mapping[str, Any]) -> Meta:
    return Meta.of(values)


@attrs.frozen(kw_only=True)
class UserImage:
    """A stored image of a user: facts of the stored bytes, never of what was sent.

    Attributes:
        id: a UUIDv7, which begins with the instant of ``uploaded_at``.
        user: the owner, as the application names it.
        image_type: the name of the type, such as ``"profile"``; it equals the member of ``ImageType``.
        is_primary: whether it is a primary image of its user.
        caption: plain text, ``""`` if there is none.
        meta: what the application keeps with the image, a read-only JSON object.
        uploaded_at: aware UTC.
        key: the key of its object in the storage.
        width, height: pixels of the upright image.
        size_bytes: bytes of the image itself.
        stored_bytes: bytes of all its objects: the image and its variants.
        mime_type, sha256: of the image itself; SHA-256 is 64 hex digits.
        placeholder: a ThumbHash in base64, to show while the image loads.
        frames: 1 for a still, more for an animation.
        variants: smaller renditions by name.
        recipe: 16 hex digits that stand for what made the variants. Listings leave it empty; it is not compared.
        url: filled by the service when it hands a record out, as is that of each variant.

    >>> from userimages import ImageService
    >>> from userimages.testing.images import make_image
    >>> cat = ImageService.in_memory().upload("ana", make_image("JPEG", (1000, 500)), image_type="gallery")
    >>> cat.width, cat.height, cat.mime_type, sorted(cat.variants)
    (1000, 500, 'image/jpeg', ['1280', '320', '640'])
    >>> cat.variant(300).width, cat.variant(5000).width
    (320, 1000)
    """

    id: UUID
    user: str
    image_type: str = attrs.field(converter=str)
    is_primary: bool = False
    caption: str = ""
    meta: Meta = attrs.field(default=Meta(), converter=_meta)
    uploaded_at: datetime
    key: str
    width: int
    height: int
    size_bytes: int
    stored_bytes: int = 0
    mime_type: str
    sha256: str
    placeholder: str = ""
    frames: int = 1
    variants: Variants = attrs.field(default=Variants(), converter=_variants)
    recipe: str = attrs.field(default="", eq=False, repr=False)
    url: str = ""

    @property
    def animated(self) -> bool:
        """Whether the stored image has more than one frame."""
        return self.frames > 1

    @property
    def object_keys(self) -> tuple[str, ...]:
        """The keys of all objects of this image, its own first and each once: variants of equal bytes share one."""
        return tuple(dict.fromkeys((self.key, *(variant.key for variant in self.variants.values()))))

    def variant(self, width: int) -> UserImage | Variant:
        """Return the narrowest variant that is at least *width* pixels wide, or the image itself if there is none."""
        wide_enough = [each for each in self.variants.values() if each.width >= width]
        return min(wide_enough, key=lambda each: each.width, default=self)

    def to_dict(self) -> dict[str, Any]:
        """Return what clients may see, ready for ``json.dumps``: the image of the HTTP contract.

        It has no user, meta, key, hash or recipe.
        """
        return {
            "id": str(self.id),
            "url": self.url,
            "image_type": self.image_type,
            "is_primary": self.is_primary,
            "caption": self.caption,
            "uploaded_at": self.uploaded_at.isoformat(),
            "width": self.width,
            "height": self.height,
            "size_bytes": self.size_bytes,
            "mime_type": self.mime_type,
            "placeholder": self.placeholder,
            "frames": self.frames,
            "variants": {
                name: {fact: getattr(each, fact) for fact in ("url", "width", "height", "size_bytes", "mime_type")}
                for name, each in self.variants.items()
            },
        }

    def srcset(self, *, still: bool = False) -> str:
        """Return the ``srcset`` of an ``<img>``: each stored width once, narrowest first, all of one shape.

        Where the variants are cropped to another shape than the image itself (profile squares), only they are listed.
        Of an animation only the image itself moves, so it is listed alone; with *still* its variants are.
        """
        return ", ".join(f"{each.url} {each.width}w" for each in self._choices(still=still))

    def img_attributes(
        self, *, sizes: str = "100vw", still: bool = False, alt: str | None = None, loading: str | None = None
    ) -> dict[str, str]:
        """Return the attributes of an ``<img>`` for a template: ``src``, ``srcset``, ``sizes``, ``width``, ``height``.

        An animation has no ``srcset`` and no ``sizes``, because its variants do not move.

        Args:
            sizes: the HTML attribute of that name, such as ``"(max-width: 600px) 100vw, 600px"``.
            still: show the variants of an animation, which do not move.
            alt: the HTML attribute of that name; None leaves it out.
            loading: the same, such as ``"lazy"``.

        The values are not escaped: a template engine does that.
        """
        choices = self._choices(still=still)
        widest = choices[-1]
        attributes = {"src": widest.url, "width": str(widest.width), "height": str(widest.height)}
        if still or not self.animated:
            attributes |= {"srcset": self.srcset(still=still), "sizes": sizes}
        given = {"alt": alt, "loading": loading}
        return attributes | {name: value for name, value in given.items() if value is not None}

    def _choices(self, *, still: bool) -> list[UserImage | Variant]:
        """List what a browser may choose from: the largest variant's shape decides, ascending by width.

        What moves and what does not are never in one list, because a browser chooses by width alone.
        """
        variants: list[UserImage | Variant] = list(self.variants.values())
        if self.animated and not (still and variants):
            return [self]
        everything = variants if self.animated else [self, *variants]
        largest = max(variants or everything, key=lambda each: each.width)
        by_width = {each.width: each for each in everything if _similar(each, largest)}
        return [by_width[width] for width in sorted(by_width)]


FACTS = tuple(field.name for field in attrs.fields(UserImage) if field.name not in ("is_primary", "url"))
"""The facts of a record that a repository keeps in its row, in order."""

_KEPT = tuple(field.name for field in attrs.fields(UserImage) if field.name not in ("url", "variants"))
_kept_facts = operator.attrgetter(*_KEPT)


def with_urls(image: UserImage, url: str, variants: Variants) -> UserImage:
    """Return the same record with these URLs. ``attrs.evolve`` takes longer, and a page has many."""
    return UserImage(**dict(zip(_KEPT, _kept_facts(image), strict=True)), url=url, variants=variants)


CHANGEABLE = ("caption", "meta")
"""The facts that an update may change."""

REVISED = ("stored_bytes", "placeholder", "variants", "recipe")
"""The facts that a rebuild changes."""


def _similar(one: UserImage | Variant, other: UserImage | Variant) -> bool:
    """Tell whether two sizes have one shape, up to the rounding of the smaller to whole pixels."""
    tolerance = max(one.width, one.height, other.width, other.height)
    return abs(one.width * other.height - other.width * one.height) <= tolerance


@attrs.frozen
class Page(Sequence[UserImage]):
    """One page of a listing: a sequence of images, and in ``next_cursor`` where the next page begins (or None)."""

    images: tuple[UserImage, ...] = ()
    next_cursor: str | None = None

    @overload
    def __getitem__(self, index: int) -> UserImage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[UserImage]: ...
    def __getitem__(self, index: int | slice) -> UserImage | Sequence[UserImage]:
        return self.images[index]

    def __len__(self) -> int:
        return len(self.images)


@attrs.frozen
class Usage:
    """How much a user has stored: the number of images, and the bytes of all their objects."""

    images: int = 0
    stored_bytes: int = 0


@attrs.frozen
class UserDeletion:
    """What the deletion of a user did.

    ``images`` is how many were deleted. ``left`` lists the keys that are still stored under the user's prefix, listed
    afterwards and at most 1,000 of them: an empty tuple is the proof that nothing is left.
    """

    images: int = 0
    left: tuple[str, ...] = ()


@attrs.frozen
class Rendition:
    """Encoded bytes as a processor made them, with their size in pixels and their media type."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    width: int
    height: int
    mime_type: str


@attrs.frozen
class ProcessedImage:
    """What a processor makes of one file.

    ``main`` is the image itself, ``variants`` are smaller ones by name, ``placeholder`` is a ThumbHash in base64, and
    ``frames`` is the number of frames of ``main``: 1 is a still.
    """

    main: Rendition
    variants: Mapping[str, Rendition] = attrs.field(factory=dict)
    placeholder: str = ""
    frames: int = 1


DISTANT_PAST = datetime(1970, 1, 1, tzinfo=UTC)  # the lease of a deletion: it is due at once
SECOND_LOOK = timedelta(hours=1)  # by which a claim moves the lease on


@attrs.frozen(kw_only=True)
class Intent:
    """Work in hand: it names objects before they are written or deleted, as an intent log does.

    ``lease_until`` is the instant after which the sweep may claim the work. ``claimed`` tells that a sweep did so, or
    that the ticket of a direct upload has made its image; nobody can publish the intent any more. ``input_sha256`` is
    64 hex digits of the uploaded file; it is compared when an idempotency key comes back.
    """

    id: UUID
    user: str
    object_keys: tuple[str, ...]
    lease_until: datetime
    idempotency_key: str | None = None
    input_sha256: str = ""
    claimed: bool = False


@attrs.frozen(kw_only=True)
class Ticket:
    """Permission to put one file into the store, directly and once, until ``expires_at``.

    Send the bytes of the file as the body of a request with this ``method``, ``url`` and these ``headers``, then call
    ``finish_upload``. The image will have the ``id`` of the ticket.
    """

    id: UUID
    url: str = attrs.field(repr=False)  # whoever has it may use it
    headers: Mapping[str, str]
    expires_at: datetime
    method: str = "PUT"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, with the names that the S3 plugins of Uppy and FilePond use."""
        return {
            "id": str(self.id),
            "method": self.method,
            "url": self.url,
            "fields": {},
            "headers": dict(self.headers),
            "expires_at": self.expires_at.isoformat(),
        }


@attrs.frozen
class PublishResult:
    """The outcome of publishing: the image as it is now listed, and the intents of the images that it replaced."""

    image: UserImage
    replaced: tuple[Intent, ...] = ()


@attrs.frozen
class StoredObject:
    """One object of a storage's listing: ``size`` in bytes, ``modified`` aware UTC by the store's own clock."""

    key: str
    size: int
    modified: datetime


@attrs.frozen
class MissingObject:
    """An object that the image *image_id* names, and that the store lacks or holds otherwise."""

    key: str
    image_id: UUID


@attrs.frozen
class SweepReport:
    """What a sweep did with how many intents.

    ``finished`` are done for good. ``claimed`` were deleted once and are due again in an hour. ``failed`` are left to
    the next sweep; of these, ``overdue`` have been due for more than a day, the oldest of them since ``oldest``.
    """

    finished: int = 0
    claimed: int = 0
    failed: int = 0
    overdue: int = 0
    oldest: datetime | None = None


@attrs.frozen(kw_only=True)
class AuditReport:
    """What an audit saw: counts of objects and rows, and every difference by its key.

    ``orphans`` are objects that no image and no intent names, ``missing`` those that an image names and the store
    lacks, ``damaged`` those that are not what the record says. ``foreign`` counts the objects of other databases and
    ``unknown`` the keys of another grammar; neither is ever deleted. ``deleted`` counts the orphans that went.
    ``stopped_at`` is the key after which to resume if the audit ended early, else None; ``note`` says why.
    """

    objects: int = 0
    images: int = 0
    orphans: tuple[StoredObject, ...] = ()
    missing: tuple[MissingObject, ...] = ()
    damaged: tuple[MissingObject, ...] = ()
    foreign: int = 0
    unknown: int = 0
    deleted: int = 0
    stopped_at: str | None = None
    note: str = ""


@attrs.frozen
class RebuildReport:
    """What a rebuild did.

    ``rebuilt`` counts the images that have new variants, ``current`` those whose variants are of the present recipe,
    and ``failed`` lists the ids of those that could not be made again: they keep what they had, and the log says why.
    ``stopped_at`` is the key after which to go on, or None if the last image has been reached.
    """

    rebuilt: int = 0
    current: int = 0
    failed: tuple[UUID, ...] = ()
    stopped_at: str | None = None


@attrs.frozen
class TransferReport:
    """What a copy did.

    ``copied`` and ``present`` count objects (images, if records were copied); ``present`` were there before.
    ``wrong`` are objects whose bytes differ from the record, in the source or in the target, and ``missing`` are those
    that the source lacks; neither is ever copied. ``stopped_at`` is the key after which to go on if the copy ended
    early, else None.
    """

    copied: int = 0
    present: int = 0
    wrong: tuple[MissingObject, ...] = ()
    missing: tuple[MissingObject, ...] = ()
    stopped_at: str | None = None


@attrs.frozen
class Check:
    """One line of a check: what was tried, whether it is well, what was seen and what to do."""

    name: str
    ok: bool
    detail: str = ""
    hint: str = ""


@attrs.frozen
class CheckReport:
    """The outcome of ``ImageService.check()``; ``ok`` where every check is.

    ``overdue`` intents have been due for more than a day, the oldest of them since ``oldest``.
    """

    checks: tuple[Check, ...] = ()
    overdue: int = 0
    oldest: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether every check is well."""
        return all(check.ok for check in self.checks)
