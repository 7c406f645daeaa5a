"""What is stored of a picture: intake (is it safe), engine (one decode, many outputs), recipes, ThumbHash."""

from collections.abc import Mapping

from userimages.errors import ConfigurationError
from userimages.model import ImageType, ProcessedImage
from userimages.processing import heif
from userimages.processing.budget import Budget
from userimages.processing.engine import process
from userimages.processing.intake import examine
from userimages.processing.limits import Limits
from userimages.processing.memory import estimate
from userimages.processing.recipes import RECIPES, Fill, Fit, Recipe

__all__ = ["Fill", "Fit", "Limits", "PillowProcessor", "Recipe"]


class PillowProcessor:
    """Makes of an uploaded file what is stored, with Pillow, in the thread that calls.

    *recipes* replaces the recipe of an image type, *limits* what a file may ask for; *heic* reads what iPhones send,
    with the extra ``userimages[heic]``. Any number of threads may share one processor, and a process may fork after
    its use. With *heic* and no pi-heif the constructor raises ``ConfigurationError``.

    >>> from userimages import ImageType
    >>> from userimages.testing import make_image
    >>> processor = PillowProcessor(recipes={ImageType.PROFILE: Recipe(variants={"256": Fill(256, 256)})})
    >>> processed = processor(make_image("JPEG", (640, 480), orientation=6), ImageType.PROFILE)
    >>> processed.main.width, processed.main.height, processed.variants["256"].width
    (480, 640, 256)
    """

    def __init__(
        self,
        *,
        recipes: Mapping[ImageType, Recipe] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        heic: bool = False,
    ) -> None:
        if not isinstance(limits, Limits):
            raise ConfigurationError(f"The limits are {limits!r}.", hint="Pass Limits(...).")
        self.recipes = {**RECIPES, **_checked(recipes or {})}
        self.limits = limits
        self.heic = heic
        if heic:
            heif.library()
        self._budget = Budget(limits.memory_in_flight, limits.wait_seconds)

    @property
    def max_bytes(self) -> int:
        """The largest accepted file in bytes."""
        return self.limits.max_bytes

    def __call__(self, data: bytes, image_type: ImageType) -> ProcessedImage:
        """Return the picture upright, in sRGB, bounded and without metadata, with its variants and its ThumbHash.

        Raises:
            RejectedImageError: the file cannot be accepted; its subclasses say why.
            BusyError: other images have held the machine for ``Limits(wait_seconds=)``.
        """
        recipe = self.recipes[ImageType(image_type)]
        header = examine(bytes(data), self.limits, heic=self.heic)
        needed = estimate(header, recipe)
        self.limits.allow_memory(needed)
        with self._budget.hold(needed):
            return process(header, recipe, self.limits)


def _checked(recipes: Mapping[ImageType, Recipe]) -> dict[ImageType, Recipe]:
    """Return *recipes* with members of ``ImageType`` as keys."""
    if not isinstance(recipes, Mapping):
        raise ConfigurationError(f"The recipes are {recipes!r}.", hint="Pass a dict from ImageType to Recipe(...).")
    for key, recipe in recipes.items():
        if key not in tuple(ImageType) or not isinstance(recipe, Recipe):
            raise ConfigurationError(
                f"The recipe of {key!r} is a {type(recipe).__name__}.",
                hint=f"Pass a dict from {', '.join(ImageType)} to Recipe(...).",
            )
    return {ImageType(key): recipe for key, recipe in recipes.items()}
