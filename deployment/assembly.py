"""From Zappa's nearly empty zip to the package: static files, what belongs in, the zip."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from deployment import archive
from deployment.contents import Entry, entries

ROOT = Path(__file__).resolve().parent.parent
# A package that exists already (`make package`), to be shipped by Zappa as it is.
READY = "MLSERVE_PACKAGE"
_SETTINGS = "zappa_settings.py"
# Half a minute on a slow disk; a hang would be noticed.
_COLLECT_SECONDS = 300
# Files of libraries that no page asks for.
_UNSERVED = ("redoc", "docs", "gis", "README*", "LICENSE*", "*.es-bundle*", "swagger-ui-es*", "swagger-ui.js*")


class NotCollected(Exception):
    """collectstatic failed."""


def fill(path: Path, *, seen: Callable[[int, int], None] = lambda *_: None) -> None:
    """Makes Zappa's zip at `path` the package. Raises Incomplete, NotCollected, TooLarge.

    1. a package that is ready replaces it; else
    2. collect the static files
    3. list what belongs in
    4. write it, with Zappa's settings, in place of Zappa's zip
    """
    if ready := os.environ.get(READY):
        shutil.copyfile(ready, path)
        return
    with tempfile.TemporaryDirectory(prefix="mlserve-package-") as folder:
        found = entries(ROOT, Path(sysconfig.get_path("purelib")), _collected(Path(folder)))
        found = sorted([*found, _zappa_settings(path)], key=lambda entry: entry.name)
        archive.write(path, found, seen=lambda number: seen(number, len(found)))


def _collected(folder: Path) -> Path:
    """The static files as a server has them: hashed names, compressed, no map of theirs."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "mlserve.settings",
        "SECRET_KEY": "only for collecting static files, and not kept anywhere",
        "MLSERVE_DATA_DIR": str(folder),
    }
    ignored = [word for pattern in _UNSERVED for word in ("--ignore", pattern)]
    command = [sys.executable, "-m", "django", "collectstatic", "--no-input", "--verbosity", "0", *ignored]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=_COLLECT_SECONDS, check=False
    )
    if done.returncode:
        raise NotCollected(f"collectstatic failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    collected = folder / "static"
    for path in collected.rglob("*.map*"):
        path.unlink()
    return collected


def _zappa_settings(path: Path) -> Entry:
    """Zappa's own settings of the stage, without what differs between stages and accounts: one package fits both.

    API_STAGE is read for HTTP only, which only `web` answers; queues are routed by mlserve.lambda_entry.
    """
    with zipfile.ZipFile(path) as made:
        text = made.read(_SETTINGS).decode()
    for name, value in (("API_STAGE", "'web'"), ("AWS_EVENT_MAPPING", "{}"), ("ENVIRONMENT_VARIABLES", "{}")):
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    return Entry(_SETTINGS, text.encode())
