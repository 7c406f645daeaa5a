"""``userimages adapter``: write the files of an adapter into an application, whose own they are from then on.

The source of the adapters is ``examples/`` of the project. A wheel carries them in ``userimages/_adapters/``.
"""

import argparse
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from userimages.cli.console import OK, AddCommand, show
from userimages.errors import ConfigurationError

# Where each is below examples/, and the last part of it is its name in the wheel and in the application.
_SOURCES: Mapping[str, str] = {
    "flask": "flask_minimal/userimages_flask.py",
    "django": "django_app/userimages_django",
    "fastapi": "fastapi_minimal/userimages_fastapi.py",
}
FRAMEWORKS = tuple(_SOURCES)
NEXT: Mapping[str, str] = {
    "flask": "app.register_blueprint(userimages_flask.create_blueprint(images, authorize=your_guard))",
    "django": 'add "userimages_django" to INSTALLED_APPS, set USERIMAGES_AUTHORIZE = "project.guard.authorize", '
    'add path("api/", include("userimages_django.urls")), and migrate',
    "fastapi": 'app.include_router(userimages_fastapi.create_router(images, authorize=your_guard), prefix="/api")',
}
"""What is left to write, by framework."""


def add_to(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "adapter",
        _run,
        "write the files of an adapter into an application",
        "They are the application's own from then on. A file that is there is never overwritten.",
    )
    command.add_argument("framework", choices=FRAMEWORKS)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where the application's modules are")


def _run(options: argparse.Namespace) -> int:
    files = write_adapter(options.framework, options.folder)
    if options.json:
        show(json.dumps({"files": [str(file) for file in files]}, indent=2))
    else:
        for file in files:
            show(f"wrote {file}")
        show(f"Next: {NEXT[options.framework]}.")
    return OK


def write_adapter(framework: str, folder: Path) -> list[Path]:
    """Write the adapter for *framework* into *folder*, and return the files.

    Nothing is overwritten: if one of the files is there, none is written.

    Raises:
        ConfigurationError: a file is there already, or cannot be written.
    """
    source = _source(framework)
    texts = {
        folder / source.name / file.relative_to(source): _headed(framework, file.read_bytes())
        for file in ([source] if source.is_file() else sorted(source.rglob("*.py")))
    }
    if present := [file for file in texts if os.path.lexists(file)]:
        raise ConfigurationError(
            f"{present[0]} is there already, so nothing was written.",
            hint="Write the adapter into another folder and compare the two.",
        )
    written: list[Path] = []
    try:
        for file, text in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as new:
                written.append(file)
                new.write(text)
    except OSError as exc:
        for file in written:
            file.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{folder} cannot be written: {os.strerror(exc.errno or 0)}.", hint="Choose another folder."
        ) from exc
    return written


def _source(framework: str) -> Path:
    """Return where the adapter is: in the wheel or, as in an editable install, in the checkout."""
    package = Path(__file__).parents[1]
    in_checkout = Path(_SOURCES[framework])
    for source in (package / "_adapters" / in_checkout.name, package.parents[1] / "examples" / in_checkout):
        if source.exists():
            return source
    raise ConfigurationError(f"The adapter for {framework} is missing.", hint="Install userimages again.")


def _headed(framework: str, text: bytes) -> bytes:
    """Return *text* below a comment that says where it is from; a docstring stays the docstring."""
    head = (
        f"# Written by `userimages adapter {framework}` of userimages {version('userimages')}. The file is yours now.\n"
        "# For an update, write the adapter into another folder and compare the two.\n"
    )
    return head.encode() + text
