"""The `.env` of a laptop: `manage.py` reads it, `python -m mlserve.conf.dotenv` writes it once."""

import io
import os
import secrets
from pathlib import Path

import dotenv
from django.core.exceptions import ImproperlyConfigured

ENV_FILE = Path(__file__).resolve().parent.parent.parent / ".env"

_LAPTOP = """\
# Written once for this machine; git ignores it. A server sets these variables itself.
SECRET_KEY={secret_key}
DEBUG=1
# On a laptop everything is open: a new model may be used without signing in.
MLSERVE_NEW_MODELS=public
"""


def load_dotenv_once(path: Path = ENV_FILE) -> None:
    """Fill the environment from `.env`; a variable that is already set wins.

    Raises ImproperlyConfigured when the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {error.strerror}.") from error
    dotenv.load_dotenv(stream=io.StringIO(_text(content, path)), override=False)


def _text(content: bytes, path: Path) -> str:
    """Without the mark that Windows' editors put at the beginning of UTF-8."""
    kind = "UTF-16, as PowerShell's > writes it"
    if b"\0" not in content:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            kind = "in an older encoding"
    raise ImproperlyConfigured(
        f"{path} is {kind}; allowed is UTF-8. Save it so in an editor, or in PowerShell: "
        "(Get-Content .env) | Set-Content -Encoding utf8 .env"
    )


def write_laptop_env(path: Path = ENV_FILE) -> bool:
    """Write `path` with a fresh SECRET_KEY, readable by its owner only. False when it was there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_LAPTOP.format(secret_key=secrets.token_urlsafe(50)))
    return True


if __name__ == "__main__":
    if write_laptop_env():
        print(f"Wrote {ENV_FILE.name} with a new SECRET_KEY for this machine.")
