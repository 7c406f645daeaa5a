"""The service that the commands work on: one of the application, or one that the environment describes."""

import argparse
import functools
import importlib
import inspect
import os
import sys

from userimages.errors import ConfigurationError
from userimages.service import ImageService


def load_service(options: argparse.Namespace) -> ImageService:
    """Return the service that ``--app`` names or, without it, the one of the environment."""
    if options.app is None:
        from userimages.config import service_from_env

        return service_from_env(create=False)
    module, _, name = options.app.partition(":")
    sys.path.insert(0, os.getcwd())  # as for `python -m`: the application is often not installed
    try:
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError, TypeError) as exc:
        raise ConfigurationError(
            f"--app {options.app} cannot be loaded: {exc}.",
            hint="Write module and name, as myapp.images:images, and run it where the module can be imported.",
        ) from exc
    service = found
    if callable(found) and not isinstance(found, ImageService):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as exc:
            raise ConfigurationError(
                f"--app {options.app} cannot be called without arguments.",
                hint="Name a function that returns the service.",
            ) from exc
        service = found()
    if not isinstance(service, ImageService):
        raise ConfigurationError(
            f"--app {options.app} is of type {type(service).__name__}.",
            hint="Name an ImageService, or a function without arguments that returns one.",
        )
    return service
