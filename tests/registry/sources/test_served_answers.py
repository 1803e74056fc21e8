"""What is served for the trainer's own rows, as JSON, is what the trainer's pipeline answers on the trainer's own data.

Pipelines of every container, dtype and missing marker; bit for bit. Only the fitted pipeline and JSON rows are known.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from registry.pipelines.calls import available_outputs, run_rows
from registry.pipelines.frames import rows_to_input
from registry.pipelines.kept_values import first_changed_value
from registry.pipelines.wrappers import as_pipeline
from registry.sources.schemas import from_pipeline

ROWS = 40
Y = np.arange(ROWS) % 3 % 2


# No value is missing.
NOTHING = object()


@dataclass(frozen=True)
class Kind:
    """A column as trainers have it: its values, its dtype, and what stands for a missing value.

    `is_plain`: its dtype is what pandas.read_csv makes, so that it is right even where nothing tells it.
    """

    values: tuple[Any, ...]
    dtype: str
    missing: Any = NOTHING
    is_numeric: bool = False
    is_plain: bool = False

    @property
    def cells(self) -> tuple[Any, ...]:
        return self.values if self.missing is NOTHING else (*self.values, self.missing)

    @property
    def steps(self) -> list[Callable[[Any], Any]]:
        # That 32-bit floats were passed through beside others is not to be seen in the pipeline.
        numeric = NUMERIC[:-1] if self.dtype == "float32" else NUMERIC
        return [*ENCODERS, *(numeric if self.is_numeric else ()), *([GUESSED] if self.is_plain else ())]


MOMENTS = (pd.Timestamp("2026-01-31T12:00:00.123456789"), pd.Timestamp("2026-02-28"))
KINDS = {
    "text": Kind(("a", "b", "c"), "str", np.nan, is_plain=True),
    "text or None": Kind(("a", "b", "c"), "object", None),
    "text or NaN": Kind(("01", "1", "0x1"), "object", np.nan),
    "whole": Kind((1, 2, 7), "int64", is_numeric=True, is_plain=True),
    "small": Kind((1, 2, -7), "int8", is_numeric=True),
    "identifier": Kind((2**53, 2**53 + 1, 2**53 + 2), "int64", is_numeric=True, is_plain=True),
    "unsigned": Kind((1, 2**63 + 1, 2**63 + 2), "uint64", is_numeric=True),
    "object of numbers": Kind((1, 2, 3), "object", None, is_numeric=True),
    "number": Kind((0.1, 2.5, 1e300), "float64", np.nan, is_numeric=True, is_plain=True),
    "single": Kind((0.1, 2.5, 7.25), "float32", np.nan, is_numeric=True),
    "marked": Kind((0.5, 2.5, 7.25), "float64", -1.0, is_numeric=True),
    "nullable": Kind((1, 2, 7), "Int64", pd.NA, is_numeric=True),
    "boolean": Kind((True, False), "bool", is_numeric=True),
    "boolean or None": Kind((True, False), "object", None),
    "day": Kind(tuple(pd.to_datetime(["2026-01-31", "2026-02-28"])), "datetime64[us]", pd.NaT),
    "moment": Kind(
        MOMENTS,
        "datetime64[ns]",
        pd.NaT,
    ),
    "zoned": Kind(
        tuple(pd.to_datetime(["2026-01-31T12:00Z", "2026-07-31T12:00Z"]).tz_convert("Europe/Zurich")),
        "datetime64[us, Europe/Zurich]",
    ),
    "category": Kind(("low", "mid", "high"), "category", np.nan),
}
ENCODERS: tuple[Callable[[Any], Any], ...] = (
    lambda _: OneHotEncoder(handle_unknown="ignore"),
    lambda _: OneHotEncoder(),
    lambda _: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    lambda _: TargetEncoder(cv=2, random_state=0),
    lambda missing: make_pipeline(
        SimpleImputer(missing_values=missing, strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    ),
    lambda missing: make_pipeline(
        SimpleImputer(missing_values=missing, strategy="constant", fill_value="none"), OrdinalEncoder()
    ),
    lambda _: "drop",
)
NUMERIC: tuple[Callable[[Any], Any], ...] = (
    lambda missing: make_pipeline(SimpleImputer(missing_values=missing), StandardScaler()),
    lambda _: make_pipeline(StandardScaler(), KNNImputer()),
    lambda _: make_pipeline(
        SimpleImputer(add_indicator=True), KBinsDiscretizer(2, quantile_method="averaged_inverted_cdf")
    ),
    lambda _: MinMaxScaler(),
    lambda _: "passthrough",
)
MODELS: tuple[Callable[[], Any], ...] = (
    LogisticRegression,
    lambda: RandomForestClassifier(5, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=5),
)


def GUESSED(_missing: Any) -> Any:  # noqa: N802 - a member of the tables above
    return FunctionTransformer(lengths_of_texts)


def lengths_of_texts(frame: Any) -> Any:
    """A function that sees each dtype: 1 and 1.0, None and NaN have other texts."""
    return pd.DataFrame(frame).astype(object).map(lambda value: len(str(value)))


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, list[tuple[str, Any, list[str]]]]:
    """A frame, and a route of a ColumnTransformer for each of its columns."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    chance = np.random.default_rng(draw(st.integers(0, 99)))
    columns, routes = {}, []
    for name in names:
        kind = KINDS[name]
        cells = [kind.cells[index] for index in chance.integers(len(kind.cells), size=ROWS)]
        columns[name] = pd.Series(cells, dtype=kind.dtype)
        make = draw(st.sampled_from(kind.steps))
        is_usual = kind.missing is NOTHING or kind.missing is pd.NaT
        routes.append((name, make(np.nan if is_usual else kind.missing), [name]))
    return pd.DataFrame(columns), routes


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as a client writes them."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in frame.astype(object).to_dict("records")]
    read: list[dict[str, Any]] = json.loads(json.dumps(rows))
    return read


