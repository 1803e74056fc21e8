"""What becomes of a missing value in each column, as far as the fitted steps tell. Pure."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from registry.pipelines.routes import Arrival, is_imputer
from registry.pipelines.tags import input_tags, is_of_known_library

# What becomes of a gap: it is filled or known, an estimator computes with it, or it raises.
FILLED, TAKEN, REFUSED = "filled", "taken", "refused"


def ends_of_gaps(reached: Sequence[Arrival]) -> dict[str, set[str]]:
    """For each column what becomes of its gaps, on all ways that it takes."""
    ends: dict[str, set[str]] = {}
    for arrival in reached:
        for position, origin in enumerate(arrival.origins):
            if origin is not None and not origin.is_filled:
                end = _end_of_gap(arrival.step, position, len(arrival.origins))
                if end is not None:
                    ends.setdefault(origin.name, set()).add(end)
    return ends


def _end_of_gap(step: Any, position: int, width: int) -> str | None:
    """None for a step that hands on what is missing to the next one, or of which nothing is known."""
    if is_imputer(step):
        return FILLED
    categories = getattr(step, "categories_", None)
    if categories is not None and len(categories) == width:
        return FILLED if any(is_missing(value) for value in categories[position].tolist()) else REFUSED
    tags = input_tags(step) if is_of_known_library(step) else None
    if tags is None or hasattr(step, "func"):
        return None
    if hasattr(step, "transform") and not hasattr(step, "predict"):
        return None if tags.allow_nan else REFUSED
    return TAKEN if tags.allow_nan else REFUSED


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
