"""The service that the commands work on: one of the application, or one that the environment describes."""

import argparse
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from userimages.errors import ConfigurationError
from userimages.service import ImageService


def load_service(options: argparse.Namespace, **parts: Any) -> ImageService:
    """Return the service that ``--app`` names or, without it, the one of the environment, made with *parts*."""
    if options.app is None:
        from userimages.config import service_from_env

        return service_from_env(create=False, **parts)
    service: ImageService = load(
        options.app,
        argument="--app",
        example="myapp.images:images",
        kind="ImageService",
        is_one=lambda found: isinstance(found, ImageService),
    )
    return service


def load(text: str, *, argument: str, example: str, kind: str, is_one: Callable[[object], bool]) -> Any:
    """Return what *text*, module and name, stands for: a *kind*, or what a function returns.

    Raises:
        ConfigurationError: there is no such name, or it is something else.
    """
    module, _, name = text.partition(":")
    sys.path.insert(0, os.getcwd())  # as for `python -m`: the application is often not installed
    try:
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError, TypeError) as exc:
        raise ConfigurationError(
            f"{argument} {text} cannot be loaded: {exc}.",
            hint=f"Write module and name, as {example}, and run it where the module can be imported.",
        ) from exc
    if callable(found) and not is_one(found):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as exc:
            raise ConfigurationError(
                f"{argument} {text} cannot be called without arguments.",
                hint="Name a function that needs none.",
            ) from exc
        found = found()
    if not is_one(found):
        article = "an" if kind[0] in "AEIOU" else "a"
        raise ConfigurationError(
            f"{argument} {text} is of type {type(found).__name__}.",
            hint=f"Name {article} {kind}, or a function without arguments that returns one.",
        )
    return found
