"""`manage.py make_admin`: an administrator with a random password that is shown once."""

import re
import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.hashers import identify_hasher, make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from mlserve.terminal import TerminalCommand

_HASH = re.compile(r"[\w$+/=.,-]{20,128}")


class Command(TerminalCommand):
    help = (
        "Makes an administrator with a random password, which is shown once; an account of that name becomes one and "
        "gets a new password."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the name to log in with")
        parser.add_argument(
            "--hash", metavar="HASH", help="of a password that was made elsewhere, as Django writes it (make admin)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name: str = options["name"]
        _require_name(name)
        password = "" if options["hash"] else secrets.token_hex(15)
        stored = _required_hash(options["hash"]) if options["hash"] else make_password(password)
        rights = {"password": stored, "is_superuser": True, "is_staff": True, "is_active": True}
        with transaction.atomic():  # a password that could not be shown is none
            _, is_new = User.objects.update_or_create(username=name, defaults=rights)
            self.say(f"{name!r} {'was made' if is_new else 'is'} an administrator.")
            if password:
                self.say(f"The password is {password}")
                self.say("It is shown only now. To set another, run the same again.")
            self.stdout.flush()


def _require_name(name: str) -> None:
    try:
        User._meta.get_field("username").clean(name, None)
    except ValidationError as error:
        raise CommandError(f"{name!r} cannot be a user's name. {' '.join(error.messages)}") from error


def _required_hash(text: str) -> str:
    try:
        identify_hasher(text)
    except ValueError as error:
        raise CommandError("--hash is not one of Django's password hashes.") from error
    if not _HASH.fullmatch(text):
        raise CommandError("--hash is not one of Django's password hashes.")
    return text
