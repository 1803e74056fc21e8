import builtins
import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest
import sklearn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from registry.formats import loading
from registry.formats.loading import CannotLoad
from tests import pipelines

PICKLE_OF_A_NUMBER = pickle.dumps(7)


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return pipelines.mixed_classifier()


def refusal_of(path: Path, *, trusted: tuple[str, ...] = ("tests",)) -> CannotLoad:
    with pytest.raises(CannotLoad) as refusal:
        loading.load(path, trusted=trusted)
    return refusal.value


def reference_to(module: str, name: str) -> bytes:
    """A pickle that needs `module.name`, as pickle writes it: protocol 2, GLOBAL, STOP."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_it_loads_every_pickle_protocol(pipeline: Any, tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(pipeline, protocol))

    loaded = loading.load(path)

    assert loaded.format == "pickle"
    assert list(loaded.pipeline.classes_) == ["old", "young"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "pickle"),
        ({"compress": 3}, "joblib-zlib"),
        ({"compress": ("zlib", 1)}, "joblib-zlib"),
        ({"compress": ("zlib", 9)}, "joblib-zlib"),
        ({"compress": "gzip"}, "joblib-gzip"),
        ({"compress": "bz2"}, "joblib-bz2"),
        ({"compress": "lzma"}, "joblib-lzma"),
        ({"compress": "xz"}, "joblib-xz"),
        ({"protocol": 2}, "pickle"),
    ],
    ids=str,
)
def test_it_loads_every_joblib_compression(
    pipeline: Any, save: Callable[..., Path], options: dict[str, Any], name: str
) -> None:
    loaded = loading.load(save(pipeline, **options))

    assert loaded.format == name
    assert loaded.mismatches == ()
    assert list(loaded.pipeline.classes_) == ["old", "young"]


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress], ids=attrgetter("__module__")
)
def test_it_loads_a_compressed_pickle(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.pickle.gz"
    path.write_bytes(compress(PICKLE_OF_A_NUMBER))

    assert loading.load(path).pipeline == 7


def test_it_does_not_look_at_the_name(pipeline: Any, save: Callable[..., Path]) -> None:
    assert loading.load(save(pipeline, "model.zip")).format == "pickle"


def a_zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", "{}")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "The file is empty"),
        (b"import sklearn\n", "text"),
        (a_zip_file(), "a zip archive, but no skops file"),
        (b"ZF0x1000" + bytes(50), "before 2014"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"\x04\x22\x4d\x18" + bytes(50), "lz4"),
        (bytes(100), "not a skops, joblib or pickle file."),
        (b"\xff" * 100, "not a skops, joblib or pickle file."),
        (b"PAR1" + bytes(50), "not a skops, joblib or pickle file"),
        (b"x", "not a skops, joblib or pickle file"),
        (b"\x80", "not a skops, joblib or pickle file"),
    ],
    ids=["empty", "python", "zip", "old joblib", "hdf5", "lz4", "zeros", "ones", "parquet", "one letter", "one byte"],
)
def test_it_recognizes_what_is_no_pickle(tmp_path: Path, content: bytes, detail: str) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(content)

    refusal = refusal_of(path)

    assert detail in refusal.detail
    assert "joblib.dump(pipeline" in refusal.fix


@pytest.mark.parametrize("options", [{}, {"compress": 3}, {"compress": "gzip"}, {"compress": "bz2"},
                                     {"compress": "lzma"}, {"compress": "xz"}], ids=str)  # fmt: skip
@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.9, 0.98])
def test_it_refuses_a_truncated_file(
    pipeline: Any, save: Callable[..., Path], options: dict[str, Any], part: float
) -> None:
    path = save(pipeline, **options)
    content = path.read_bytes()
    path.write_bytes(content[: max(3, int(len(content) * part))])

    refusal = refusal_of(path)

    assert refusal.detail
    assert refusal.fix


@pytest.mark.parametrize(
    "head", [b"\x80\x02", b"\x80\x05", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b"]\x00\x00", b"\x78\x9c"], ids=repr
)
@pytest.mark.parametrize("garbage", [b"", b"\x00" * 50, b"\xff" * 60, b"hello world" * 10, bytes(range(256))], ids=len)
def test_it_refuses_garbage_behind_a_right_beginning(tmp_path: Path, head: bytes, garbage: bytes) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(head + garbage)

    refusal = refusal_of(path)

    assert refusal.detail
    assert refusal.fix


@given(noise=st.binary(max_size=60), head=st.sampled_from([b"\x80\x02", b"\x80\x04", b"\x1f\x8b\x08\x00", b"x\x9c"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_never_fails_otherwise(tmp_path_factory: pytest.TempPathFactory, noise: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.joblib"
    # Opcodes that look up a global could run anything; what they do is tested with harmless names below.
    path.write_bytes(head + noise.replace(b"c", b"").replace(b"i", b"").replace(b"\x93", b""))

    with suppress(CannotLoad):
        loading.load(path)


def test_it_names_a_missing_module(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(reference_to("our_company.features", "Cleaner"))

    refusal = refusal_of(path, trusted=("our_company",))

    assert "'our_company'" in refusal.detail
    assert refusal.fix == "Install 'our_company' where mlserve runs, or train without it."


def test_it_names_a_missing_attribute(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(reference_to("sklearn.preprocessing", "Imputer"))

    refusal = refusal_of(path, trusted=("sklearn.preprocessing:Imputer",))

    assert "Imputer" in refusal.detail
    assert "versions" in refusal.fix


def test_it_explains_classes_of_a_notebook(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(reference_to("__main__", "MyTransformer"))

    refusal = loading.refused(loading.read_names(path))[0]

    assert str(refusal.reference) == "__main__.MyTransformer"
    assert "Move it into a module" in refusal.fix


@pytest.mark.parametrize("writer", ["cloudpickle.cloudpickle", "dill._dill"])
def test_it_explains_lambdas_that_were_written_by_name(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(reference_to(writer, "_create_function"))

    assert "lambda" in loading.refused(loading.read_names(path))[0].fix


def test_it_explains_lambdas_that_were_written_as_code(tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(lambda frame: frame), LinearRegression())
    path = tmp_path / "model.pickle"
    path.write_bytes(cloudpickle.dumps(pipeline))

    with pytest.raises(loading.Refused, match="as cloudpickle writes it") as refused:
        loading.read_names(path)

    assert "lambda" in refused.value.fix


class RaisesWhenLoaded:
    """What it raises is up to the file."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return raise_it, (self.error.__name__,)


def raise_it(name: str) -> None:
    raise getattr(builtins, name)("from inside the file")


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, KeyError, RecursionError, OSError, ImportError, MemoryError, ZeroDivisionError]
)
def test_it_turns_whatever_loading_raises_into_a_refusal(tmp_path: Path, error: type[Exception]) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(RaisesWhenLoaded(error)))

    refusal = refusal_of(path)

    assert refusal.detail
    assert refusal.fix


def test_it_reports_another_version_of_scikit_learn(save: Callable[..., Path]) -> None:
    path = pipelines.with_other_sklearn(save(pipelines.mixed_classifier()))

    mismatches = loading.load(path).mismatches

    assert "LogisticRegression" in {mismatch.estimator for mismatch in mismatches}
    assert {mismatch.trained_with for mismatch in mismatches} == {pipelines.OTHER_SKLEARN}
    assert {mismatch.loaded_with for mismatch in mismatches} == {sklearn.__version__}


def test_it_shows_no_warning_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(WarnsWhenLoaded(), path)

    assert loading.load(path, trusted=("tests",)).mismatches == ()


class WarnsWhenLoaded:
    def __setstate__(self, state: Any) -> None:
        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}
