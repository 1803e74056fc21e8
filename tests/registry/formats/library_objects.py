"""What scikit-learn, pandas, NumPy and joblib write into model files, by name: to be let in, or refused with a step."""

import functools
import operator
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.spatial.distance
import scipy.stats
from sklearn import metrics
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingRegressor, StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer, strip_accents_unicode
from sklearn.feature_selection import SelectFromModel
from sklearn.gaussian_process import kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import DistanceMetric, get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array

ROWS = np.abs(np.random.default_rng(0).normal(size=(40, 3))) + 0.1
TARGET = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
FRAME = pd.DataFrame(ROWS, columns=list("abc"))
TEXTS = pd.DataFrame({"kind": ["x", "y"] * 20})

Make = Callable[[], Any]
_DTYPES = (
    "Int8", "Int64", "UInt16", "Float32", "Float64", "boolean", "string", "category", "datetime64[ns]",
    "timedelta64[ns]", "period[M]", "interval[float64]", "Sparse[float]", "object", "bool", "int32",
)  # fmt: skip
_FREQUENCIES = ("D", "h", "min", "s", "ms", "us", "ns", "W", "MS", "ME", "QS", "YE", "B", "BMS", "BME", "SMS", "SME")
_METRICS = ("euclidean", "manhattan", "chebyshev", "haversine", "hamming")
_SPARSE = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")


def _dtype(name: str) -> Any:
    return pd.Series([], dtype=name).dtype


def _routed() -> Any:
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        return LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight="weight")


def _memmap() -> Any:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        return np.memmap(file.name, dtype=float, shape=(3,), mode="w+")


# Each is loaded and is there afterwards, whatever pickles it.
LOADED: Mapping[str, Make] = {
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "NaN": lambda: {"a": float("nan"), "b": np.float32("inf"), "c": np.datetime64("NaT")},
    **{f"a column of {name}": functools.partial(pd.Series, [None], dtype=name) for name in _DTYPES[:-3]},
    **{f"dtype {name}": functools.partial(_dtype, name) for name in _DTYPES},
    **{f"times every {each}": functools.partial(pd.date_range, "2020", periods=3, freq=each) for each in _FREQUENCIES},
    "times in UTC": lambda: pd.date_range("2020", periods=3, tz="UTC"),
    "Timestamp": lambda: [pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020-01-01T00:00+02:00")],
    "Period": lambda: [pd.Period("2020-01"), pd.period_range("2020", periods=2, freq="M")],
    "Timedelta": lambda: [pd.Timedelta("1h"), pd.timedelta_range("1h", periods=3)],
    "Interval": lambda: [pd.Interval(0, 1), pd.interval_range(0, 3), pd.cut(pd.Series([1.0, 2, 3]), 2)],
    "MultiIndex": lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]]),
    "Categorical": lambda: [pd.Categorical(["a", None], ordered=True), pd.Categorical([1, 2])],
    "RandomState": lambda: np.random.RandomState(3),
    "Generator": lambda: [np.random.default_rng(3), np.random.SeedSequence(3)],
    **{f"{kind}_array": functools.partial(getattr(scipy.sparse, f"{kind}_array"), np.eye(3)) for kind in _SPARSE},
    **{f"{kind}_matrix": functools.partial(getattr(scipy.sparse, f"{kind}_matrix"), np.eye(3)) for kind in _SPARSE},
    "memmap": _memmap,
    "masked arrays": lambda: [np.ma.masked, np.ma.array([1.0, 2], mask=[True, False])],
    "structured arrays": lambda: np.array([(1, "a")], dtype=[("a", int), ("b", "U5")]),
    "dtypes": lambda: [np.dtype(each) for each in ("f4", ">i4", "U3", "O", "M8[D]", "m8[h]", "S2", "bool")],
    "ufuncs": lambda: [np.log1p, np.expm1, np.add, np.sqrt],
    "functions": lambda: [abs, len, round, ..., np.clip, np.digitize, np.nanmean, pd.isna, pd.to_numeric],
    "metrics": lambda: [metrics.fbeta_score, metrics.pairwise.rbf_kernel, scipy.spatial.distance.cosine],
    "check_array": lambda: functools.partial(check_array, dtype=None),
    "scorers": lambda: [get_scorer(name) for name in get_scorer_names()],
    "made scorer": lambda: make_scorer(metrics.fbeta_score, beta=2, response_method="predict"),
    "selectors": lambda: [
        make_column_selector(dtype_include=[np.number, "category"]),
        make_column_selector("^a", dtype_exclude=bool),
    ],
    "kernels": lambda: [kernels.RBF() + kernels.WhiteKernel() * 2, kernels.Matern() ** 2],
    "distances": lambda: [DistanceMetric.get_metric(each, dtype=np.float32) for each in _METRICS],
    "trees": lambda: [KDTree(ROWS), BallTree(ROWS, metric="manhattan")],
    "Bunch": lambda: Bunch(a=1),
    "routing": _routed,
    "set_output": lambda: make_pipeline(StandardScaler(), Ridge()).set_output(transform="pandas").fit(FRAME, TARGET),
    "no cache": lambda: make_pipeline(StandardScaler(), Ridge(), memory=None),
    "a cache by its folder": lambda: make_pipeline(StandardScaler(), Ridge(), memory="cache"),
    "imputer for NA": lambda: SimpleImputer(missing_values=pd.NA, strategy="most_frequent").fit(
        pd.DataFrame({"a": pd.array(["x", None, "x"], dtype="string")})
    ),
    "target encoder": lambda: TargetEncoder(cv=2).fit(TEXTS, TARGET),
    "columns": lambda: ColumnTransformer(
        [("a", StandardScaler(), make_column_selector("a"))], remainder="passthrough"
    ).fit(FRAME),
    "boosting": lambda: HistGradientBoostingRegressor(max_iter=2, monotonic_cst=[1, 0, 0]).fit(ROWS, TARGET),
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression(), cv=2).fit(ROWS, TARGET),
    "tuned": lambda: TunedThresholdClassifierCV(LogisticRegression(), cv=2, store_cv_results=True).fit(ROWS, TARGET),
    "search": lambda: GridSearchCV(
        LogisticRegression(), [{"C": [1, 2]}, {"tol": [0.1]}], cv=RepeatedStratifiedKFold(n_splits=2, n_repeats=1)
    ).fit(ROWS, TARGET),
    "chain": lambda: ClassifierChain(LogisticRegression(), chain_method="predict_proba").fit(
        ROWS, np.column_stack([TARGET, 1 - TARGET])
    ),
    "stack": lambda: StackingClassifier([("a", LogisticRegression()), ("b", LogisticRegression())], cv=2).fit(
        ROWS, TARGET
    ),
    "transformed target": lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(
        ROWS, TARGET
    ),
    "neighbours": lambda: KNeighborsClassifier(metric=metrics.pairwise.euclidean_distances),
    "vectorizer": lambda: CountVectorizer(strip_accents=strip_accents_unicode),
}

