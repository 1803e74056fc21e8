"""`make package`: the zip of zappa_settings.json, built without network or credentials, tried, measured.

python -m deployment.package var/package.zip
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deployment import archive, contents, trial
from deployment.assembly import ROOT

_MOST_PARTS = 12
_BUILD_SECONDS = 900
_NOBODY = {
    # Zappa makes its AWS clients before it knows that it needs none,
    "AWS_ACCESS_KEY_ID": "unused", "AWS_SECRET_ACCESS_KEY": "unused", "AWS_DEFAULT_REGION": "us-east-1",
    # and asks the internet for a newer Zappa.
    "HTTPS_PROXY": "http://127.0.0.1:9",
}  # fmt: skip


class Failed(Exception):
    """The package could not be built; the message says why."""


def build(package: Path) -> None:
    """Has Zappa make `package`, whole or not at all. Raises Failed."""
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.absolute().parent, prefix=".unfinished-") as folder:
        unfinished = Path(folder) / "package.zip"
        _run_zappa(unfinished)
        unfinished.replace(package)


def _run_zappa(output: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if _may_decide(name)}
    done = subprocess.run(
        [sys.executable, "-m", "zappa.cli", "package", "web", "--output", str(output)],
        env={**environment, **_NOBODY, "VIRTUAL_ENV": sys.prefix},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode or not output.exists():
        ours = [line.removeprefix("Error: ") for line in done.stderr.splitlines() if line.startswith("Error: ")]
        raise Failed(ours[-1] if ours else f"zappa package failed:\n{done.stdout}{done.stderr}")


def _may_decide(name: str) -> bool:
    """The package does not depend on settings, except for the trusted modules."""
    return not name.startswith(("AWS_", "MLSERVE_")) or name == "MLSERVE_TRUSTED_MODULES"


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
    parser.add_argument("--untried", action="store_true", help="only build it")
    options = parser.parse_args()
    package: Path = options.package
    print(f"Building {package} for Python {sys.version_info.major}.{sys.version_info.minor} …", flush=True)
    try:
        build(package)
        print(report(package), flush=True)
        for problem in archive.platform_problems(package):
            print(f"Warning: it will not run on Lambda: {problem}", file=sys.stderr, flush=True)
        if not options.untried:
            print("Trying it …", flush=True)
            print(trial.try_out(package))
    except (Failed, trial.TrialFailed) as error:
        sys.exit(str(error))
    except subprocess.TimeoutExpired as error:
        sys.exit(f"It took more than {error.timeout:.0f} s: {error.cmd}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
