"""Ways in which a model's code would reach something outside of its process: each a function of what there is to reach.

They need Python's library only, so that they also run as the code of a model. Each returns what it got hold of, or
None where the effect must be seen from outside (`outside_world.py`), and raises what it was refused with.
"""

import inspect
from collections.abc import Callable

from tests.registry.sandbox import ways_through_files, ways_through_processes
from tests.registry.sandbox.targets import Targets

WAYS: dict[str, Callable[[Targets], object]] = {
    name: each
    for module in (ways_through_files, ways_through_processes)
    for name, each in inspect.getmembers(module, inspect.isfunction)
    if each.__module__ == module.__name__ and not name.startswith("_")
}
