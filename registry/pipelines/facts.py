"""What fitted steps tell about the raw columns that reach them, as parts of a JSON Schema property. Pure.

Beside the keys of the flat schema (registry/schema/flattening.py) a fact may say `nullable`: whether every step that
meets a gap in the column can take it; `must_be_given`: that the estimator itself does, for which a null is a value like
others, so that a forgotten column must not become one; `numeric`: steps that make numbers of everything get it, which
leaves open whether they were fitted on booleans or numbers; `is_opaque`: a step of which nothing is known gets it, too,
which may tell 1 from 1.0; and `has_two_gaps`: that an encoder learned both None and NaN.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from registry.pipelines.gaps import REFUSED, TAKEN, ends_of_gaps, is_missing
from registry.pipelines.routes import Arrival, arrivals, is_imputer
from registry.pipelines.tags import input_tags, is_of_known_library, takes_texts

Facts = dict[str, Any]


class Unreadable(ValueError):
    """A step learned values that no JSON value stands for; the message says which."""


def column_facts(pipeline: Any, names: Sequence[str]) -> dict[str, Facts]:
    """The facts of each column of `names`, which are those of the training in their order. Raises Unreadable."""
    known: dict[str, Facts] = {name: {} for name in names}
    reached = list(arrivals(pipeline, names))
    # What an encoder has learned says most; an imputer in front of it has seen the same values.
    for read in _READERS:
        for arrival in reached:
            for name, position in _raw_columns(arrival):
                _add(known[name], read(arrival.step, position, len(arrival.origins)))
    for name in _singles(reached):
        if known[name].get("numeric") and "type" not in known[name]:
            known[name].setdefault("x-dtype", "float32")
    for name in {name for arrival in reached if _is_opaque(arrival.step) for name, _ in _raw_columns(arrival)}:
        known[name]["is_opaque"] = True
    for name in known.keys() - _read_unfilled(reached):
        _add_marker(known[name])
    for name, ends in ends_of_gaps(reached).items():
        known[name] |= {"nullable": REFUSED not in ends, "must_be_given": TAKEN in ends}
    return known


def _raw_columns(arrival: Arrival) -> Iterable[tuple[str, int]]:
    for position, origin in enumerate(arrival.origins):
        if origin is not None and origin.is_raw:
            yield origin.name, position


def _read_unfilled(reached: Sequence[Arrival]) -> set[str]:
    """The columns that encoders get with what stands for a missing value."""
    encoders = [arrival for arrival in reached if hasattr(arrival.step, "categories_")]
    return {origin.name for arrival in encoders for origin in arrival.origins if origin and not origin.is_filled}


def _add_marker(known: Facts) -> None:
    """What an imputer in front of the encoder takes for missing is a value of the raw data, too."""
    marker = known.get("x-missing")
    if not isinstance(marker, dict) or isinstance(marker["value"], str) != (known.get("type") == "string"):
        return
    for key in ("enum", "x-training-values"):
        if key in known and marker["value"] not in known[key]:
            known[key] = [*known[key], marker["value"]]


def _is_opaque(step: Any) -> bool:
    """Whether a step is a function, a class of another library, or a wrapper that is not looked into around such."""
    if not is_of_known_library(step) or getattr(step, "func", None) is not None:
        return True
    inner = step.get_params().values() if hasattr(step, "predict") else ()
    return any(hasattr(each, "get_params") and not isinstance(each, type) and _is_opaque(each) for each in inner)


def _add(known: Facts, facts: Facts) -> None:
    """The first step that knows the type decides. Of one that takes it for another, only its missing marker counts."""
    is_other = "type" in known and facts.get("type", known["type"]) != known["type"]
    for key, value in facts.items():
        if not is_other or key == "x-missing":
            known.setdefault(key, value)


# --- Values ------------------------------------------------------------------------------------------------------


def _read_encoder(step: Any, position: int, width: int) -> Facts:
    """From `categories_`: type, dtype, values, and what stands for a missing value."""
    categories = getattr(step, "categories_", None)
    if categories is None or len(categories) != width:
        return {}
    learned = categories[position]
    present = [value for value in learned.tolist() if not is_missing(value)]
    facts = _kind_of(learned, present)
    if any(value is None for value in learned.tolist()):
        facts |= {"x-missing": "none"}
        if any(isinstance(value, float) and math.isnan(value) for value in learned.tolist()):
            facts["has_two_gaps"] = True
    values = facts.pop("values")
    if values is not None:
        # An encoder that raises on unknown values allows only these. One that ignores unknown values, as those without
        # the option do (TargetEncoder), also allows others.
        is_tolerant = getattr(step, "handle_unknown", "ignore") != "error"
        facts["x-training-values" if is_tolerant else "enum"] = values
    return facts


_LEARNED = "an encoder learned values of the type"


def _kind_of(learned: Any, present: Sequence[Any]) -> Facts:
    """Type, format and dtype of an encoder's categories, and `values`: the JSON value of each, or None."""
    if learned.dtype.kind == "m":
        raise Unreadable(f"{_LEARNED} timedelta, which JSON cannot carry. Train it on numbers of seconds or days")
    if learned.dtype.kind == "M":
        moments = pd.DatetimeIndex(learned).dropna()
        # An array may count days, which no frame does.
        is_of_frame = np.datetime_data(learned.dtype)[0] in ("s", "ms", "us", "ns")
        return _dates(moments, str(learned.dtype) if is_of_frame else "datetime64[us]")
    if present and all(isinstance(value, pd.Timestamp) and value.tzinfo for value in present):
        try:
            moments = pd.DatetimeIndex(list(present))
        except ValueError as error:
            raise Unreadable("an encoder learned times of several time zones. Train it on one zone") from error
        return _dates(moments, str(moments.dtype))
    if not all(isinstance(value, str | bool | int | float) for value in present):
        kind = next(type(value).__name__ for value in present if not isinstance(value, str | bool | int | float))
        raise Unreadable(
            f"{_LEARNED} {kind}, which JSON cannot carry. Train it on texts, numbers, booleans or datetime64 columns"
        )
    kind = type_of_values(present)
    dtype = str(learned.dtype)
    facts: Facts = {"type": kind, "values": list(present)}
    if not (kind == "string" or (kind, dtype) in _READ_BY_DEFAULT):
        facts["x-dtype"] = dtype
    return facts


