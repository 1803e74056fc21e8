"""What libraries write is let in, or refused with a true reason and a step that works."""

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from registry.formats import loading
from registry.formats.errors import CannotLoad
from registry.formats.rules import NEVER
from tests.registry.formats.library_objects import LOADED, REFUSED

PICKLED: Mapping[str, Callable[[Any, Path], Any]] = {
    "pickle 2": lambda value, path: path.write_bytes(pickle.dumps(value, 2)),
    "pickle 5": lambda value, path: path.write_bytes(pickle.dumps(value, 5)),
    "joblib": joblib.dump,
    "joblib, zlib": lambda value, path: joblib.dump(value, path, compress=3),
    "cloudpickle": lambda value, path: path.write_bytes(cloudpickle.dumps(value)),
}
# Only joblib writes these arrays in a way that cannot be read.
NOT_SAVED = {
    ("pickle 2", "structured objects"),
    ("pickle 5", "structured objects"),
    ("cloudpickle", "structured objects"),
}


def held(value: Any) -> FunctionTransformer:
    """A step that holds the value."""
    return FunctionTransformer(kw_args={"value": value})


def why_refused(path: Path) -> tuple[str, str]:
    """What was found and what to do; '' for a file that loads."""
    try:
        refused = loading.refused(loading.read_names(path))
        if refused:
            return "; ".join(str(each.reference) for each in refused), loading.how_to_fix(refused)
        loading.load(path)
    except CannotLoad as error:
        return error.detail, error.fix
    return "", ""


@pytest.mark.parametrize("name", LOADED)
def test_it_loads_what_libraries_write(tmp_path: Path, name: str) -> None:
    value, path = LOADED[name](), tmp_path / "model"
    for way, save in PICKLED.items():
        save(held(value), path)

        assert (way, *why_refused(path)) == (way, "", "")


def test_it_keeps_the_one_missing_marker(tmp_path: Path) -> None:
    path = tmp_path / "model"
    joblib.dump(SimpleImputer(missing_values=pd.NA), path)

    assert loading.load(path).pipeline.missing_values is pd.NA


@pytest.mark.parametrize("name", REFUSED)
def test_it_says_what_to_do_instead(tmp_path: Path, name: str) -> None:
    make, step = REFUSED[name]
    value, path = make(), tmp_path / "model"
    for way, save in PICKLED.items():
        if (way, name) in NOT_SAVED:
            continue
        save(held(value), path)

        found, fix = why_refused(path)

        assert (way, bool(found)) == (way, True)
        assert step in fix
        assert "Do not load it anywhere" not in fix


@pytest.mark.parametrize("name", [*LOADED, *REFUSED])
def test_it_accuses_no_skops_file_of_what_skops_writes(tmp_path: Path, name: str) -> None:
    """skops cannot write all of it, and read back less; what it wrote is not called an attack."""
    value, path = (LOADED.get(name) or REFUSED[name][0])(), tmp_path / "model"
    try:
        skops.io.dump(held(value), path)
    except Exception:  # noqa: BLE001 - skops raises anything for what it cannot write
        return

    found, fix = why_refused(path)

    assert NEVER not in fix
    assert bool(found) == bool(fix)


# --- The steps work ----------------------------------------------------------------------------------------------

TAGS = ["Red warm", "blue-cold  red", "", "a B c"]
FRAME = pd.DataFrame({"tags": TAGS, "size": [1.0, None, 3.0, 4.0]})


@pytest.mark.parametrize(
    ("function", "instead"),
    [
        (CountVectorizer(tokenizer=str.split, token_pattern=None), CountVectorizer(token_pattern=r"\S+")),
        (CountVectorizer(preprocessor=str.lower), CountVectorizer(lowercase=True)),
        (
            CountVectorizer(tokenizer=__import__("re").compile(r"[a-z]+").findall, token_pattern=None),
            CountVectorizer(token_pattern=r"[a-z]+"),
        ),
    ],
    ids=["split", "lower", "findall"],
)
def test_it_advises_vectorizers_that_do_the_same(tmp_path: Path, function: Any, instead: Any) -> None:
    expected = function.fit_transform(TAGS)
    path = tmp_path / "model"
    joblib.dump(instead.fit(TAGS), path)

    found = loading.load(path).pipeline

    assert list(found.get_feature_names_out()) == list(function.get_feature_names_out())
    assert np.array_equal(found.transform(TAGS).toarray(), expected.toarray())


