"""Check what a service is made of, where it is given and not at the first upload."""

from userimages.errors import ConfigurationError
from userimages.keys import TYPE_NAME
from userimages.model import ImageType


def check_parts(
    storage: object, repository: object, processor: object, *, on_deleted: object, primary_per_type: object
) -> None:
    """Refuse a part that cannot work.

    Raises:
        ConfigurationError: it is a class, or lacks a method; or an option is of another type.
    """
    for role, part, method in (
        ("storage", storage, "put"),
        ("repository", repository, "publish"),
        ("processor", processor, "__call__"),
    ):
        if isinstance(part, type) or not hasattr(part, method):
            raise ConfigurationError(
                f"The {role} is of type {type(part).__name__}, which has no {method}().",
                hint="Write ImageService(storage, repository, processor=...), with an instance of each.",
            )
    types = getattr(processor, "image_types", ImageType)
    if isinstance(types, str) or not all(isinstance(each, str) and TYPE_NAME.fullmatch(each) for each in types):
        raise ConfigurationError(
            f"The image_types of the processor are {types!r}.", hint="Use names of a-z, 0-9 and _, at most 16 of them."
        )
    if on_deleted is not None and not callable(on_deleted):
        raise ConfigurationError(
            f"on_deleted is of type {type(on_deleted).__name__}.", hint="Pass a function that takes a list of URLs."
        )
    if not isinstance(primary_per_type, bool):
        raise ConfigurationError("primary_per_type must be a bool.", hint="Pass True or False.")


def check_urls(**urls: str) -> None:
    """Refuse a URL, by the name of its argument, that has no place for an id."""
    for name, url in urls.items():
        if "{id}" not in url:
            raise ConfigurationError(f"{name} has no {{id}} in it.", hint="Write it as /images/{id}/.")
