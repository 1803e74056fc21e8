"""`manage.py promote_model`: choose the version that serves."""

from argparse import ArgumentParser
from typing import Any

from mlserve.access.audit import log_action
from mlserve.terminal import TerminalCommand, shell_user
from registry.models import ModelVersion
from registry.publishing.publish import promote


class Command(TerminalCommand):
    help = "Makes a version live: every process serves it with its next request, nothing is restarted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the model, as penguins")
        parser.add_argument("tag", metavar="TAG", help="the version to make live, as 1.1; list_models shows them")

    def handle(self, *_args: Any, **options: Any) -> None:
        before = ModelVersion.objects.live().filter(model__name=options["name"]).first()
        version = promote(options["name"], options["tag"], by=shell_user())
        if before == version:
            self.say(f"{version} was live already; nothing changed.")
            return
        log_action(shell_user(), version, "Promoted.")
        if before is None:
            self.say(f"{version} is live now; no version was before.")
        else:
            self.say(f"{version} is live now; {before.tag} was before.")
