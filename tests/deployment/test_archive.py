"""The zip: the same bytes each time, bytecode that is used, Lambda's limit."""

import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deployment import archive, bytecode
from deployment.contents import Entry

OURS = Entry("mlserve/answer.py", b"ANSWER = 42\n")
LIBRARY = Entry("solver/__init__.py", b'"""Solves."""\nANSWER = 43\n')


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_writes_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        archive.write(tmp_path / name, [OURS, LIBRARY, Entry("templates/home.html", b"<p>")])

    assert digest(tmp_path / "one.zip") == digest(tmp_path / "two.zip")


def test_it_keeps_our_source_and_a_librarys_bytecode_only(tmp_path: Path) -> None:
    archive.write(tmp_path / "package.zip", [OURS, LIBRARY])

    with zipfile.ZipFile(tmp_path / "package.zip") as zipped:
        assert zipped.namelist() == [
            "mlserve/answer.py",
            f"mlserve/__pycache__/answer.{sys.implementation.cache_tag}.pyc",
            "solver/__init__.pyc",
        ]


def test_it_makes_bytecode_that_is_used_although_the_source_is_newer(tmp_path: Path) -> None:
    """As on Lambda, where the times of files say nothing."""
    source = tmp_path / "answer.py"
    compiled = tmp_path / bytecode.beside_source("answer.py")
    compiled.parent.mkdir()
    compiled.write_bytes(bytecode.compiled(b"ANSWER = 42\n", "answer.py"))
    source.write_text("ANSWER = 'compiled anew'\n")

    assert loaded(source).ANSWER == 42


def test_it_names_lambdas_folder_in_tracebacks(tmp_path: Path) -> None:
    alone = tmp_path / bytecode.instead_of_source("solver.py")
    alone.write_bytes(bytecode.compiled(b"def solve():\n    return 1\n", "solver.py"))

    assert loaded(alone).solve.__code__.co_filename == "/var/task/solver.py"


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("loaded_by_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_refuses_what_lambda_would_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT_BYTES", 10)

    with pytest.raises(archive.TooLarge, match="11 bytes unzipped; Lambda takes 10"):
        archive.write(tmp_path / "package.zip", [Entry("templates/a.html", b"x" * 11)])
    assert list(tmp_path.iterdir()) == []


def test_it_lets_lambda_read_every_file(tmp_path: Path) -> None:
    archive.write(tmp_path / "package.zip", [OURS])

    with zipfile.ZipFile(tmp_path / "package.zip") as zipped:
        assert {entry.external_attr >> 16 for entry in zipped.infolist()} == {0o644}


def test_it_finds_libraries_that_need_another_system(tmp_path: Path) -> None:
    wheel = b"Wheel-Version: 1.0\nTag: cp313-cp313-macosx_14_0_arm64\n"
    archive.write(tmp_path / "package.zip", [Entry("numpy-2.4.dist-info/WHEEL", wheel)])

    assert archive.platform_problems(tmp_path / "package.zip") == [
        "numpy is for macosx_14_0_arm64; Lambda runs Linux: build on Linux, or use the Dockerfile"
    ]
