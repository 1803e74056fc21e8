"""Files of nothing but trusted names, which do what no model does: only loading them, or what was loaded, tells."""

import functools
import pickle
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.impute._iterative import _ImputerTriplet
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, RepeatedKFold
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array

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


def with_attributes(holder: Any, **attributes: Any) -> Any:
    vars(holder).update(attributes)
    return holder


def identified(value: Any) -> uuid.UUID:
    made = uuid.UUID(int=1)
    object.__setattr__(made, "int", value)
    return made


def itself(value: Any) -> list[Any]:
    made: list[Any] = [value]
    made.append(made)
    return made


def described(value: Any) -> np.dtype[Any]:
    return np.dtype("f8", metadata={"a": value})


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
    "an attribute of a function": lambda: SelectFromModel(LogisticRegression(), importance_getter="fit.__globals__"),
    "an attribute of a class": lambda: RFE(LogisticRegression(), importance_getter="__class__.mro"),
    "an attribute of a name": lambda: ColumnTransformer([], verbose_feature_names_out="{feature_name.__class__}"),
    "an item of a name": lambda: ColumnTransformer([], verbose_feature_names_out="{feature_name[0]}"),
    "an attribute for a width": lambda: ColumnTransformer([], verbose_feature_names_out="{a:{b.c}}"),
    "a word in the place of a method": lambda: with_attributes(StandardScaler(), transform="to_csv"),
    "a method that its class has not": lambda: with_attributes(StandardScaler(), predict=np.log1p),
    "a matrix for an estimator": lambda: with_attributes(scipy.sparse.eye_array(2).tocsr(), predict=np.log1p),
    "a matrix for its tags": lambda: with_attributes(scipy.sparse.csr_matrix(np.eye(2)), estimator_type="regressor"),
    "a dict for an estimator": lambda: with_attributes(OrderedDict(), predict=np.log1p),
    "a partial for an estimator": lambda: with_attributes(functools.partial(check_array), predict=np.log1p),
    "a function in the place of a method": lambda: with_attributes(LogisticRegression(), predict=np.log1p),
    "a class that may only be made": lambda: FunctionTransformer(Pipeline),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "alone": lambda hostile: hostile,
    "a step": lambda hostile: Pipeline([("model", hostile)]),
    "an array of objects": lambda hostile: np.array([hostile, None], dtype=object),
    "a matrix of objects": lambda hostile: np.array([[hostile]], dtype=object).view(np.matrix),
    "a masked array": lambda hostile: np.ma.array([hostile], dtype=object),
    "a masked array's notes": lambda hostile: with_attributes(np.ma.array([1]), _optinfo={"a": hostile}),
    "a record": lambda hostile: np.array([(hostile,)], dtype=[("a", "O")]),
    "a record in a record": lambda hostile: np.array([(((hostile,)),)], dtype=[("a", [("b", "O")])])[0],
    "an array's type": lambda hostile: np.zeros(1, described(hostile)),
    "a field's type": lambda hostile: np.zeros(1, [("a", described(hostile))]),
    "a type of parts": lambda hostile: np.dtype((described(hostile), (2,))),
    "a table": lambda hostile: pd.DataFrame({"a": pd.Series([hostile], dtype=object)}),
    "a table's notes": lambda hostile: with_attributes(pd.DataFrame({"a": [1]}), _attrs={"a": hostile}),
    "the name of a column": lambda hostile: pd.DataFrame({hostile: [1]}),
    "the name of a series": lambda hostile: pd.Series([1], name=hostile),
    "the name of an index": lambda hostile: pd.RangeIndex(2, name=hostile),
    "a level": lambda hostile: pd.MultiIndex(levels=[pd.Index([hostile], dtype=object)], codes=[[0]]),
    "a category": lambda hostile: pd.Categorical([hostile]),
    "a type of categories": lambda hostile: pd.CategoricalDtype(pd.Index([hostile], dtype=object)),
    "an extension array": lambda hostile: with_attributes(pd.array([1], dtype="Int64"), _cache={"a": hostile}),
    "a fill value": lambda hostile: with_attributes(pd.SparseDtype("f8", 0.0), _fill_value=hostile),
    "a sparse matrix": lambda hostile: with_attributes(scipy.sparse.csr_array(np.eye(2)), maxprint=hostile),
    "a dict of its own kind": lambda hostile: OrderedDict(a={"b": (hostile,)}),
    "the attribute of a dict": lambda hostile: with_attributes(OrderedDict(), _a=hostile),
    "a key": lambda hostile: {hostile: 1},
    "a default": lambda hostile: defaultdict(functools.partial(check_array, dtype=hostile)),
    "a counter": lambda hostile: Counter({hostile: 1}),
    "a queue": lambda hostile: deque([hostile]),
    "a set": lambda hostile: {hostile},
    "a frozen set": lambda hostile: frozenset([hostile]),
    "a named tuple": lambda hostile: _ImputerTriplet(1, 2, hostile),
    "a slice": lambda hostile: slice(hostile, None),
    "a view of a dict": lambda hostile: types.MappingProxyType({"a": hostile}),
    "a bunch": lambda hostile: Bunch(a=hostile),
    "a partial": lambda hostile: functools.partial(check_array, dtype=hostile),
    "a number of an object": identified,
    "a circle": itself,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_refuses_words_that_libraries_obey(load: Any, name: str) -> None:
    with pytest.raises(Refused):
        load(HOSTILE[name]())


