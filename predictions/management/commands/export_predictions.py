"""`manage.py export_predictions`: all that is stored of an account's predictions."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from mlserve.access.audit import log_action
from mlserve.errors import BadParameter
from mlserve.terminal import TerminalCommand, shell_user
from predictions.management.owners import add_owner, owner_of
from predictions.store.personal_data import Whose, export

_LOST = b'"unavailable":["'


class Command(TerminalCommand):
    help = (
        "Writes all that is stored of an account's or a token's predictions, newest first: a line of JSON for each, "
        "with its inputs and its result."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_owner(parser)
        parser.add_argument("--out", type=Path, metavar="F", help="a file (default: stdout)")

    def handle(self, *_args: Any, **options: Any) -> None:
        whose, out = owner_of(options), options["out"]
        if out is None:
            count, lost = self._write(whose, sys.stdout.buffer)
        else:
            count, lost = self._write_file(whose, out)
            self.say(f"{count} {'prediction' if count == 1 else 'predictions'} of {whose} written to {out}.")
        log_action(shell_user(), whose.owner, f"Exported {count} predictions of {whose}.")
        if lost:
            raise CommandError(
                f"Of {lost} predictions inputs or results are missing (`unavailable` in their lines): the artifact "
                "storage does not answer or has lost them. Try again."
            )

    def _write_file(self, whose: Whose, out: Path) -> tuple[int, int]:
        temporary = out.with_name(f".{out.name}.{os.getpid()}")
        try:
            # Other users of the machine must not read personal data.
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                counts = self._write(whose, file)
            temporary.replace(out)
        except OSError as error:
            raise BadParameter(f"--out {out} cannot be written: {error.strerror or error}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        return counts

    def _write(self, whose: Whose, target: Any) -> tuple[int, int]:
        """(how many, how many of them incomplete)."""
        count = lost = 0
        with self.working("Exporting") as say:
            for line in export(whose):
                target.write(line)
                count, lost = count + 1, lost + (_LOST in line)
                if count % 1000 == 0:
                    say(f"Exporting: {count} predictions")
        target.flush()
        return count, lost
