"""`manage.py check_model`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
from django.core.management import CommandError, call_command

from registry.inspection.report import CHECKS
from registry.models import Model, ModelVersion
from tests.conftest import EXAMPLE
from tests.paths import ROOT
from tests.pipelines import array_regressor
from tests.waiting import wait_until

DESCRIBED = (
    *("--schema", f"{EXAMPLE}/validation.py:RawData"),
    *("--sample", f"{EXAMPLE}/sample.csv", "--expected", f"{EXAMPLE}/expected.csv"),
)


def test_it_accepts_without_a_database(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_model", str(penguins_artifact), *DESCRIBED, "--form", f"{EXAMPLE}/form.json")

    out = capsys.readouterr().out
    assert out.count("✓ passed") == len(CHECKS)
    assert "can be uploaded: 12 of 12 checks passed." in out


def test_it_refuses_with_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"no model")

    with pytest.raises(CommandError, match="not a skops, joblib or pickle file") as refused:
        call_command("check_model", str(path))

    out = capsys.readouterr().out
    assert refused.value.returncode == 1
    assert "✗ failed" in out
    assert "Fix: Save the fitted pipeline" in out
    assert out.count("– skipped") == len(CHECKS) - 1


@pytest.mark.django_db
def test_it_takes_the_arguments_of_an_upload_as_they_are(penguins_artifact: Path) -> None:
    upload = ("--model", "penguins", "--tag", "1.0", "--title", "Penguins", "--public", "--promote")

    call_command("check_model", str(penguins_artifact), *DESCRIBED, *upload)

    assert not Model.objects.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_leaves_nothing_when_it_is_stopped(penguins_artifact: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "manage.py", "check_model", str(penguins_artifact)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "DEBUG": "1", "SECRET_KEY": "check"}

    def as_in_a_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what `nohup` starts inherits that it is ignored

    with subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=as_in_a_terminal) as process:  # noqa: PLW1509
        wait_until(lambda: bool(list(tmp_path.glob("*inspection*/output.txt"))), "the inspection")
        process.send_signal(number)

        assert process.wait(timeout=20) == 128 + number

    assert list(tmp_path.iterdir()) == []


def test_it_prints_json(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_model", str(penguins_artifact), *DESCRIBED, "--json")

    report = json.loads(capsys.readouterr().out)
    assert report["accepted"] is True
    assert [check["status"] for check in report["checks"]] == ["passed"] * len(CHECKS)


def test_it_prints_json_of_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"")

    with pytest.raises(CommandError):
        call_command("check_model", str(path), "--json")

    assert json.loads(capsys.readouterr().out)["accepted"] is False


def test_it_stores_nothing(db: None, penguins_artifact: Path, tmp_path: Path) -> None:
    call_command("check_model", str(penguins_artifact), "--model", "penguins", "--tag", "1.0")

    assert not Model.objects.exists()
    assert not (tmp_path / "artifacts").exists()


def test_it_refuses_a_tag_that_holds_other_bytes(penguins: ModelVersion, tmp_path: Path) -> None:
    other = tmp_path / "other.joblib"
    joblib.dump(array_regressor(), other)

    with pytest.raises(CommandError, match="upload under a new tag"):
        call_command("check_model", str(other), "--model", "penguins", "--tag", "1.0")


def test_it_accepts_the_tag_of_the_same_bytes(penguins: ModelVersion, penguins_artifact: Path) -> None:
    call_command("check_model", str(penguins_artifact), "--model", "penguins", "--tag", "1.0")


@pytest.mark.parametrize("options", [("--model", "a b"), ("--tag", "1/2")])
def test_it_refuses_names_that_fit_no_address(penguins_artifact: Path, options: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="cannot be a"):
        call_command("check_model", str(penguins_artifact), *options)


def test_it_makes_control_characters_of_a_model_visible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02cno_such\x1b[2Jmodule\nThing\n.")

    with pytest.raises(CommandError):
        call_command("check_model", str(path))

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[2J" in out
