"""What is stored of an image: intake (is it safe), engine (one decode, many outputs), recipes, ThumbHash."""

import hashlib
from collections.abc import Mapping

from userimages.errors import ConfigurationError
from userimages.keys import TYPE_NAME
from userimages.model import ProcessedImage
from userimages.processing import heif, resize
from userimages.processing.budget import Budget
from userimages.processing.engine import process
from userimages.processing.intake import examine
from userimages.processing.limits import Limits
from userimages.processing.memory import LARGE, estimate, give_back
from userimages.processing.recipes import RECIPES, Fill, Fit, Recipe

_ENGINE = 1  # raise it when the same recipe makes other variants

__all__ = ["Fill", "Fit", "Limits", "PillowProcessor", "Recipe"]


class PillowProcessor:
    """Turns an uploaded file into what is stored, with Pillow, in the thread that calls.

    Any number of threads may share one processor, and a process may fork after its use.

    Args:
        recipes: a recipe by the name of an image type. It replaces the recipe of a type that is known or adds a type,
            and None takes a type away.
        limits: what a file may ask for.
        heic: read what iPhones send, with the extra ``userimages[heic]``.

    Raises:
        ConfigurationError: a recipe cannot work, or *heic* is asked for and pi-heif is not installed.

    >>> from userimages.testing.images import make_image
    >>> processor = PillowProcessor(recipes={"banner": Recipe(variants={"256": Fill(256, 256)}), "cover": None})
    >>> processor.image_types
    ('profile', 'gallery', 'banner')
    >>> processed = processor(make_image("JPEG", (640, 480), orientation=6), "banner")
    >>> processed.main.width, processed.main.height, processed.variants["256"].width
    (480, 640, 256)
    """

    def __init__(
        self,
        *,
        recipes: Mapping[str, Recipe | None] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        heic: bool = False,
    ) -> None:
        if not isinstance(limits, Limits):
            raise ConfigurationError(f"The limits are {limits!r}.", hint="Pass Limits(...).")
        chosen = {**RECIPES, **_check_recipes(recipes or {})}
        self.recipes: Mapping[str, Recipe] = {name: recipe for name, recipe in chosen.items() if recipe is not None}
        self.limits = limits
        self.heic = heic
        if heic:
            heif.library()
        self._budget = Budget(limits.memory_in_flight, limits.wait_seconds)

    @property
    def max_bytes(self) -> int:
        """The largest accepted file in bytes."""
        return self.limits.max_bytes

    @property
    def image_types(self) -> tuple[str, ...]:
        """The names of the types that have a recipe."""
        return tuple(self.recipes)

    @property
    def resizer(self) -> str:
        """What shrinks pictures here: cykooz-resizer of the extra ``fast``, or Pillow."""
        return resize.description()

    def recipe_id(self, image_type: str) -> str:
        """Return 16 hex digits that change when what is made of a file of this type changes."""
        facts = f"{_ENGINE} {self._recipe(image_type)!r}"
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def __call__(self, data: bytes, image_type: str) -> ProcessedImage:
        """Return the image upright, in sRGB, bounded and without metadata, with its variants and its ThumbHash.

        Raises:
            ConfigurationError: there is no recipe for *image_type*.
            RejectedImageError: the file cannot be accepted; its subclasses say why.
            BusyError: other images have held the machine for ``Limits(wait_seconds=)``.
        """
        recipe = self._recipe(image_type)
        header = examine(bytes(data), self.limits, heic=self.heic)
        needed = estimate(header, recipe)
        self.limits.allow_memory(needed)
        with self._budget.hold(needed):
            try:
                return process(header, recipe, self.limits)
            finally:
                if needed >= LARGE:
                    give_back()

    def _recipe(self, image_type: str) -> Recipe:
        recipe = self.recipes.get(image_type)
        if recipe is None:
            raise ConfigurationError(
                f"There is no recipe for the image type {image_type!r}.",
                hint=f"There are recipes for {', '.join(self.recipes)}. Pass recipes={{{image_type!r}: Recipe(...)}}.",
            )
        return recipe


def _check_recipes(recipes: Mapping[str, Recipe | None]) -> dict[str, Recipe | None]:
    """Return *recipes* with plain strings as keys."""
    if not isinstance(recipes, Mapping):
        raise ConfigurationError(
            f"The recipes are {recipes!r}.", hint="Pass a dict from the name of an image type to Recipe(...)."
        )
    for name, recipe in recipes.items():
        if not isinstance(name, str) or not TYPE_NAME.fullmatch(name):
            raise ConfigurationError(
                f"There is a recipe for the image type {name!r}.",
                hint="A type has a name of 1 to 16 of the characters a-z, 0-9 and _, and begins with a letter.",
            )
        if recipe is None and name not in RECIPES:
            raise ConfigurationError(
                f"There is no image type {str(name)!r} to take away.", hint=f"There are {', '.join(RECIPES)}."
            )
        if recipe is not None and not isinstance(recipe, Recipe):
            raise ConfigurationError(
                f"The recipe of {str(name)!r} is of type {type(recipe).__name__}.",
                hint="Pass Recipe(...), or None to take the type away.",
            )
    return {str(name): recipe for name, recipe in recipes.items()}
