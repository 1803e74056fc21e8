"""A step of a model that never releases the interpreter, when a row has a negative `x`.

The model is pickled by this name, so a service that loads it must trust this module (MLSERVE_TRUSTED_MODULES).
"""

from itertools import repeat

import pandas as pd


def freezes(frame: pd.DataFrame) -> pd.DataFrame:
    if (frame["x"] < 0).any():
        sum(repeat(0))  # in C, without a look at signals
    return frame
