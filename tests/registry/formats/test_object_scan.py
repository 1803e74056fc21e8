"""Files of nothing but trusted names, which do what no model does: only loading them, or what was loaded, tells."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, RepeatedKFold
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from registry.formats import loading
from registry.formats.loading import Refused
from registry.formats.object_scan import require_harmless
from tests.registry.formats.test_pickle_scan import pickled, text


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], Any]:
    """Load, by the only module that may, what `value` is pickled to, or bytes as they are."""

    def through(value: Any) -> Any:
        path = tmp_path / "model.pickle"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
        assert loading.refused(loading.read_names(path)) == []
        return loading.load(path).pipeline

    return through


def with_attributes(estimator: Any, **attributes: Any) -> Any:
    vars(estimator).update(attributes)
    return estimator


def stacking(*methods: Any) -> Any:
    """`DataFrame.eval` runs Python: this way a file of trusted names was a shell."""
    estimator = StackingClassifier([("a", LogisticRegression())])
    return with_attributes(estimator, estimators_=[pd.DataFrame({"a": [1]})], stack_method_=list(methods))


HOSTILE: dict[str, Callable[[], Any]] = {
    "any method of a table": lambda: stacking("eval"),
    "any method of an array": lambda: stacking("predict", "tofile"),
    "a method by a word that is no text": lambda: stacking(np.array("eval")),
    "a method of a threshold": lambda: FixedThresholdClassifier(LogisticRegression(), response_method="to_csv"),
    "a method of a chain": lambda: with_attributes(RegressorChain(LogisticRegression()), chain_method_="fit_transform"),
    "a reader of files": lambda: CountVectorizer(input="filename"),
    "a reader of what is open": lambda: HashingVectorizer(input="file"),
    "a reader of files by an array": lambda: CountVectorizer(input=np.array("filename")),
    "a reader of files by a subclass of text": lambda: CountVectorizer(input=np.str_("filename")),
    "a function in the place of a method": lambda: with_attributes(LogisticRegression(), predict=np.log1p),
    "a class that may only be made": lambda: FunctionTransformer(Pipeline),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "alone": lambda hostile: hostile,
    "a step": lambda hostile: Pipeline([("model", hostile)]),
    "an array of objects": lambda hostile: FunctionTransformer(kw_args={"a": np.array([hostile, None], dtype=object)}),
    "a record": lambda hostile: np.array([(hostile,)], dtype=[("a", "O")]),
    "a table": lambda hostile: pd.DataFrame({"a": pd.Series([hostile], dtype=object)}),
    "a dict of its own kind": lambda hostile: OrderedDict(a={"b": (hostile,)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_refuses_words_that_libraries_obey(load: Any, name: str) -> None:
    with pytest.raises(Refused):
        load(HOSTILE[name]())


@pytest.mark.parametrize("place", PLACES)
def test_it_looks_everywhere(place: str) -> None:
    with pytest.raises(Refused, match="would call the method"):
        require_harmless(PLACES[place](stacking("eval")))


def test_it_refuses_a_word_that_was_changed_afterwards(load: Any) -> None:
    """When the list became an attribute it was empty."""
    body = (
        b"csklearn.ensemble._stacking\nStackingClassifier\n)\x81}" + text("stack_method_") + b"]q\x00sb"
        + b"h\x00" + text("eval") + b"a\x86"
    )  # fmt: skip

    with pytest.raises(Refused, match="would call the method"):
        load(pickled(body))


@pytest.mark.parametrize("estimator", [stacking("predict_proba", "decision_function"), CountVectorizer()])
def test_it_lets_in_the_words_of_models(load: Any, estimator: Any) -> None:
    assert vars(load(estimator)).keys() >= vars(estimator).keys()


def test_it_survives_what_refers_to_itself() -> None:
    value: list[Any] = [{}]
    value[0]["a"] = value

    require_harmless(value)


@pytest.mark.parametrize("value", [pd.NA, pd.NaT, RepeatedKFold(n_splits=2)])
def test_it_lets_in_what_libraries_put_there(load: Any, value: Any) -> None:
    assert repr(load(FunctionTransformer(kw_args={"a": [value]})).kw_args["a"][0]) == repr(value)


def test_it_calls_no_method_by_a_name_in_data(load: Any) -> None:
    """scikit-learn takes the method's name from `predict.__name__`, which a table answers by its labels."""
    word = load(FunctionTransformer(kw_args={"a": pd.Series(["to_csv"], index=["__name__"])})).kw_args["a"]

    with pytest.raises(AttributeError, match="__name__"):
        _ = word.__name__
    assert word["__name__"] == "to_csv"