@pytest.mark.parametrize(
    "instead",
    [
        ColumnTransformer([("text", TfidfVectorizer(), "tags")]),
        ColumnTransformer([("size", SimpleImputer(strategy="constant", fill_value=0.0), ["size"])]),
        ColumnTransformer([("kind", OneHotEncoder(handle_unknown="ignore"), ["tags"])]),
        ColumnTransformer([("size", FunctionTransformer(np.clip, kw_args={"min": 2.0, "max": 3.0}), ["size"])]),
    ],
    ids=["column", "fill", "encode", "arguments"],
)
def test_it_advises_steps_that_load(tmp_path: Path, instead: Any) -> None:
    path = tmp_path / "model"
    joblib.dump(make_pipeline(instead).fit(FRAME), path)

    assert why_refused(path) == ("", "")


def test_it_advises_to_drop_the_cache(tmp_path: Path) -> None:
    pipeline = Pipeline([("model", Ridge())], memory=joblib.Memory(tmp_path / "cache", verbose=0))
    path = tmp_path / "model"
    joblib.dump(pipeline.fit([[1.0], [2.0]], [1.0, 2.0]).set_params(memory=None), path)

    assert why_refused(path) == ("", "")


def test_it_advises_to_drop_distributions(tmp_path: Path) -> None:
    from scipy.stats import loguniform
    from sklearn.model_selection import RandomizedSearchCV

    rows = np.arange(20.0).reshape(-1, 1)
    search = RandomizedSearchCV(Ridge(), {"alpha": loguniform(1, 2)}, n_iter=2, cv=2).fit(rows, rows[:, 0])
    expected = search.predict(rows)
    path = tmp_path / "model"
    joblib.dump(search.set_params(param_distributions={}), path)

    assert np.array_equal(loading.load(path).pipeline.predict(rows), expected)


# --- What must stay refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [b"cbuiltins\ngetattr\n(cos\nenviron\nVget\ntR", b"cbuiltins\ngetattr\n(cpandas\nDataFrame\nVeval\ntR"],
    ids=["of a module", "of a trusted class"],
)
def test_it_refuses_a_method_by_its_name(tmp_path: Path, target: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x80\x02" + target + b".")

    names = loading.refused(loading.read_names(path))

    assert names
    with pytest.raises(CannotLoad):
        loading.load(path)


def test_it_hides_no_getattr_among_trusted_names(tmp_path: Path) -> None:
    """Even where all else is trusted, also what was looked up."""
    path = tmp_path / "model"
    path.write_bytes(b"\x80\x02cbuiltins\ngetattr\n(ctests.pipelines\nStateless\nVfit\ntR.")

    refused = loading.refused(loading.read_names(path), ["tests"])

    assert [str(each.reference) for each in refused] == ["builtins.getattr"]
    with pytest.raises(CannotLoad):
        loading.load(path, trusted=["tests"])


def test_it_makes_indexes_of_pandas_classes_only(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x80\x02cpandas.core.indexes.interval\n_new_IntervalIndex\n(cnumpy\nlog1p\n}tR.")

    assert [str(each.reference) for each in loading.refused(loading.read_names(path))] == ["numpy.log1p"]
    with pytest.raises(CannotLoad):
        loading.load(path)


def test_it_reads_the_version_without_loading() -> None:
    from registry.formats import pickle_scan

    content = pickle.dumps(Pipeline([("model", Ridge())]))
    import sklearn

    assert pickle_scan.read(io.BytesIO(content)).trained_with == (sklearn.__version__,)
    assert pickle_scan.read(io.BytesIO(pickle.dumps({"_sklearn_version": "1.0"}))).trained_with == ()
