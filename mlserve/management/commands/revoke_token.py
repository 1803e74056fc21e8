"""`manage.py revoke_token`: end a token, at once and in every process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from mlserve.access.audit import log_action
from mlserve.access.tokens import revoke
from mlserve.conf.command_lines import manage
from mlserve.models import ApiToken
from mlserve.terminal import TerminalCommand, shell_user


class Command(TerminalCommand):
    help = "Revokes an API token: the next request with it is refused, in every process. It stays in the lists."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, metavar="ID", help="as list_tokens shows it")

    def handle(self, *_args: Any, **options: Any) -> None:
        token = ApiToken.objects.select_related("user").filter(pk=options["id"]).first()
        if token is None:
            raise CommandError(f"There is no token {options['id']}. `{manage('list_tokens')}` lists them.")
        if revoke(token):
            log_action(shell_user(), token, "Revoked.")
            self.say(f"Token {token.pk} ({token.name}, of {token.user}) is revoked.")
        else:
            self.say(f"Token {token.pk} was revoked on {token.revoked_at:%Y-%m-%d} already; nothing changed.")
