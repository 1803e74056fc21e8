"""Models that a real MLflow wrote, once for the whole run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.requirements import everything_is_required
from tests.shared import folder_of_the_run, one_at_a_time

_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
_WRITER = Path(__file__).with_name("write_models.py")
_SECONDS = 300


@pytest.fixture(scope="session")
def mlflow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `write_models.py` wrote a folder for each model."""
    if not (_PYTHON.parent.parent / ".installed").exists():
        reason = "MLflow is not installed: make .venv-mlflow/.installed"
        pytest.fail(reason, pytrace=False) if everything_is_required() else pytest.skip(reason)
    folder = folder_of_the_run(tmp_path_factory) / "mlflow-models"
    with one_at_a_time(folder):
        if not folder.exists():
            folder.mkdir()
            _write(folder)
    return folder


def _write(folder: Path) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(_PYTHON), str(_WRITER), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{sys.version}\n{done.stdout}\n{done.stderr}"
