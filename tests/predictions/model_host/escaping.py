"""A model that tries the way out of its process that a row names, and answers what it got hold of.

It is pickled by this name, so a host that loads it must trust this module: no list of names stands in its way.
"""

import json
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from tests.registry.sandbox.targets import Targets
from tests.registry.sandbox.ways_out import WAYS

_LONGEST = 4000


class Escaping(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    def fit(self, _frame: pd.DataFrame, _answers: Any = None) -> Self:
        self.fitted_ = True
        return self

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.array([_try(act) for act in frame["act"]], dtype=object)


def _try(act: str) -> str:
    name, targets = json.loads(act)
    result = WAYS[name](Targets(**targets))
    text = result.decode("latin-1") if isinstance(result, bytes) else "" if result is None else str(result)
    return text[:_LONGEST]
