"""Commands that are printed, pasted into a shell."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlserve.conf import command_lines
from mlserve.conf.command_lines import manage
from tests.paths import ROOT


def test_it_is_short_where_it_is_pasted_from_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python3"))

    assert manage("promote_model", "penguins", "1.0") == ".venv/bin/python manage.py promote_model penguins 1.0"


def test_it_works_from_another_folder_and_with_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "my models"
    project.mkdir()
    (project / "manage.py").write_text("import sys; print(sys.argv[1:])")
    monkeypatch.setattr(command_lines, "_PROJECT", project)

    done = subprocess.run(
        ["sh", "-c", manage("make_admin", "Ana Maria")], cwd="/", capture_output=True, text=True, check=True
    )

    assert done.stdout == "['make_admin', 'Ana Maria']\n"