def _cell(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()[:10] if value == value.normalize() and value.tz is None else value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def require_same_answers(pipeline: Any, data: Any, rows: list[dict[str, Any]]) -> None:
    schema = from_pipeline(pipeline, rows).schema
    outputs = available_outputs(pipeline)

    served = run_rows(pipeline, schema, schema.validated(rows), outputs)
    changed = first_changed_value(schema, rows, rows_to_input(schema, rows))

    assert changed is None
    assert served["predictions"] == pipeline.predict(data).tolist()
    if "predict_proba" in outputs:
        assert [list(each.values()) for each in served["probabilities"]] == pipeline.predict_proba(data).tolist()


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(tables(), st.sampled_from(MODELS), st.booleans())
def test_it_serves_what_the_trainer_saw_on_a_frame(table: Any, model: Any, is_searched: bool) -> None:
    frame, routes = table
    pipeline: Any = Pipeline([("columns", ColumnTransformer(routes)), ("model", model())])
    try:
        if is_searched:
            pipeline = GridSearchCV(pipeline, {}, cv=2, error_score="raise")
        pipeline.fit(frame, Y)
        pipeline.predict(frame)
    except Exception:  # noqa: BLE001 - scikit-learn does not take every combination
        assume(False)

    require_same_answers(as_pipeline(pipeline), frame, as_json(frame))


SCALERS: tuple[Callable[[Any], Any], ...] = (lambda _: MinMaxScaler(), lambda _: "passthrough")
ARRAYS: dict[str, Callable[[Any], Any]] = {
    "floats": lambda chance: chance.normal(size=(ROWS, 3)),
    "singles": lambda chance: chance.normal(size=(ROWS, 3)).astype("float32"),
    "whole": lambda chance: chance.integers(0, 5, (ROWS, 3)),
    "identifiers": lambda chance: 2**53 + chance.integers(0, 5, (ROWS, 3)),
    "booleans": lambda chance: chance.random((ROWS, 3)) < 0.5,
    "texts": lambda chance: chance.choice(["a", "b", "01", "1"], (ROWS, 3)),
    "objects": lambda chance: chance.choice(np.array(["a", "b", None], dtype=object), (ROWS, 3)),
    "days": lambda chance: chance.choice(np.array(["2026-01-31", "2026-02-28"], dtype="datetime64[us]"), (ROWS, 3)),
}


# That a scaler or a forest computed with days is not to be seen in it.
COMPUTED = ("floats", "singles", "whole", "identifiers", "booleans")
COMBINATIONS = [
    pytest.param(kind, make, id=f"{kind}-{index}")
    for kind in ARRAYS
    for index, make in enumerate((*ENCODERS[:4], *(SCALERS if kind in COMPUTED else ())))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_dropping", [False, True], ids=["all", "dropping"])
@pytest.mark.parametrize(("kind", "encode"), COMBINATIONS)
def test_it_serves_what_the_trainer_saw_on_an_array(kind: str, encode: Any, is_dropping: bool) -> None:
    array = ARRAYS[kind](np.random.default_rng(0))
    step = encode(None)
    if is_dropping:
        step = ColumnTransformer([("two", step, [0, 2])])
    pipeline = make_pipeline(step, RandomForestClassifier(5, random_state=0))
    pipeline.fit(array, Y)

    rows = as_json(pd.DataFrame(array, columns=["north", "east", "up"]))

    require_same_answers(pipeline, array, rows)


TEXTS = ["good room", "bad room", "quiet and good", "Bad staff"] * (ROWS // 4)


def lower(texts: Any) -> Any:
    return [text.lower() for text in texts]


@pytest.mark.parametrize("container", [list, pd.Series, np.array])
@pytest.mark.parametrize(
    "steps",
    [
        [TfidfVectorizer()],
        [CountVectorizer(), TfidfTransformer()],
        [HashingVectorizer(n_features=32)],
        [FeatureUnion([("words", TfidfVectorizer()), ("letters", CountVectorizer(analyzer="char"))])],
        [FunctionTransformer(lower), TfidfVectorizer(lowercase=False)],
        [make_pipeline("passthrough", TfidfVectorizer())],
    ],
    ids=["tfidf", "counts", "hashes", "union", "function", "nested"],
)
def test_it_serves_what_the_trainer_saw_on_texts(container: Any, steps: list[Any]) -> None:
    data = container(TEXTS)
    pipeline = make_pipeline(*steps, FunctionTransformer(to_dense), LogisticRegression())
    pipeline.fit(data, Y)

    require_same_answers(pipeline, data, [{"review": text} for text in TEXTS])


def to_dense(matrix: Any) -> Any:
    return matrix.toarray()


@pytest.mark.parametrize("first", [DictVectorizer(), FeatureHasher(8)], ids=["dicts", "hashes"])
def test_it_serves_what_the_trainer_saw_on_dicts(first: Any) -> None:
    records: list[dict[str, Any]] = [
        {"city": "Bern", "age": 3},
        {"city": "Chur"},
        {"age": 7.5, "member": True},
        {"age": 0},
    ] * (ROWS // 4)
    pipeline = make_pipeline(first, RandomForestClassifier(5, random_state=0)).fit(records, Y)

    require_same_answers(pipeline, records, records)
