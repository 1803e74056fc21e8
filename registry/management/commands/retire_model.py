"""`manage.py retire_model`: let no version of a model serve."""

from argparse import ArgumentParser
from typing import Any

from mlserve.access.audit import log_action
from mlserve.terminal import TerminalCommand, shell_user
from registry.publishing.publish import retire


class Command(TerminalCommand):
    help = (
        "Lets the live version of a model serve no more, without another one in its place: requests that name no "
        "version are refused (422) until one is promoted. rollback_model makes it live again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the model, as penguins")
        parser.add_argument(
            "tag", metavar="TAG", nargs="?", help="refuse unless this version is the live one (default: whichever is)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        version = retire(options["name"], options["tag"], by=shell_user())
        log_action(shell_user(), version, "Retired.")
        self.say(f"{version} is retired; {version.model.name} has no live version now.")
