import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from mlserve.errors import BadUpload
from registry.schema.record import RecordSchema
from registry.schema.row_files import read_rows
from registry.sources.schemas import from_pipeline
from tests import pipelines

NUMBERS = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [10.0, 20, 30, 40, 50, 60]})
CITIES = pd.DataFrame({"a": ["Bern", "Basel", "Bern", "Basel", "Chur", "Chur"], "b": NUMBERS["b"]})
Y = [0, 1, 0, 1, 0, 1]


def schema_of(pipeline: Any, sample: Any = ()) -> RecordSchema:
    return from_pipeline(pipeline, list(sample)).schema


def read(*steps: Any, frame: Any = NUMBERS, sample: Any = ()) -> RecordSchema:
    """The schema of a pipeline of the steps and a classifier."""
    return schema_of(make_pipeline(*steps, LogisticRegression()).fit(frame, Y), list(sample))


def column(*steps: Any, frame: Any = NUMBERS, sample: Any = ()) -> dict[str, Any]:
    """What the schema says of column a, where the steps get nothing else."""
    routed = ColumnTransformer([("a", make_pipeline(*steps), ["a"])])
    return read(routed, frame=frame, sample=sample).properties["a"]


def values(*kinds: Any) -> pd.DataFrame:
    cells = [kinds[index % len(kinds)] for index in range(6)]
    return pd.DataFrame({"a": pd.Series(cells, dtype=object if None in kinds else None), "b": NUMBERS["b"]})


# --- From the pipeline -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=str)
def test_it_makes_an_enum_of_an_encoder_that_raises(encoder: Any) -> None:
    assert column(encoder, frame=CITIES) == {"type": "string", "enum": ["Basel", "Bern", "Chur"]}


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        TargetEncoder(cv=2),
    ],
    ids=str,
)
def test_it_only_warns_where_the_encoder_takes_unknown_values(encoder: Any) -> None:
    assert column(encoder, frame=CITIES) == {"type": "string", "x-training-values": ["Basel", "Bern", "Chur"]}


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [((1, 2, 3), "integer"), ((True, False), "boolean"), (("x", "y"), "string"), ((1.5, 2.5), "number")],
    ids=str,
)
def test_it_takes_the_type_of_the_categories(kinds: tuple[Any, ...], kind: str) -> None:
    node = column(OneHotEncoder(), frame=values(*kinds))

    assert node["type"] == kind
    assert node["enum"] == sorted(kinds)
    assert json.loads(json.dumps(node)) == node


@pytest.mark.parametrize("missing", [np.nan, None], ids=["nan", "none"])
def test_it_allows_null_where_an_encoder_saw_missing_values(missing: Any) -> None:
    frame = values("x", "y", missing)

    marker = {} if missing is not None else {"x-missing": "none"}
    assert column(OneHotEncoder(), frame=frame) == {"type": ["string", "null"], "enum": ["x", "y", None], **marker}


def test_it_writes_days_as_json_has_them() -> None:
    frame = values(pd.Timestamp("2026-01-31"), pd.Timestamp("2026-02-28"))

    node = column(OneHotEncoder(), frame=frame, sample=[{"a": "2026-01-31", "b": 1}])

    assert node == {"type": "string", "format": "date", "enum": ["2026-01-31", "2026-02-28"]}


@pytest.mark.parametrize(
    ("dtype", "written"),
    [("datetime64[us]", {}), ("datetime64[ns]", {"x-dtype": "datetime64[ns]"}),
     ("datetime64[us, Europe/Zurich]", {"x-dtype": "datetime64[us, Europe/Zurich]"})],
)  # fmt: skip
def test_it_knows_the_dtype_of_moments_but_not_their_spelling(dtype: Any, written: dict[str, Any]) -> None:
    moments = pd.to_datetime(["2026-01-31T12:00", "2026-02-28T13:00"] * 3).tz_localize(zone_of(dtype))
    frame = NUMBERS.assign(a=moments.astype(dtype))

    assert column(OneHotEncoder(), frame=frame) == {"type": "string", "format": "date-time", **written}


@pytest.mark.parametrize(
    "imputer", [SimpleImputer(), SimpleImputer(strategy="median"), KNNImputer(), IterativeImputer()], ids=str
)
def test_it_allows_null_where_an_imputer_fills_it(imputer: Any) -> None:
    assert column(imputer) == {"type": ["number", "null"]}


def test_it_takes_the_type_of_an_imputer_of_text() -> None:
    assert column(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), frame=CITIES)["type"] == ["string", "null"]


