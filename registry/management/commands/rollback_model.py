"""`manage.py rollback_model`: back to what served before."""

from argparse import ArgumentParser
from typing import Any

from mlserve.access.audit import log_action
from mlserve.terminal import TerminalCommand, shell_user
from registry.models import ModelVersion
from registry.publishing.publish import rollback


class Command(TerminalCommand):
    help = "Makes the version live again that the current one replaced; once more goes another step back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the model, as penguins")

    def handle(self, *_args: Any, **options: Any) -> None:
        before = ModelVersion.objects.live().filter(model__name=options["name"]).first()
        version = rollback(options["name"], by=shell_user())
        log_action(shell_user(), version, "Live again after a rollback.")
        self.say(f"{version} is live again; {before.tag if before else 'no version'} was before.")
