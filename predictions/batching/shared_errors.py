"""One error that several threads have to raise. Pure."""

from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)


def copy_of(error: Error) -> Error:
    """An exception of the same class, words and attributes, without a traceback; raise it `from` the original.

    Each thread that raises an exception adds its frames to it, so that an object that several threads raise shows
    frames of other requests, and keeps them alive. `copy.copy` would call the constructor, whose arguments are not
    always those in `args`.
    """
    own = type(error).__new__(type(error), *error.args)
    own.args = error.args
    own.__dict__.update(vars(error))
    return own
