"""pytest plugin: the Lambda package, built once for the whole run, and the Python that it is made for.

Both come from `.venv-deploy`, which `make test` installs; with pytest alone its tests are skipped where it is absent.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import everything_is_required
from tests.shared import folder_of_the_run, one_at_a_time

ROOT = Path(__file__).resolve().parent.parent
_PYTHON = ROOT / ".venv-deploy" / "bin" / "python"
_BUILD_SECONDS = 900


@pytest.fixture(scope="session")
def deploy_python() -> Path:
    """The Python of `.venv-deploy`: Zappa, and what goes to Lambda."""
    if sys.platform != "linux":
        pytest.skip("a package for Lambda is built on Linux")
    if not (_PYTHON.parent.parent / ".installed").exists():
        reason = "Zappa is not installed: make .venv-deploy/.installed"
        pytest.fail(reason, pytrace=False) if everything_is_required() else pytest.skip(reason)
    return _PYTHON


@pytest.fixture(scope="session")
def package(deploy_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that `make package` builds, untried; the same file for all processes of the run."""
    zipped = folder_of_the_run(tmp_path_factory) / "package.zip"
    with one_at_a_time(zipped):
        if not zipped.exists():
            _run(deploy_python, "-m", "deployment.package", "--untried", str(zipped))
    return zipped


@pytest.fixture(scope="session")
def lambda_runtime(deploy_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Lambda's own Python brings: AWS's SDK and the client of its Runtime API; made once, too."""
    folder = folder_of_the_run(tmp_path_factory) / "lambda-runtime"
    with one_at_a_time(folder):
        if not folder.exists():
            _run(deploy_python, "-m", "deployment.lambda_runtime", str(folder))
    return folder


def _run(python: Path, *arguments: str) -> None:
    # Without the suite's own settings, which trust its modules.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLSERVE_")}
    done = subprocess.run(
        [str(python), *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
