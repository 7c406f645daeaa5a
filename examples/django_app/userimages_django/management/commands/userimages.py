"""``manage.py userimages sweep``: the console, on the project's own database, storage and processor."""

import argparse
import contextlib
import os

from django.core.management.base import BaseCommand, CommandError

from userimages.cli import main

from ...service import environment


class Command(BaseCommand):
    help = "Look after the images that users have uploaded: `manage.py userimages -h` lists the commands."
    requires_system_checks = ()  # because a sweep may run every minute

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(prog_name, subcommand, add_help=False, allow_abbrev=False, **kwargs)

    def add_arguments(self, parser):
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def run_from_argv(self, argv):
        """Put Django's own options first: `manage.py userimages sweep --settings=project.production` may come last."""
        django = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        for option in ("--settings", "--pythonpath"):
            django.add_argument(option)
        known, rest = django.parse_known_args(argv[2:])
        options = [f"--{name}={value}" for name, value in vars(known).items() if value]
        super().run_from_argv([*argv[:2], *options, "--", *rest])

    def handle(self, *, arguments, **options):
        if arguments[:1] == ["--"]:
            del arguments[0]
        for name, value in environment().items():
            if name.startswith("R2_"):  # `copy` reads the bucket of `r2:` from there
                os.environ.setdefault(name, value)
        self.stdout.ending = ""
        with contextlib.redirect_stdout(self.stdout):
            status = main(["--app", "userimages_django.service:images", *arguments])
        if status:
            raise CommandError(f"userimages ended with status {status}.", returncode=status)
