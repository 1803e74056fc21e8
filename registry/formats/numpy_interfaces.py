"""Keep NumPy from taking a memory address from data. Pure.

NumPy asks every object for its array interface, which names an address, and trusts the answer. Some classes look up
attributes in their data: pandas' by a label, scikit-learn's by a key or in the object that they wrap. So a value that a
pipeline computes from its caller's rows could make NumPy read and write anywhere in the process.
"""

from functools import cache, wraps
from typing import Any

_INTERFACES = frozenset({"__array_interface__", "__array_struct__"})


@cache
def block_array_interface() -> None:
    """Remove the attributes from these classes in this process, even if their data has an entry of that name."""
    from pandas.core.generic import NDFrame
    from sklearn.frozen import FrozenEstimator
    from sklearn.utils import Bunch

    for holder in (NDFrame, Bunch, FrozenEstimator):
        _block(holder)


def _block(holder: Any) -> None:
    original = holder.__getattr__

    @wraps(original)
    def attribute(self: Any, name: str) -> Any:
        if name in _INTERFACES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return original(self, name)

    holder.__getattr__ = attribute
