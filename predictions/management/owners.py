"""The owner that a command works on: an account, or one of its tokens."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from predictions.store.personal_data import Whose, of_token, of_user


def add_owner(parser: ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--token", type=int, metavar="ID", help="what was asked with it; list_tokens shows ids")
    whose.add_argument("--user", metavar="NAME", help="what this account has asked, with its tokens or without")


def owner_of(options: Mapping[str, Any]) -> Whose:
    """Raises NotFound."""
    return of_user(options["user"]) if options["token"] is None else of_token(options["token"])
