"""`manage.py list_tokens`: every token, whose it is, what it may, and whether it still works."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from mlserve.conf.command_lines import manage
from mlserve.models import ApiToken
from mlserve.terminal import TerminalCommand, cell, plain_table

_STYLES = {"active": "bold green"}


class Command(TerminalCommand):
    help = "Lists the API tokens, newest first, also those that were revoked or have expired."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="USER", help="only this account's")
        parser.add_argument("--json", action="store_true", help="print a JSON list")

    def handle(self, *_args: Any, **options: Any) -> None:
        tokens = ApiToken.objects.select_related("user")
        if options["user"]:
            tokens = tokens.filter(user__username=options["user"])
        if options["json"]:
            self.show_json([_as_json(token) for token in tokens])
        elif tokens:
            self._show_table(list(tokens))
        else:
            self.say(f"There is no token yet. Make the first: {manage('make_token', 'USER', '--name', 'NAME')}")

    def _show_table(self, tokens: list[ApiToken]) -> None:
        table = plain_table("ID", "Name", "User", "Scopes", "State", "Expires", "Last used", may_wrap=("Name", "User"))
        for token in tokens:
            state = token.state()
            table.add_row(
                cell(str(token.pk)),
                cell(token.name),
                cell(str(token.user)),
                cell(token.scopes),
                cell(state, _STYLES.get(state, "dim")),
                cell(_day(token.expiry)),
                cell(_day(token.last_used_at)),
            )
        self.show(table)


def _day(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d}" if time else "never"


def _as_json(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "user": token.user.get_username(),
        "scopes": list(token.scope_names),
        "state": token.state(),
        "begins_with": token.token_key,
        "created_at": token.created.isoformat(),
        "created_by": token.created_by,
        "expires_at": token.expiry.isoformat() if token.expiry else None,
        "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
        "last_used_at": token.last_used_at.isoformat() if token.last_used_at else None,
    }
