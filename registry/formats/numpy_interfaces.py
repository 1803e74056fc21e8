"""Keep libraries from taking special attributes, as `__array_interface__` and `__name__`, from data. Pure.

NumPy asks every object for its array interface, which names an address in memory, and trusts the answer; scikit-learn
calls the method that `__name__` says. Some classes look up attributes in their data: pandas' by a label,
scikit-learn's by a key or in the object that they wrap. So a value of the file, or one that a pipeline computes from
its caller's rows, could make NumPy read and write anywhere in the process, and scikit-learn call any method.
"""

from functools import cache, wraps
from typing import Any


@cache
def block_special_attributes() -> None:
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
        if name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return original(self, name)

    holder.__getattr__ = attribute
