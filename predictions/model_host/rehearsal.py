"""A prediction of a small pipeline of our own, made before processes that predict are forked.

The first call imports what pandas and scikit-learn import lazily, and Python writes into code objects when they first
run. Memory pages that were written before the fork stay shared after it, which saves each process about 5 MB and its
first caller some 50 ms. No artifact is used: artifacts run foreign code, which only processes that predict may.
"""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from registry.pipelines.calls import run_rows
from registry.pipelines.frames import rows_to_input
from registry.schema.record import RecordSchema, Row

_SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": ["number", "null"]}, "kind": {"type": ["string", "null"]}},
}
_ROWS: list[Row] = [{"size": 1.5, "kind": "a"}, {"size": None, "kind": "b"}, {"size": 3.5, "kind": None}]
_ANSWERS = ["small", "small", "large"]


def rehearse() -> None:
    """Fit and predict on one thread: those of OpenMP, once started, do not survive a fork."""
    with threadpool_limits(limits=1):
        schema = RecordSchema.from_json_schema(_SCHEMA)
        numeric = make_pipeline(SimpleImputer(), StandardScaler())
        categorical = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
        columns = ColumnTransformer([("numeric", numeric, ["size"]), ("categorical", categorical, ["kind"])])
        pipeline = make_pipeline(columns, LogisticRegression())
        pipeline.fit(rows_to_input(schema, _ROWS), _ANSWERS)
        run_rows(pipeline, schema, _ROWS, ["predict", "predict_proba"])
