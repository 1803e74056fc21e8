"""The owner that a command works on: an account, or one of its tokens."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from predictions.store.personal_data import Whose, of_token, of_user, of_user_id


def add_owner(parser: ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--token", type=int, metavar="ID", help="what was asked with it; list_tokens shows ids")
    whose.add_argument(
        "--user", metavar="NAME", help="what this account has asked, with its tokens or without; also a deleted one"
    )
    whose.add_argument("--user-id", type=int, metavar="ID", help="the same by its id, if its name was given away again")


def owner_of(options: Mapping[str, Any]) -> Whose:
    """Raises NotFound."""
    if options["token"] is not None:
        return of_token(options["token"])
    return of_user(options["user"]) if options["user_id"] is None else of_user_id(options["user_id"])
