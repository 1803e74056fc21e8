"""The package that Zappa ships: the static files are collected, what belongs in is listed, the zip is written.

python -m deployment.assembly PATH
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from deployment import archive
from deployment.contents import Incomplete, entries
from mlserve.conf.env import Env

ROOT = Path(__file__).resolve().parent.parent
# It takes half a minute on a slow disk.
_COLLECT_SECONDS = 300
_ASSEMBLE_SECONDS = 900
# Files of libraries that no page uses.
_UNSERVED = (
    "redoc", "docs", "gis", "README*", "LICENSE*", "swagger-ui-es*", "swagger-ui.js*",
    "jquery.js", "xregexp.js", "select2.full.js",  # the admin takes the minified ones
)  # fmt: skip


class NotAssembled(Exception):
    """There is no package; the message says why."""


class NotCollected(Exception):
    """collectstatic failed."""


def assemble_in_a_process(path: Path) -> None:
    """Like `assemble`, in a process whose sets have the same order each time: bytecode depends on it, and thereby the
    digest of the package. Raises NotAssembled.
    """
    done = subprocess.run(
        [sys.executable, "-m", "deployment.assembly", str(path.absolute())],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_ASSEMBLE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise NotAssembled(done.stderr.strip())


def assemble(path: Path) -> None:
    """Writes the package to `path`. Raises Incomplete, NotCollected, TooLarge."""
    with tempfile.TemporaryDirectory(prefix="mlserve-package-") as folder:
        trusted = Env().names("MLSERVE_TRUSTED_MODULES")
        found = entries(ROOT, Path(sysconfig.get_path("purelib")), _collected(Path(folder)), trusted=trusted)
        archive.write(path, found)


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


if __name__ == "__main__":
    try:
        assemble(Path(sys.argv[1]))
    except (Incomplete, NotCollected, archive.TooLarge) as error:
        sys.exit(str(error))
