"""`manage.py upload_model`."""

from pathlib import Path

import joblib
import pytest
from django.core.management import CommandError, call_command
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from registry.models import Model, ModelVersion
from tests.conftest import EXAMPLE
from tests.pipelines import array_regressor

pytestmark = pytest.mark.django_db

DESCRIBED = ("--schema", f"{EXAMPLE}/validation.py:RawData", "--sample", f"{EXAMPLE}/sample.csv")


def upload(path: Path, *options: str, model: str = "penguins", tag: str = "1.0") -> None:
    call_command("upload_model", str(path), "--model", model, "--tag", tag, *options)


def test_it_registers_and_says_how_to_promote(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload(penguins_artifact, *DESCRIBED, "--form", f"{EXAMPLE}/form.json")

    version = ModelVersion.objects.get()
    out = capsys.readouterr().out
    assert not version.is_live
    assert f"penguins 1.0 registered (sha256 {version.sha256[:12]}…" in out
    assert "not live yet" in out
    assert "python manage.py promote_model penguins 1.0" in out


def test_it_records_who_uploaded_from_the_shell(penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")

    upload(penguins_artifact, *DESCRIBED, "--promote")

    assert ModelVersion.objects.get().uploaded_by == "ada (shell)"
    assert Model.objects.get().promotions.get().promoted_by == "ada (shell)"


def test_it_prints_every_check_on_one_line_without_colours(
    penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(penguins_artifact, *DESCRIBED)

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert any(
        "There is a schema of one raw record" in line and "✓ passed" in line and "year (int64)" in line
        for line in out.splitlines()
    )


def test_it_shows_how_to_correct_a_warning(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload(penguins_artifact)

    out = capsys.readouterr().out
    assert "! warning" in out
    assert "Fix: Give --sample" in out


def test_it_shows_how_to_give_the_trainers_answers(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload(penguins_artifact, *DESCRIBED)
    upload(penguins_artifact, *DESCRIBED, "--expected", f"{EXAMPLE}/expected.csv", tag="1.1")

    first, second = capsys.readouterr().out.split("penguins 1.0 registered")
    assert 'pd.Series(pipeline.predict(X)).to_csv("expected.csv", index=False)' in " ".join(first.split())
    assert "The predictions of 13 rows are the trainer's" in second


def test_it_takes_the_expected_answers_from_one_place(penguins_artifact: Path) -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        upload(penguins_artifact, *DESCRIBED, "--expected", f"{EXAMPLE}/expected.csv", "--expected-column", "species")


def test_it_promotes_and_says_what_was_live_before(penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload(penguins_artifact, "--promote")
    assert "is live now; no version was before." in capsys.readouterr().out

    upload(penguins_artifact, "--promote", tag="1.1")
    assert "penguins 1.1 registered" in (out := capsys.readouterr().out)
    assert "is live now; 1.0 was before." in out


def test_it_says_what_stays_live(
    penguins: ModelVersion, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(penguins_artifact, tag="1.1")

    assert "not live yet (1.0 is); promote it with" in capsys.readouterr().out


def test_it_accepts_the_same_bytes_again(
    penguins: ModelVersion, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(penguins_artifact, *DESCRIBED)

    out = capsys.readouterr().out
    assert "was registered before with the same bytes" in out
    assert "is live already" in out
    assert "never change" in out
    assert ModelVersion.objects.count() == 1


def test_it_refuses_a_tag_that_holds_other_bytes(penguins: ModelVersion, tmp_path: Path) -> None:
    other = tmp_path / "other.joblib"
    joblib.dump(array_regressor(), other)

    with pytest.raises(CommandError, match=r"penguins 1\.0 is another artifact.*upload under a new tag") as refused:
        upload(other)

    assert refused.value.returncode == 1
    assert ModelVersion.objects.get().sha256 == penguins.sha256


def test_it_makes_a_model_public_with_a_title(penguins_artifact: Path) -> None:
    upload(penguins_artifact, "--title", "Penguin species", "--public")

    model = Model.objects.get()
    assert (model.title, model.is_public) == ("Penguin species", True)


def test_it_makes_a_public_model_private(penguins: ModelVersion, penguins_artifact: Path) -> None:
    upload(penguins_artifact, "--private", tag="1.1")

    assert not Model.objects.get().is_public


@pytest.mark.parametrize(("model", "tag"), [("a b", "1"), ("penguins", "1/2"), ("", "1"), ("penguins", "x" * 101)])
def test_it_refuses_names_that_fit_no_address(penguins_artifact: Path, model: str, tag: str) -> None:
    with pytest.raises(CommandError, match=r"cannot be a|longer than"):
        upload(penguins_artifact, model=model, tag=tag)


def test_it_shows_the_report_of_what_it_refuses(
    penguins_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = tmp_path / "form.json"
    form.write_text('{"sections": [{"fields": [{"name": "wings"}]}]}')

    with pytest.raises(CommandError, match="wings, which the schema lacks"):
        upload(penguins_artifact, *DESCRIBED, "--form", str(form))

    out = capsys.readouterr().out
    assert "✗ failed" in out
    assert "✓ passed" in out
    assert not Model.objects.exists()


NOT_INSTALLED = b"\x80\x02cno_such_module\nThing\n."

UNUSABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "The file is empty"),
    "text": (b"hello, world", "not a skops, joblib or pickle file; it looks like a Python source file or other text"),
    "zip": (b"PK\x03\x04" + bytes(60), "a zip archive, but no skops file"),
    "not installed": (NOT_INSTALLED, "Install no_such_module where mlserve runs"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_it_refuses_files_that_do_not_load(kind: str, tmp_path: Path) -> None:
    content, sentence = UNUSABLE[kind]
    path = tmp_path / "model.pkl"
    path.write_bytes(content)

    with pytest.raises(CommandError) as refused:
        upload(path)

    assert sentence in str(refused.value)
    assert not Model.objects.exists()


def test_it_refuses_a_truncated_file(penguins_artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(penguins_artifact.read_bytes()[:-100])

    with pytest.raises(CommandError, match="truncated or damaged"):
        upload(path)


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (LogisticRegression(), "LogisticRegression, not a sklearn.pipeline.Pipeline"),
        (Pipeline([("model", LogisticRegression())]), "The pipeline is not fitted"),
    ],
)
def test_it_refuses_what_cannot_predict(thing: object, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(thing, path)

    with pytest.raises(CommandError) as refused:
        upload(path)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--schema", "nowhere.py:RawData"), "nowhere.py does not exist"),
        (("--sample", "nowhere.csv"), "The sample nowhere.csv does not exist"),
        (("--sample", __file__), "must end in .csv, .tsv, .txt, .json, .jsonl or .ndjson"),
        (("--expected", "nowhere.csv"), "The file of expected answers nowhere.csv does not exist"),
        (("--expected", __file__), "must end in .csv, .tsv"),
        (("--form", "nowhere.json"), "The form nowhere.json does not exist"),
    ],
)
def test_it_refuses_files_that_it_cannot_use(penguins_artifact: Path, options: tuple[str, str], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        upload(penguins_artifact, *options)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(("path", "sentence"), [("nowhere", "does not exist"), (".", "is a folder; give a file")])
def test_it_refuses_a_path_without_a_file(path: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        upload(Path(path))
