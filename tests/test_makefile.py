"""make works in a folder whose name has a space, with a Python that lies in one, and with a home that is one."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.requirements import require_program

TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
# What make installs from, by the stamps in the environments.
SOURCES = [
    "Makefile", "pyproject.toml", *(path.name for path in ROOT.glob("requirements*.txt")),
    "tests/flows/clients/package.json", "tests/flows/clients/package-lock.json",
]  # fmt: skip
ENVIRONMENTS = (".venv", ".venv-deploy", ".venv-mlflow")
PACKAGE_SECONDS = 900


def checkout(folder: Path) -> Path:
    """A copy of the tracked files below `folder`, in a folder with a space, with the environments of this one."""
    place = folder / "my models" / "mlserve"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in map(os.fsdecode, listed.stdout.splitlines()):
        if name not in ENVIRONMENTS and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    for name in ENVIRONMENTS:
        if (ROOT / name).exists():
            (place / name).symlink_to((ROOT / name).resolve())
    return place


def make(place: Path, *arguments: str, seconds: float = 120, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [require_program("make", "apt-get install make"), *arguments],
        cwd=place,
        env={**os.environ, "MAKEFLAGS": "", **variables},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_it_passes_on_names_with_a_space_whole(tmp_path: Path, target: str) -> None:
    """What would be run is read as a shell reads it."""
    place = checkout_of_make(tmp_path)
    given = {"PACKAGE": "my packages/one.zip", "MARKDOWN": "my pages/one.md", "PYTHON": f"{place}/my python/python3"}

    planned = make(place, "--always-make", "--dry-run", target, *(f"{name}={value}" for name, value in given.items()))

    assert planned.returncode == 0, planned.stderr
    script = planned.stdout.replace("\\\n", " ")
    words = shlex.split(script, comments=True)
    assert subprocess.run(["sh", "-n", "-c", script], capture_output=True, check=False).returncode == 0
    pieces = {"models", "packages/one.zip", "pages/one.md", "models/mlserve", "python/python3"}
    assert [word for word in words if word in pieces or word.startswith("models/mlserve")] == []


def checkout_of_make(folder: Path) -> Path:
    place = folder / "my models" / "mlserve"
    place.mkdir(parents=True)
    (place / "tests" / "flows" / "clients").mkdir(parents=True)
    for name in SOURCES:
        shutil.copy2(ROOT / name, place / name)
    python = place / "my python" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    return place


def test_it_makes_an_environment_by_a_python_in_such_a_folder(tmp_path: Path) -> None:
    place = checkout_of_make(tmp_path)

    made = make(place, f"PYTHON={place}/my python/python3", "new-venv", "new-deploy-venv")

    assert made.returncode == 0, made.stderr
    for name in (".venv", ".venv-deploy"):
        run = [str(place / name / "bin" / "pip"), "--version"]
        assert str(place / name) in subprocess.run(run, capture_output=True, text=True, check=True).stdout


def test_it_finds_pythons_of_a_home_with_a_space(tmp_path: Path) -> None:
    place, home = checkout_of_make(tmp_path), tmp_path / "my home"
    python = home / ".pyenv" / "versions" / "3.13.99" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "make", "test", "echo"):
        (tools / name).symlink_to(shutil.which(name) or "")

    made = make(place, "new-deploy-venv", HOME=str(home), PATH=str(tools))

    assert made.returncode == 0, made.stderr
    assert f"with {python}" in made.stdout


@pytest.mark.long
def test_it_packages_in_such_a_folder(tmp_path: Path, deploy_python: Path) -> None:
    place = checkout(tmp_path)

    made = make(
        place, "package", "--old-file=requirements-deploy.txt", "PACKAGE=my packages/one.zip", seconds=PACKAGE_SECONDS
    )

    assert made.returncode == 0, made.stdout + made.stderr
    assert "It works: pages, a prediction" in made.stdout
    assert (place / "my packages" / "one.zip").exists()
