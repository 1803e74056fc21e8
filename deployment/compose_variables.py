"""`make compose`: the variables of compose.yaml, with secrets of this machine's own. Needs nothing but Python.

python3 -m deployment.compose_variables [--domain models.example.com]
"""

import argparse
import os
import re
import secrets
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent / "compose.env"

_HEAD = """\
# The variables of compose.yaml, written once by `make compose`; git ignores it. docs/settings.md lists what else may
# stand here. It contains secrets: a backup needs it, and nobody but its owner may read it.

# It signs sessions, models and messages to workers.
SECRET_KEY={secret_key}
"""
_ON_LOOPBACK = """\
# As `make serve` on a laptop: plain HTTP, and models are open to everyone who reaches the port.
DEBUG=1
MLSERVE_NEW_MODELS=public
"""
_BEHIND_A_PROXY = """\
# `localhost` is for the health check.
ALLOWED_HOSTS={domain},localhost
CSRF_TRUSTED_ORIGINS=https://{domain}
# The proxy that ends TLS in front of PUBLISH.
MLSERVE_TRUSTED_PROXIES=1
"""
_REST = """\
# Address and port of this machine at which the web server is published.
PUBLISH=127.0.0.1:8000

# For the services inside. The database and the store take theirs when they are first started, and keep it.
DATABASE_PASSWORD={database_password}
QUEUE_PASSWORD={queue_password}
STORE_SECRET={store_secret}
"""
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.IGNORECASE
)


def write(path: Path, *, domain: str = "") -> bool:
    """Write `path`, readable by its owner only: for a `domain`, or for this machine. False when it was there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    text = _HEAD + (_BEHIND_A_PROXY if domain else _ON_LOOPBACK) + _REST
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(
            text.format(
                domain=domain,
                secret_key=secrets.token_urlsafe(50),
                database_password=secrets.token_hex(24),
                queue_password=secrets.token_hex(24),
                store_secret=secrets.token_hex(24),
            )
        )
    return True


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no host name: models.example.com, without https:// and port")
    return text.lower()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployment.compose_variables", description=__doc__)
    parser.add_argument("--domain", type=_domain, default="", help="the name under which a proxy serves it by TLS")
    options = parser.parse_args()
    if write(PATH, domain=options.domain):
        print(f"Wrote {PATH.name} with new secrets for this machine.")
    elif options.domain:
        parser.exit(1, f"{PATH.name} is there already: set ALLOWED_HOSTS and the like in it, or move it away.\n")


if __name__ == "__main__":
    main()
