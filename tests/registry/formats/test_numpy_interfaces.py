"""What NumPy is told by objects whose attributes are what they hold."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from registry.formats import loading
from registry.formats.trust import listed

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


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_it_knows_every_class_that_answers_for_its_data() -> None:
    """Of those that a file may name. A MetadataRequest answers only for two methods that stand for others."""
    found = set()
    for module, name in listed():
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):  # of another version, or a package that is not installed
            continue
        if isinstance(value, type):
            found |= {base.__name__ for base in value.__mro__ if "__getattr__" in vars(base)}

    assert found == {"Bunch", "FrozenEstimator", "MetadataRequest", "NDFrame"}