@pytest.mark.parametrize("place", PLACES)
def test_it_looks_everywhere(place: str) -> None:
    with pytest.raises(Refused, match="would call the method"):
        require_harmless(FunctionTransformer(kw_args={"a": PLACES[place](stacking("eval"))}))


def test_it_refuses_a_word_that_was_changed_afterwards(load: Any) -> None:
    """When the list became an attribute it was empty."""
    body = (
        b"csklearn.ensemble._stacking\nStackingClassifier\n)\x81}" + text("stack_method_") + b"]q\x00sb"
        + b"h\x00" + text("eval") + b"a\x86"
    )  # fmt: skip

    with pytest.raises(Refused, match="would call the method"):
        load(pickled(body))


@pytest.mark.parametrize(
    "estimator",
    [
        stacking("predict_proba", "decision_function"),
        CountVectorizer(),
        SelectFromModel(LogisticRegression(), importance_getter="named_steps.model.coef_"),
        RFE(LogisticRegression(), importance_getter="auto"),
        ColumnTransformer([], verbose_feature_names_out="{transformer_name}-{feature_name:>9}"),
        ColumnTransformer([], verbose_feature_names_out=False),
        with_attributes(LogisticRegression(), note="of its user", feature_names=["a"]),
    ],
    ids=str,
)
def test_it_lets_in_the_words_of_models(load: Any, estimator: Any) -> None:
    assert vars(load(estimator)).keys() >= vars(estimator).keys()


def test_it_survives_what_refers_to_itself() -> None:
    value: list[Any] = [{}]
    value[0]["a"] = value

    require_harmless(value)


@pytest.mark.parametrize("value", [pd.NA, pd.NaT, RepeatedKFold(n_splits=2), uuid.UUID(int=3), slice(1, 2)])
def test_it_lets_in_what_libraries_put_there(load: Any, value: Any) -> None:
    assert repr(load(FunctionTransformer(kw_args={"a": [value]})).kw_args["a"][0]) == repr(value)


def test_it_calls_no_method_by_a_name_in_data(load: Any) -> None:
    """scikit-learn takes the method's name from `predict.__name__`, which a table answers by its labels."""
    word = load(FunctionTransformer(kw_args={"a": pd.Series(["to_csv"], index=["__name__"])})).kw_args["a"]

    with pytest.raises(AttributeError, match="__name__"):
        _ = word.__name__
    assert word["__name__"] == "to_csv"
