"""`make package`: the zip of zappa_settings.json, built without network or credentials, tried, measured.

python -m deployment.package var/package.zip
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from deployment import archive, contents
from deployment.assembly import ROOT

_MOST_PARTS = 12
_BUILD_SECONDS = 900
# Zappa makes its AWS clients before it knows that it needs none.
_NOBODY = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobody", "AWS_DEFAULT_REGION": "us-east-1"}


class Failed(Exception):
    """The package could not be built; the message says why."""


def build(package: Path) -> None:
    """Has Zappa make `package`. Raises Failed."""
    package.parent.mkdir(parents=True, exist_ok=True)
    zappa = [sys.executable, "-m", "zappa.cli", "package", "web", "--output", str(package.absolute())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLSERVE_"))}
    done = subprocess.run(
        zappa,
        env={**environment, **_NOBODY, "VIRTUAL_ENV": sys.prefix},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode or not package.exists():
        raise Failed(f"zappa package failed:\n{done.stdout}{done.stderr}")


def report(package: Path) -> str:
    """Its unzipped size, and its biggest parts."""
    sizes = archive.unzipped_sizes(package)
    total = sum(sizes.values())
    parts = list(contents.sizes(sizes.items()).items())
    lines = [f"{size / 1e6:8.1f} MB  {part}" for part, size in parts[:_MOST_PARTS]]
    rest = sum(size for _, size in parts[_MOST_PARTS:])
    return "\n".join([
        f"{package}: {total:,} bytes unzipped of {archive.LIMIT_BYTES:,} ({package.stat().st_size:,} zipped)",
        *lines,
        f"{rest / 1e6:8.1f} MB  {len(parts) - _MOST_PARTS} more",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployment.package", description=__doc__)
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package
    print(f"Building {package} for Python {sys.version_info.major}.{sys.version_info.minor} …", flush=True)
    try:
        build(package)
    except Failed as error:
        sys.exit(str(error))
    print(report(package))


if __name__ == "__main__":
    main()
