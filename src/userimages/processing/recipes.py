"""What is made of a picture: its bounds, its variants, and their formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from userimages.errors import ConfigurationError
from userimages.keys import VARIANT_NAME

Format = Literal["jpeg", "webp", "avif"]
Box = tuple[int, int, int, int]
Size = tuple[int, int]

_MAX_SIDE = 1_000_000


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if type(value) is not int or not 1 <= value <= _MAX_SIDE:
        raise ConfigurationError(
            f"{type(instance).__name__} has {attribute.name}={value!r}.",
            hint=f"Pass whole pixels, an int from 1 to {_MAX_SIDE:,}.",
        )


@attrs.frozen
class Fit:
    """The whole picture, at most *width* by *height* pixels (None: any height). Never enlarged.

    >>> Fit(1920, 1920).place((4000, 3000))
    ((0, 0, 4000, 3000), (1920, 1440))
    """

    width: int = attrs.field(validator=_positive)
    height: int | None = attrs.field(default=None, validator=_positive)

    def place(self, size: Size) -> tuple[Box, Size]:
        """Return which part of a picture of this *size* is taken, and how large it becomes."""
        width, height = size
        scale = min(1.0, self.width / width, (self.height or height) / height)
        return (0, 0, width, height), (max(1, round(width * scale)), max(1, round(height * scale)))


@attrs.frozen
class Fill:
    """A picture of the shape *width* by *height*, cut from the middle or around *focus*. Never enlarged.

    *focus* is the point that stays as near to the middle as can be, (0.0, 0.0) top left, (1.0, 1.0) bottom right. A
    picture that is too small keeps the shape and becomes as large as it can.

    >>> Fill(256, 256).place((400, 300))
    ((50, 0, 350, 300), (256, 256))
    >>> Fill(256, 256, focus=(0.0, 0.5)).place((100, 80))
    ((0, 0, 80, 80), (80, 80))
    """

    width: int = attrs.field(validator=_positive)
    height: int = attrs.field(validator=_positive)
    focus: tuple[float, float] = attrs.field(default=(0.5, 0.5), kw_only=True)

    @focus.validator
    def _check_focus(self, attribute: object, value: tuple[float, float]) -> None:
        try:
            across, down = value if isinstance(value, tuple | list) else ()
            inside = 0 <= across <= 1 and 0 <= down <= 1
        except (TypeError, ValueError):
            inside = False
        if not inside:
            raise ConfigurationError(f"Fill has focus={value!r}.", hint="Pass two numbers from 0 to 1, as (0.5, 0.2).")

    def place(self, size: Size) -> tuple[Box, Size]:
        """Return which part of a picture of this *size* is taken, and how large it becomes."""
        width, height = size
        shape = self.width / self.height
        wide, high = max(1, round(min(width, height * shape))), max(1, round(min(height, width / shape)))
        left, top = _around(self.focus[0], wide, width), _around(self.focus[1], high, height)
        scale = min(1.0, self.width / wide)
        return (left, top, left + wide, top + high), (
            min(self.width, max(1, round(wide * scale))),
            min(self.height, max(1, round(high * scale))),
        )


def _around(focus: float, part: int, whole: int) -> int:
    return min(whole - part, max(0, math.floor(focus * whole - part / 2 + 0.5)))


def _copied(variants: Mapping[str, Fit | Fill]) -> Mapping[str, Fit | Fill]:
    if not isinstance(variants, Mapping):
        raise ConfigurationError(
            f"A recipe has the variants {variants!r}.", hint="Pass a dict from names to Fit(...) or Fill(...)."
        )
    return dict(variants)


@attrs.frozen
class Recipe:
    """What is stored of a picture of one type.

    *main* bounds the image itself, *variants* (by name) are made from it. ``format`` None stores JPEG, or WebP
    where there is transparency or an animation; ``"jpeg"`` puts transparency on white and keeps the first frame.
    Variants of an animation are still. Qualities are 1 to 100.

    >>> Recipe(Fit(1920, 1920), variants={"256": Fill(256, 256)}).variants["256"].width
    256
    """

    main: Fit | Fill = Fit(1920, 1920)
    variants: Mapping[str, Fit | Fill] = attrs.field(factory=dict, kw_only=True, converter=_copied)
    format: Format | None = attrs.field(default=None, kw_only=True)
    variant_format: Format = attrs.field(default="webp", kw_only=True)
    quality: int = attrs.field(default=85, kw_only=True)
    variant_quality: int = attrs.field(default=80, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for shape in (self.main, *self.variants.values()):
            if not isinstance(shape, Fit | Fill):
                raise ConfigurationError(f"A recipe has the shape {shape!r}.", hint="Pass Fit(...) or Fill(...).")
        for name in self.variants:
            if not isinstance(name, str) or not VARIANT_NAME.fullmatch(name):
                raise ConfigurationError(
                    f"A variant is named {name!r}.", hint="Use a-z, 0-9, - and _, at most 32 of them."
                )
        for format in ("webp" if self.format is None else self.format, self.variant_format):
            if format not in ("jpeg", "webp", "avif"):
                raise ConfigurationError(f"A recipe has the format {format!r}.", hint="Use jpeg, webp or avif.")
        for quality in (self.quality, self.variant_quality):
            if type(quality) is not int or not 1 <= quality <= 100:
                raise ConfigurationError(f"A recipe has the quality {quality!r}.", hint="Use 1 to 100.")


def _squares(*sides: int) -> dict[str, Fit | Fill]:
    return {str(side): Fill(side, side) for side in sides}


def _widths(*widths: int) -> dict[str, Fit | Fill]:
    return {str(width): Fit(width) for width in widths}


# The largest variant of a gallery is bounded in both directions: of an upright photograph, 1280 pixels across would be
# four fifths of the image itself, and a fourth of what its upload costs.
RECIPES: Mapping[str, Recipe] = {
    "profile": Recipe(variants=_squares(64, 128, 256, 512)),
    "gallery": Recipe(variants=_widths(320, 640) | {"1280": Fit(1280, 1280)}),
    "cover": Recipe(variants=_widths(640, 1280)),
}
