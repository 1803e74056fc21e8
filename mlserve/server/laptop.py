"""`serve --prepare`: migrations, and on a laptop an administrator and an example model."""

import secrets
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from mlserve.processes.temporary_folders import temporary_folder
from registry.inspection.version_request import version_request
from registry.models import Model
from registry.publishing.publish import publish

EXAMPLE = Path(settings.BASE_DIR) / "examples" / "penguins"
ADMIN_NAME = "admin"


def prepare() -> list[str]:
    """Migrate, and create or collect what the service needs. The lines to print for a new user."""
    call_command("migrate", verbosity=0)
    if not settings.ON_LAPTOP:
        if settings.STATIC_ROOT != settings.COLLECTED:  # the image for servers contains them
            call_command("collectstatic", verbosity=0, interactive=False)
        return _what_a_server_lacks()
    return [*_ensure_admin(), *_ensure_example()]


def _what_a_server_lacks() -> list[str]:
    lines = ["Browsers need the proxy in front that ends TLS; without it they are redirected to https://."]
    if not get_user_model().objects.exists():
        lines.append("There is no account yet: .venv/bin/python manage.py make_admin NAME")
    return lines


def _ensure_admin() -> list[str]:
    """A superuser with a random password, which is printed once; never a fixed one."""
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return []
    password = secrets.token_urlsafe(12)
    users.objects.create_superuser(ADMIN_NAME, password=password)
    return [
        f"Log in to the admin as '{ADMIN_NAME}' with the password '{password}'.",
        f"It is shown only now; to set another: .venv/bin/python manage.py changepassword {ADMIN_NAME}",
    ]


def _ensure_example() -> list[str]:
    """Train the penguins example and publish it like any upload, when the registry is empty; an image has none."""
    if Model.objects.exists() or not EXAMPLE.exists():
        return []
    print("Training and registering the example model …", flush=True)
    with temporary_folder("example") as folder:
        artifact = folder / "model.joblib"
        subprocess.run(
            [sys.executable, str(EXAMPLE / "train.py"), "--out", str(artifact)], check=True, stdout=subprocess.DEVNULL
        )
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
