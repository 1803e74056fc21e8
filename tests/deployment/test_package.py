"""The real package: built once by Zappa, looked into, and run in processes that have nothing else."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from deployment import archive
from tests.packages import ROOT

# What a library update may take before it has to be decided what to leave out.
ROOM_BYTES = 10_000_000
TRIAL_SECONDS = 600


@pytest.fixture(scope="module")
def names(package: Path) -> list[str]:
    with zipfile.ZipFile(package) as zipped:
        return zipped.namelist()


def test_it_leaves_room_below_lambdas_limit(package: Path) -> None:
    assert sum(archive.unzipped_sizes(package).values()) < archive.LIMIT_BYTES - ROOM_BYTES


def test_it_holds_the_program_and_its_libraries_only(names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in names}

    assert {"mlserve", "registry", "predictions", "templates", "collected", "django", "sklearn"} <= tops
    assert not tops & {
        "tests",
        "deployment",
        "docs",
        "var",
        "examples",
        "benchmark",
        "boto3",
        "granian",
        "zappa",
        "pip",
    }


def test_it_holds_no_secret_and_no_data(names: list[str]) -> None:
    private = re.compile(r"(^|/)\.|\.(env|pem|key|sqlite3|joblib|log)$|(^|/)zappa_settings")

    assert [name for name in names if private.search(name)] == []


def test_it_holds_bytecode_for_every_module(names: list[str]) -> None:
    sources = [name for name in names if name.endswith(".py")]
    compiled = {name for name in names if name.endswith(".pyc")}

    assert {name.partition("/")[0] for name in sources} == {"mlserve", "registry", "predictions"}
    assert len([name for name in compiled if "/__pycache__/" in name]) == len(sources)


def test_it_holds_static_files_once(names: list[str]) -> None:
    styles = [name for name in names if re.fullmatch(r"collected/mlserve/style\..*css", name)]

    assert len(styles) == 1
    assert re.fullmatch(r"collected/mlserve/style\.[0-9a-f]{12}\.css", styles[0])
    assert [name for name in names if re.search(r"/static/|\.map(\.gz)?$", name)] == []


def test_it_works_with_nothing_but_lambdas_runtime(deploy_python: Path, package: Path) -> None:
    """Pages, a prediction, and every public module of the libraries."""
    done = run(deploy_python, package)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "It works: pages, a prediction" in done.stdout


def test_it_notices_a_file_that_was_left_out(deploy_python: Path, package: Path, tmp_path: Path) -> None:
    without = tmp_path / "without.zip"
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(without, "w") as cut:
        for entry in whole.infolist():
            if not entry.filename.startswith("sklearn/covariance/"):
                cut.writestr(entry, whole.read(entry), zipfile.ZIP_STORED)

    done = run(deploy_python, without)

    assert done.returncode != 0
    assert "sklearn.covariance" in done.stderr


def run(python: Path, package: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "deployment.trial", str(package)],
        cwd=ROOT, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False,
    )  # fmt: skip
