"""What NumPy is told by objects whose attributes are what they hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from registry.formats import loading

SECRET = np.array([1.5, 2.5, 3.5])
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "a label": lambda address: pd.Series([address, 0], index=["__array_interface__", "other"]),
    "a key": lambda address: Bunch(__array_interface__=address),
    "what is wrapped": lambda address: FrozenEstimator(Bunch(__array_interface__=address)),
}


@pytest.fixture
def door(save: Callable[..., Path]) -> None:
    """Through which every artifact comes."""
    loading.load(save({"a": 1}))


@pytest.mark.parametrize("holder", HOLDERS)
def test_it_is_no_address(door: None, holder: str) -> None:
    held = HOLDERS[holder](SECRET.__array_interface__)

    found = np.asarray(held)

    assert found.dtype == object
    assert SECRET[0] not in found.ravel().tolist()


def test_it_still_gives_what_is_held(door: None) -> None:
    series = pd.Series([1, 2], index=["a", "__array_interface__"])

    assert (series.a, series["__array_interface__"], Bunch(a=3).a) == (1, 2, 3)
    assert np.asarray(series).tolist() == [1, 2]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = series.nothing
