"""Whether a `numpy.dtype` that came from a file is one that numpy itself would make. Pure.

`numpy.dtype.__setstate__` does not check its argument: fields may lie outside of an item, or plain bytes be declared
as pointers to objects. An array of such a type reads and calls arbitrary memory.
"""

from typing import Any

import numpy as np

from registry.formats.errors import Refused
from registry.formats.rules import NEVER

# numpy's NPY_ITEM_REFCOUNT, NPY_LIST_PICKLE and NPY_ITEM_IS_POINTER; then all flags of a type of objects.
_HOLDS_OBJECTS, _OF_OBJECTS = 0x07, 0x3F


def own_state(state: Any) -> tuple[Any, ...]:
    """The state of a pickled `numpy.dtype` with a copy of its fields: numpy keeps the dict that it is given, which the
    file could change afterwards. Raises Refused for a state that pickle does not write.
    """
    if type(state) is not tuple or len(state) not in (8, 9) or type(state[4]) not in (dict, type(None)):
        raise Refused("The file holds a numpy.dtype without its state.", NEVER)
    return (*state[:4], state[4] and dict(state[4]), *state[5:])


def require_sound(dtype: np.dtype[Any]) -> None:
    """Raises Refused unless numpy builds the same type with its own checks. The fields' types are checked before."""
    try:
        expected = _rebuilt(dtype)
    except (TypeError, ValueError, OverflowError, KeyError, IndexError, MemoryError) as error:
        raise Refused(f"The file holds a numpy.dtype that numpy does not make ({error!s:.100}).", NEVER) from error
    is_same = (expected.itemsize, expected.shape, expected.names) == (dtype.itemsize, dtype.shape, dtype.names)
    if not is_same or dtype.alignment < 1 or not _holds_the_same(expected.flags, dtype.flags):
        raise Refused("The file holds a numpy.dtype that numpy does not make.", NEVER)


def _rebuilt(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.subdtype is not None:
        return np.dtype(dtype.subdtype)
    if dtype.names is None and dtype.fields is None:
        return np.dtype(dtype.str)
    fields = [dict(dtype.fields or {})[name] for name in dtype.names or ()]
    return np.dtype(
        {
            "names": list(dtype.names or ()),
            "formats": [field[0] for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
    )


def _holds_the_same(expected: int, stated: int) -> bool:
    mask = _OF_OBJECTS if (expected | stated) & _HOLDS_OBJECTS else _HOLDS_OBJECTS
    return expected & mask == stated & mask
