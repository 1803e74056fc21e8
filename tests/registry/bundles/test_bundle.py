"""The one model in an archive that MLflow did not write, and what is said when there is none."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import joblib
import pytest
import skops.io

from registry.bundles.bundle import Bundle, unpack
from registry.bundles.errors import UnusableBundle
from tests import pipelines
from tests.registry.bundles.packing import tarred, zip_of

MLMODEL = b"""
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
mlflow_version: 1.30.0
"""


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    joblib.dump(pipelines.several_outputs(), tmp_path / "model.joblib", compress=3)
    return (tmp_path / "model.joblib").read_bytes()


def unpacked(path: Path, tmp_path: Path, *, max_bytes: int = 2**20) -> Bundle | None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return unpack(path, folder, max_bytes=max_bytes, wants_schema=True, wants_sample=True)


def refusal(path: Path, tmp_path: Path) -> str:
    with pytest.raises(UnusableBundle) as caught:
        unpacked(path, tmp_path)
    return f"{caught.value.detail} {caught.value.fix}"


def test_it_takes_the_model_of_sagemaker(tmp_path: Path, model: bytes) -> None:
    files = {"./model.joblib": model, "code/inference.py": b"import os\n", "code/vocabulary.pkl": b"\x80\x04N."}

    bundle = unpacked(tarred(files, tmp_path / "model.tar.gz"), tmp_path)

    assert bundle is not None
    assert bundle.model.read_bytes() == model
    assert "Not used: code/inference.py, code/vocabulary.pkl." in str(bundle.origin)


def test_it_tells_names_as_a_database_can_keep_them(tmp_path: Path, model: bytes) -> None:
    bundle = unpacked(tarred({"m\udcff\x1b.pkl": model}, tmp_path / "model.tar.gz"), tmp_path)

    assert bundle is not None
    assert bundle.origin.file == "m\\udcff\\x1b.pkl"


@pytest.mark.parametrize(
    ("files", "reasons"),
    [
        ({"xgboost-model": b"binf..."}, ["No file in the archive", "xgboost-model"]),
        ({"code/model.py": b"x"}, ["No file in the archive", "It holds code/model.py."]),
        ({"a.pkl": b"\x80\x04N.", "b.pkl": b"\x80\x04N."}, ["several models: a.pkl, b.pkl", "one Pipeline"]),
    ],
)
def test_it_refuses_a_tar_without_one_model(tmp_path: Path, files: Mapping[str, bytes], reasons: list[str]) -> None:
    said = refusal(tarred(files, tmp_path / "model.tar.gz"), tmp_path)

    assert all(reason in said for reason in reasons)


def test_it_names_the_model_in_a_zip_without_mlmodel(tmp_path: Path, model: bytes) -> None:
    said = refusal(zip_of({"churn/model.joblib": model, "notes.txt": b"x"}, tmp_path / "m.zip"), tmp_path)

    assert "The zip archive has no MLmodel" in said
    assert "Give the file of the pipeline itself: churn/model.joblib." in said


def test_it_says_what_a_folder_without_mlmodel_holds(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "notes.txt").write_text("x")

    said = refusal(tmp_path / "given", tmp_path)

    assert "is a folder; give a file, or a folder of MLflow, which has a file MLmodel." in said
    assert "It holds notes.txt." in said
    assert "Give a folder that mlflow wrote" in said


def test_it_refuses_several_models_of_mlflow(tmp_path: Path) -> None:
    assert "several MLflow models: a/MLmodel, b/MLmodel" in refusal(
        zip_of({"a/MLmodel": MLMODEL, "b/MLmodel": MLMODEL}, tmp_path / "m.zip"), tmp_path
    )


def test_it_leaves_files_of_one_model_alone(tmp_path: Path, model: bytes) -> None:
    skops.io.dump(pipelines.several_outputs(), tmp_path / "model.skops")
    (tmp_path / "model.gz").write_bytes(gzip.compress(b"\x80\x04N."))
    (tmp_path / "cut.skops").write_bytes((tmp_path / "model.skops").read_bytes()[:500])

    for name in ("model.skops", "model.joblib", "model.gz", "cut.skops"):
        with_folder = tmp_path / f"for-{name}"
        with_folder.mkdir()
        assert unpacked(tmp_path / name, with_folder) is None


def test_it_takes_the_only_flavor_of_an_old_mlflow(tmp_path: Path, model: bytes) -> None:
    conda = b"dependencies:\n- python=3.8.1\n- pip:\n  - scikit-learn==0.24.2\n"
    files = {"MLmodel": MLMODEL, "model.pkl": model, "conda.yaml": conda}

    bundle = unpacked(zip_of(files, tmp_path / "m.zip"), tmp_path)

    assert bundle is not None
    assert bundle.origin.trained_with == {"scikit-learn": "0.24.2"}


@pytest.mark.parametrize(
    "example", [b"{", b"[[[1]]]", b'[{"a": Infinity}]', b"[]", b"\xff", b"[" * 100_000, b"[1, [1, 2]]"]
)
def test_it_goes_without_an_unreadable_example(tmp_path: Path, model: bytes, example: bytes) -> None:
    info = b"saved_input_example_info: {artifact_path: input_example.json, type: dataframe}\n"
    files = {"MLmodel": MLMODEL + info, "model.pkl": model, "input_example.json": example}

    bundle = unpacked(zip_of(files, tmp_path / "m.zip"), tmp_path)

    assert bundle is not None
    assert bundle.sample is None
    assert "Its input example was not used: " in str(bundle.origin)


def test_it_bounds_the_rows_of_an_example(tmp_path: Path, model: bytes) -> None:
    info = b"saved_input_example_info: {artifact_path: input_example.json, type: dataframe}\n"
    long_name = {"columns": ["x" * 10**6], "data": [[1]] * 900}
    files = {"MLmodel": MLMODEL + info, "model.pkl": model, "input_example.json": json.dumps(long_name).encode()}

    bundle = unpacked(zip_of(files, tmp_path / "m.zip"), tmp_path)

    assert bundle is not None
    assert bundle.sample is not None
    assert len(json.loads(bundle.sample.read_text())) == 4


def test_it_names_the_file_that_is_missing(tmp_path: Path) -> None:
    assert "names model.pkl, which is not there" in refusal(zip_of({"MLmodel": MLMODEL}, tmp_path / "m.zip"), tmp_path)


def test_it_writes_no_more_than_it_may(tmp_path: Path) -> None:
    path = tarred({"model.pkl": b"\x80\x04" + bytes(2**20)}, tmp_path / "model.tar.gz")

    with pytest.raises(UnusableBundle, match=r"more than 976\.6 KiB"):
        unpacked(path, tmp_path, max_bytes=10**6)
