"""The console: one file per command, on a service of the application or the environment."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from userimages.cli import adapter, adopt, audit, check, copy, rebuild, sweep
from userimages.cli.console import ERROR, tell
from userimages.errors import UserImagesError

_DESCRIPTION = """\
Look after the images that users have uploaded. With --app the service is one of the application. Without it, settings
come from the environment: R2_ACCOUNT_ID, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET_NAME for Cloudflare R2
(else USERIMAGES_DATA_DIR, a folder), and USERIMAGES_DATABASE_URL (else SQLite in that folder)."""
_EXIT = "exit status: 0 all is well, 1 there is something to do, 2 it could not be run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* (None: those of this process) name, and return the exit status."""
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except BrokenPipeError:  # whoever read this, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python does not fail at its end
        return ERROR
    except OSError as exc:
        tell(f"userimages: the output cannot be written: {exc.strerror}.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except UserImagesError as exc:
        tell(f"userimages: {exc}")
        return ERROR
    except KeyboardInterrupt:
        tell("userimages: interrupted; every command can be repeated at any time.")
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="userimages",
        description=_DESCRIPTION,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"userimages {version('userimages')}")
    app = "an ImageService of the application, or a function that returns one"
    parser.add_argument("--app", metavar="MODULE:NAME", help=app)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str, more: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}. {more}", epilog=_EXIT)
        added.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
        # Also behind the command, where it must not undo what stands before it.
        added.add_argument("--app", metavar="MODULE:NAME", help=app, default=argparse.SUPPRESS)
        added.set_defaults(command=command)
        return added

    for command in (check, sweep, audit, rebuild, copy, adopt, adapter):
        command.add_to(add)
    return parser