def test_it_remembers_that_missing_means_none() -> None:
    frame = values("x", "y", None)
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent")

    schema = read(ColumnTransformer([("a", make_pipeline(imputer, OneHotEncoder()), ["a"])]), frame=frame)

    assert schema.columns[0].missing == "none"
    assert schema.properties["a"]["type"] == ["string", "null"]


def test_it_writes_what_the_imputer_looks_for_in_the_place_of_null() -> None:
    """An imputer of -1 raises on NaN."""
    node = column(SimpleImputer(missing_values=-1))

    assert node == {"type": ["number", "null"], "x-missing": {"value": -1}}


@pytest.mark.parametrize(
    ("step", "note"),
    [
        (MinMaxScaler(), {"x-training-range": [1.0, 6.0]}),
        (KBinsDiscretizer(2, quantile_method="averaged_inverted_cdf"), {"x-training-range": [1.0, 6.0]}),
        (StandardScaler(), {"x-training-usual": [3.5, pytest.approx(1.7078, abs=1e-4)]}),
        (StandardScaler(with_std=False), {}),
    ],
    ids=str,
)
def test_it_reads_what_is_usual_from_scalers_and_discretisers(step: Any, note: dict[str, Any]) -> None:
    node = column(step)

    assert {key: value for key, value in node.items() if key != "type"} == note
    assert node["type"] == "number"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()], ids=str)
def test_it_notes_nothing_of_a_column_without_values(scaler: Any) -> None:
    """Its statistics are NaN, which no JSON can carry."""
    frame = NUMBERS.assign(a=np.nan)
    routed = ColumnTransformer([("a", make_pipeline(scaler, SimpleImputer(keep_empty_features=True)), ["a"])])

    node = read(routed, frame=frame).properties["a"]

    assert node == {"type": ["number", "null"]}


@pytest.mark.parametrize(
    "steps",
    [
        (
            SimpleImputer(),
            KBinsDiscretizer(2, encode="ordinal", quantile_method="averaged_inverted_cdf"),
            OneHotEncoder(),
        ),
        (FunctionTransformer(np.log1p, feature_names_out="one-to-one"), MinMaxScaler()),
        (FunctionTransformer(np.log1p), StandardScaler()),
        (PCA(), StandardScaler()),
        (pipelines.Stateless(), StandardScaler()),
    ],
    ids=lambda steps: " ".join(type(step).__name__ for step in steps),
)
def test_it_does_not_mistake_calculated_values_for_raw_ones(steps: tuple[Any, ...]) -> None:
    """Bins, logarithms and components are not what people send."""
    row = {"a": 3.0, "b": 60.0}

    schema = read(*steps, sample=[row])

    assert schema.validated(row) == [row]
    assert schema.training_warnings([row]) == []


def test_it_does_not_mistake_codes_for_raw_values() -> None:
    schema = read(ColumnTransformer([("a", make_pipeline(OrdinalEncoder(), StandardScaler()), ["a"])]), frame=CITIES)

    assert schema.properties["a"] == {"type": "string", "enum": ["Basel", "Bern", "Chur"]}
    assert schema.training_warnings([{"a": "Bern", "b": 1}]) == []


def test_it_allows_null_where_an_imputer_comes_after_the_scaler() -> None:
    """The usual order around KNNImputer, whose distances want scaled columns."""
    node = column(StandardScaler(), KNNImputer())

    assert node["type"] == ["number", "null"]
    assert node["x-training-usual"][0] == 3.5


def test_it_requires_what_may_not_be_missing() -> None:
    routed = ColumnTransformer([("a", SimpleImputer(), ["a"]), ("b", "passthrough", ["b"])])

    assert read(routed).json_schema["required"] == ["b"]


def test_it_wants_a_column_that_an_imputer_does_not_fill_to_be_given_at_least_as_null() -> None:
    """To a forest a gap is a value like others; one that was forgotten must not become one."""
    schema = schema_of(forest())

    assert schema.json_schema["required"] == ["a", "b"]
    assert schema.validated({"a": None, "b": 1})


def test_it_keeps_the_order_of_training() -> None:
    assert read(StandardScaler(), frame=NUMBERS[["b", "a"]]).names == ("b", "a")


def test_it_reads_a_whole_pipeline() -> None:
    schema = schema_of(pipelines.mixed_classifier(), [])

    age, city, postcode = (schema.properties[name] for name in ("age", "city", "postcode"))
    assert age["type"] == ["number", "null"]
    assert age["x-training-usual"][0] == pytest.approx(54, abs=10)
    assert city["x-training-values"] == ["Basel", "Bern", "Chur"]
    assert postcode == {"type": ["string", "null"], "x-training-values": ["0123", "0890", "4567"]}