# Each is refused, with a step that says what to do instead.
REFUSED: Mapping[str, tuple[Make, str]] = {
    "str.split": (lambda: CountVectorizer(tokenizer=str.split, token_pattern=None), r"token_pattern=r'\S+'"),
    "str.lower": (lambda: CountVectorizer(preprocessor=str.lower), "lowercase=True"),
    "findall": (lambda: CountVectorizer(tokenizer=re.compile("a+").findall), "token_pattern=r'…'"),
    "itemgetter": (lambda: FunctionTransformer(operator.itemgetter("a")), "ColumnTransformer"),
    "attrgetter": (
        lambda: SelectFromModel(Ridge(), importance_getter=operator.attrgetter("coef_")), "importance_getter='coef_'"
    ),
    "methodcaller": (lambda: FunctionTransformer(operator.methodcaller("fillna", 0)), "a function (def)"),
    "partial": (lambda: FunctionTransformer(functools.partial(np.clip, min=0)), "kw_args"),
    "vectorize": (lambda: FunctionTransformer(np.vectorize(len)), "a function (def)"),
    "get_dummies": (lambda: FunctionTransformer(pd.get_dummies), "OneHotEncoder(handle_unknown='ignore')"),
    "a frame's method": (lambda: FunctionTransformer(pd.DataFrame.fillna), "SimpleImputer"),
    "another method": (lambda: FunctionTransformer(pd.DataFrame.drop), "a function (def)"),
    "Memory": (lambda: make_pipeline(Ridge(), memory=joblib.Memory(None)), "set_params(memory=None)"),
    "distributions": (
        lambda: RandomizedSearchCV(Ridge(), {"alpha": scipy.stats.loguniform(1, 2)}), "param_distributions={}"
    ),
    "a time zone": (lambda: pd.Timestamp("2020", tz="Europe/Rome"), "tz_convert('UTC')"),
    "the zone itself": (lambda: zoneinfo.ZoneInfo("Europe/Rome"), "tz_convert('UTC')"),
    "StringDType": (lambda: np.array(["a"], dtype=np.dtypes.StringDType()), "astype(object)"),
    "recarray": (lambda: np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "from_records"),
    "structured objects": (lambda: np.array([(1, "a")], dtype=[("a", int), ("b", "O")]), "from_records"),
}  # fmt: skip
