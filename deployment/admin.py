"""`make admin NAME=…`: an administrator of a service whose database only the functions may reach.

The password is made here and shown here. What travels, and what a log could keep, is its salted hash.
"""

import secrets

from deployment.deploy import Deployment
from deployment.evidence import WORKER
from deployment.findings import NotKnown
from deployment.steps import DeploymentFailed


def make_admin(deployment: Deployment, name: str) -> None:
    """Zappa passes a command as one line that it splits at spaces, without quoting."""
    if not name or any(character.isspace() for character in name):
        raise DeploymentFailed(f"{name!r} cannot be a user's name here: it is empty or contains a space.")
    password = secrets.token_hex(15)
    function = deployment.look().function_name(WORKER)
    try:
        deployment.account.invoke(function, {"manage": f"make_admin {name} --hash {_hash(password)}"})
    except NotKnown as error:
        raise DeploymentFailed(f"{error}") from error
    print(f"'{name}' is an administrator.")
    print(f"The password is {password}")
    print("It is shown only now. To set another, run the same again.")


def _hash(password: str) -> str:
    from django.conf import settings
    from django.contrib.auth.hashers import make_password

    if not settings.configured:
        settings.configure()
    return make_password(password)
