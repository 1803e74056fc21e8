"""One error that several threads have to raise. Pure."""

import copy
from contextlib import suppress
from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)


def copy_of(error: Error) -> Error:
    """An exception of the same class, words and attributes, without a traceback; raise it `from` the original.

    Each thread that raises an exception adds its frames to it, so that an object that several threads raise shows
    frames of other requests, and keeps them alive. An exception that cannot be copied is returned itself: a shared
    traceback is better than another error.
    """
    # Python's own exceptions keep what their constructors were given, which `copy` calls again.
    with suppress(Exception):
        own = copy.copy(error)
        if (str(own), own.args, vars(own)) == (str(error), error.args, vars(error)):
            return own
    # Others ask for something else than what is in `args`.
    with suppress(Exception):
        own = type(error).__new__(type(error), *error.args)
        own.args = error.args
        own.__dict__.update(vars(error))
        return own
    return error
