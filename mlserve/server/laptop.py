"""`serve --prepare`: migrations, and on a laptop an administrator and an example model."""

import secrets
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from mlserve.conf.command_lines import manage
from mlserve.processes.temporary_folders import temporary_folder
from registry.inspection.version_request import version_request
from registry.models import Model
from registry.publishing.publish import publish

EXAMPLE = Path(settings.BASE_DIR) / "examples" / "penguins"
ADMIN_NAME = "admin"


def prepare() -> list[str]:
    """Migrate, and create or collect what the service needs. The lines to print once it answers."""
    call_command("migrate", verbosity=0)
    if not settings.ON_LAPTOP:
        if settings.STATIC_ROOT != settings.COLLECTED:  # the image for servers contains them
            call_command("collectstatic", verbosity=0, interactive=False)
        return _what_a_server_lacks()
    return [*_ensure_admin(), *_ensure_example()]


def _what_a_server_lacks() -> list[str]:
    lines = ["Browsers need the proxy in front that ends TLS; without it they are redirected to https://."]
    if not settings.ALLOWED_HOSTS:
        lines.append("ALLOWED_HOSTS is empty: all requests but those of probes are refused until it names the hosts.")
    if not get_user_model().objects.exists():
        lines.append(f"There is no account yet: {manage('make_admin', 'NAME')}")
    return lines


def _ensure_admin() -> list[str]:
    """A superuser with a random password, never a fixed one.

    It is printed before the account is stored, because later steps may fail. Where it cannot be printed, there is no
    account either, and the next start makes one.
    """
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return []
    password = secrets.token_hex(12)
    with transaction.atomic():
        users.objects.create_superuser(ADMIN_NAME, password=password)
        print(f"Log in to the admin as '{ADMIN_NAME}' with the password '{password}'.")
        print(f"It is shown only now; to set another: {manage('changepassword', ADMIN_NAME)}", flush=True)
    return [f"Log in to the admin as '{ADMIN_NAME}' with the password above."]


def _ensure_example() -> list[str]:
    """Train the penguins example and publish it like any upload, when the registry is empty; an image has none."""
    if Model.objects.exists() or not EXAMPLE.exists():
        return []
    print("Training and registering the example model …", flush=True)
    with temporary_folder("example") as folder:
        artifact = folder / "model.joblib"
        command = [sys.executable, str(EXAMPLE / "train.py"), "--out", str(artifact)]
        trained = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if trained.returncode:
            raise CommandError(f"The example could not be trained (status {trained.returncode}); it says above why.")
        request = version_request(
            {"model": "penguins", "tag": "1.0", "promote": True},
            {
                "schema": EXAMPLE / "validation.py",
                "sample": EXAMPLE / "sample.csv",
                "expected": EXAMPLE / "expected.csv",
                "form": EXAMPLE / "form.json",
            },
        )
        published = publish(artifact, request, by="make serve")
    return [f"Registered the example {published.version}: {published.report.summary()}."]
