"""`manage.py erase_predictions`: delete all that is stored of an account's predictions."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from mlserve.access.audit import log_action
from mlserve.terminal import TerminalCommand, printable, shell_user
from predictions.management.owners import add_owner, owner_of
from predictions.store.personal_data import erase, forget_deleted_accounts


class Command(TerminalCommand):
    help = (
        "Deletes an account's or a token's predictions for good, with their inputs and results. What is queued is "
        "canceled first; what is being predicted at this moment stays, so run it again then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_owner(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_args: Any, **options: Any) -> None:
        whose = owner_of(options)
        if not options["yes"]:
            self._ask(f"Delete all predictions of {whose} for good? [y/N] ")
        with self.working("Erasing"):
            erased = erase(whose)
        log_action(shell_user(), whose.owner, f"Erased {erased.count} predictions of {whose}.")
        what = "prediction" if erased.count == 1 else "predictions"
        self.say(f"{erased.count} {what} of {whose} erased.")
        forget_deleted_accounts()
        if erased.running:
            raise CommandError(f"{erased.running} are being predicted at this moment. Run it again when they ended.")

    def _ask(self, question: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask at. Give --yes to delete without a question.")
        if input(printable(question)).strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was deleted.")
