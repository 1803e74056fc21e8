"""NumPy asks every object where in memory its numbers lie, and believes the answer. Pure.

Some classes answer by what they hold: pandas' by a label, scikit-learn's by a key or in the name of what they wrap. So
what a pipeline computes from its caller's rows could have NumPy read, and write, anywhere in the process.
"""

from functools import cache, wraps
from typing import Any

_ASKED_FOR = frozenset({"__array_interface__", "__array_struct__"})


@cache
def block_array_interface() -> None:
    """From now on these classes have no such attribute in this process, whatever they hold under its name."""
    from pandas.core.generic import NDFrame
    from sklearn.frozen import FrozenEstimator
    from sklearn.utils import Bunch

    for holder in (NDFrame, Bunch, FrozenEstimator):
        _answer_truly(holder)


def _answer_truly(holder: Any) -> None:
    by_what_it_holds = holder.__getattr__

    @wraps(by_what_it_holds)
    def attribute(self: Any, name: str) -> Any:
        if name in _ASKED_FOR:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return by_what_it_holds(self, name)

    holder.__getattr__ = attribute
