"""The default of a pydantic field as a JSON value. Runs in the inspection's child process."""

import math
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import numpy as np
import pandas as pd
from pydantic.fields import FieldInfo

from mlserve.errors import BadUpload

MISSING: Final = object()
_INSTEAD = "Give a fixed default, or none, so that the column is required."


def default_of(where: str, field: FieldInfo) -> Any:
    """A JSON scalar, or MISSING for NaN and its like. Raises BadUpload, which says `where`, for any other value."""
    if field.default_factory is not None:
        return _made(where, field)
    return _as_json(where, field.default)


def _made(where: str, field: FieldInfo) -> Any:
    """What the factory makes, if it always makes the same: the default is taken once, at the upload."""
    if field.default_factory_takes_validated_data:
        raise BadUpload(f"{where} computes its default from other fields, which is not run for each row. {_INSTEAD}")
    factory: Any = field.default_factory
    try:
        first, second = factory(), factory()
    except Exception as error:  # the uploader's code, which may raise anything
        raise BadUpload(f"{where} has a default_factory that fails ({type(error).__name__}: {error}).") from error
    if isinstance(first, date | time):
        raise BadUpload(f"{where} has a default that its default_factory makes of the clock. {_INSTEAD}")
    one, other = _as_json(where, first), _as_json(where, second)
    if one is not other and one != other:
        raise BadUpload(
            f"{where} has a default_factory that gives another value each time ({first!r}, then {second!r}), but a "
            f"default is taken once, at the upload. {_INSTEAD}"
        )
    return one


def _as_json(where: str, value: Any) -> Any:
    value = value.value if isinstance(value, Enum) else value
    value = value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value
    if value is pd.NA or value is pd.NaT or (isinstance(value, float | Decimal) and math.isnan(value)):
        return MISSING
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and math.isinf(value):
        raise BadUpload(f"{where} has an infinite default, which JSON cannot carry. {_INSTEAD}")
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, UUID | PurePath):
        return str(value)
    raise BadUpload(f"{where} has a default of the type {type(value).__name__}, which is no value of JSON. {_INSTEAD}")