# Texts are read as text whatever their width; these dtypes are what pandas.read_csv makes.
_READ_BY_DEFAULT = {("integer", "int64"), ("number", "float64"), ("boolean", "bool"), ("boolean", "object")}


def _dates(moments: pd.DatetimeIndex, dtype: str) -> Facts:
    """Days have one spelling in JSON, moments have many, so that only values of days can be compared as text."""
    is_days = moments.tz is None and bool((moments == moments.normalize()).all())
    texts = [moment.date().isoformat() for moment in moments] if is_days else None
    facts: Facts = {"type": "string", "format": "date" if is_days else "date-time", "values": texts}
    return facts if dtype == "datetime64[us]" else {**facts, "x-dtype": dtype}


def _read_text(step: Any, _position: int, _width: int) -> Facts:
    return {"type": "string"} if takes_texts(step) else {}


def _read_imputer(step: Any, position: int, width: int) -> Facts:
    """From `missing_values`: what stands for a missing value; from `statistics_`: the type."""
    if not is_imputer(step):
        return {}
    marker = getattr(step, "missing_values", np.nan)
    facts: Facts = {}
    statistics = getattr(step, "statistics_", None)
    if not _computes(step) and statistics is not None and len(statistics) == width:
        # Numbers are floats there, whatever they were in training; a constant tells nothing of the values.
        kind = type_of_values([statistics[position]])
        if kind in ("string", "boolean") and getattr(step, "strategy", "") != "constant":
            facts["type"] = kind
    if marker is None:
        facts |= {"x-missing": "none", "x-dtype": "object"}
    elif marker is pd.NA:
        facts["x-missing"] = "na"
    elif not is_missing(marker):
        facts["x-missing"] = {"value": marker.item() if isinstance(marker, np.generic) else marker}
    return facts


def _read_range(step: Any, position: int, width: int) -> Facts:
    lows, highs = getattr(step, "data_min_", None), getattr(step, "data_max_", None)
    if lows is not None and highs is not None and len(lows) == width:
        return _numeric("x-training-range", float(lows[position]), float(highs[position]))
    edges = getattr(step, "bin_edges_", None)
    if edges is not None and len(edges) == width:
        return _numeric("x-training-range", float(edges[position][0]), float(edges[position][-1]))
    means, variances = getattr(step, "mean_", None), getattr(step, "var_", None)
    if means is not None and variances is not None and len(means) == width:
        return _numeric("x-training-usual", float(means[position]), float(variances[position]) ** 0.5)
    return {}


def _numeric(annotation: str, *values: float) -> Facts:
    """The annotation, unless it is NaN, as for a column without any value in training."""
    return {"numeric": True, **({annotation: list(values)} if all(map(math.isfinite, values)) else {})}


def _read_number(step: Any, position: int, _width: int) -> Facts:
    """Steps of scikit-learn, LightGBM and XGBoost that are not made for texts or categories compute with numbers."""
    tags = input_tags(step) if is_of_known_library(step) else None
    is_other = tags is None or tags.categorical or tags.string or not tags.two_d_array or hasattr(step, "func")
    categorical = getattr(step, "is_categorical_", None)
    if is_other or (categorical is not None and categorical[position]):
        return {}
    return {"numeric": True} if _computes(step) else {}


def _singles(reached: Iterable[Arrival]) -> set[str]:
    """The columns that came as 32-bit floats to a step, whose results are such floats only if all columns were."""
    return {
        origin.name
        for arrival in reached
        if any(_dtype_of(value) == np.float32 for value in vars(arrival.step).values())
        for origin in arrival.origins
        if origin is not None
    }


def _dtype_of(value: Any) -> Any:
    return value if isinstance(value, np.dtype) else getattr(value, "dtype", None)


def _computes(step: Any) -> bool:
    """Imputers that only copy values take texts as well."""
    return not (is_imputer(step) and getattr(step, "strategy", "mean") in ("most_frequent", "constant"))


_READERS: tuple[Callable[[Any, int, int], Facts], ...] = (
    _read_encoder,
    _read_text,
    _read_imputer,
    _read_range,
    _read_number,
)


def type_of_values(values: Sequence[Any]) -> str:
    """The JSON type that all values have: boolean, integer, number or string."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(isinstance(value, bool) for value in plain):
        return "boolean"
    if all(isinstance(value, int) for value in plain):
        return "integer"
    if all(isinstance(value, int | float) for value in plain):
        return "number"
    return "string"