# --- With a sample -----------------------------------------------------------------------------------------------


def forest(frame: Any = NUMBERS) -> Pipeline:
    """Tells of its columns that it computes with them, and takes gaps."""
    return make_pipeline(RandomForestClassifier(2, random_state=0)).fit(frame, Y)


def many(low: float, high: float, rows: int = 50) -> list[dict[str, Any]]:
    return [{"a": low if index % 2 else high, "b": 1} for index in range(rows)]


def test_it_takes_the_range_of_a_large_sample() -> None:
    schema = schema_of(forest(), many(3, 7.5))

    assert schema.properties["a"] == {"type": ["number", "null"], "x-training-range": [3.0, 7.5]}


def test_it_takes_no_range_of_a_few_rows() -> None:
    assert schema_of(forest(), many(3, 7, rows=49)).properties["a"] == {"type": ["number", "null"]}


def test_it_takes_no_range_of_booleans_and_texts() -> None:
    sample = [{"a": bool(index % 2), "b": "x"} for index in range(60)]

    properties = schema_of(forest(), sample).properties
    assert properties == {"a": {"type": ["boolean", "null"], "x-dtype": "float64"}, "b": {"type": "string"}}


@pytest.mark.parametrize("step", [MinMaxScaler(), StandardScaler(), OneHotEncoder(), TargetEncoder(cv=2)], ids=str)
def test_it_prefers_what_training_saw_to_the_sample(step: Any) -> None:
    assert column(step, sample=many(3, 4)) == column(step)


def test_it_allows_null_where_the_sample_holds_one() -> None:
    schema = schema_of(forest(), [{"a": None, "b": 1}, {"a": 3, "b": 1}])

    assert schema.properties["a"]["type"] == ["number", "null"]


def test_it_keeps_leading_zeros_of_a_sample(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("a,b\n0123,1\n4567,2\n")
    pipeline = make_pipeline(
        ColumnTransformer([("a", OneHotEncoder(handle_unknown="ignore"), ["a"])]), LogisticRegression()
    ).fit(values("0123", "4567"), Y)

    schema = schema_of(pipeline, read_rows(tmp_path / "sample.csv"))

    assert schema.properties["a"]["type"] == "string"
    assert read_rows(tmp_path / "sample.csv", schema)[0]["a"] == "0123"


@pytest.mark.parametrize("first", [FunctionTransformer(), pipelines.Stateless()], ids=["function", "custom"])
def test_it_reads_a_pipeline_whose_first_step_is_its_own(first: Any) -> None:
    schema = read(first, StandardScaler(), sample=[{"a": 1, "b": 2}])

    assert schema.names == ("a", "b")
    assert schema.container == "frame"


def test_it_needs_a_sample_where_the_pipeline_does_not_tell_its_columns() -> None:
    with pytest.raises(BadUpload, match="does not name its columns"):
        read(pipelines.Stateless())


# --- Fitted on arrays --------------------------------------------------------------------------------------------


def test_it_numbers_the_columns_of_an_array() -> None:
    schema = schema_of(pipelines.array_regressor(), [])

    assert schema.names == ("x0", "x1", "x2")
    assert schema.container == "array"
    assert "x-training-usual" in schema.properties["x0"]


def test_it_takes_the_names_of_the_sample_for_an_array() -> None:
    schema = schema_of(pipelines.array_regressor(), [{"north": 1, "east": 2, "up": 3}])

    assert schema.names == ("north", "east", "up")
    assert schema.container == "array"


def test_it_counts_the_columns_of_an_array() -> None:
    with pytest.raises(BadUpload, match=r"The sample has 2 columns \(a, b\), but the pipeline was trained on 3"):
        schema_of(pipelines.array_regressor(), [{"a": 1, "b": 2}])


def zone_of(dtype: str) -> str | None:
    return dtype.partition(", ")[2].rstrip("]") or None


def test_it_says_that_the_order_of_an_array_counts() -> None:
    read = from_pipeline(pipelines.array_regressor(), [{"north": 1, "east": 2, "up": 3}])

    assert read.doubts == (
        "The pipeline was trained on an array, so the order of the columns counts. Here it is north, east, up.",
    )
    assert from_pipeline(pipelines.array_regressor(), []).doubts == ()
