"""`manage.py make_token`: a token for a program, alone on stdout, so that a script can take it."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from mlserve.access.audit import log_action
from mlserve.access.tokens import MOST_DAYS, make_token
from mlserve.conf.command_lines import manage
from mlserve.permissions import PREDICT, SCOPES
from mlserve.terminal import TerminalCommand, printable, shell_user


class Command(TerminalCommand):
    help = (
        "Makes an API token and prints it, once: only its hash is kept. It can do what its user may and its scopes "
        "allow. Send it as `Authorization: Bearer TOKEN`; upload_model --to takes it from MLSERVE_TOKEN."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER", help="the account that it acts for")
        parser.add_argument("--name", required=True, metavar="NAME", help="its purpose, such as a program's name")
        meanings = "; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items())
        parser.add_argument(
            "--scope", action="append", choices=list(SCOPES), metavar="SCOPE",
            help=f"{meanings}. May be given several times (default: {PREDICT})",
        )  # fmt: skip
        lasts = parser.add_mutually_exclusive_group()
        lasts.add_argument(
            "--days", type=int, default=settings.MLSERVE_TOKEN_DAYS, metavar="N",
            help=f"days until it expires, at most {MOST_DAYS} (default: {settings.MLSERVE_TOKEN_DAYS})",
        )  # fmt: skip
        lasts.add_argument("--forever", action="store_true", help="it never expires")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(
                f"There is no user {options['user']!r}. `{manage('createsuperuser')}` or the admin make one."
            )
        token, secret = make_token(
            user,
            name=options["name"],
            scopes=options["scope"] or [PREDICT],
            days=None if options["forever"] else options["days"],
            created_by=shell_user(),
        )
        log_action(shell_user(), token, f"Made for {user}, scopes {token.scopes}.", is_new=True)
        until = f"expires on {token.expiry:%Y-%m-%d}" if token.expiry else "never expires"
        sentence = f"Token {token.pk} of {user}, scopes {token.scopes}, {until}. It is shown only now."
        self.stderr.write(printable(sentence), lambda text: text)
        self.stdout.write(secret)
