"""The rules about pickles and skops files that scanning and loading both enforce. Pure."""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import IO, Any

from registry.formats.errors import Refused
from registry.formats.next_steps import NAMED_FUNCTION, step_for

# HistGradientBoosting's preprocessor holds one; any other could call any function with any arguments.
PARTIAL, PARTIAL_OF = ("functools", "partial"), {("sklearn.utils.validation", "check_array")}
PARTIAL_FIX = step_for("functools.partial")
# How pickles write a method, and in old protocols any name with a dot.
GETATTR = ("builtins", "getattr")
# pandas' functions that make an index of the class that they are given.
NEW_INDEX = {
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
    ("pandas.core.indexes.interval", "_new_IntervalIndex"),
    ("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex"),
}
ARRAY_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
# NumPy's generators call the function that they are given; pickles give them this one.
GENERATORS = {("numpy.random._pickle", name) for name in ("__generator_ctor", "__randomstate_ctor")}
BIT_GENERATOR = ("numpy.random._pickle", "__bit_generator_ctor")
NO_BIT_GENERATOR = "The file makes a random generator with something else than NumPy's own function."
DTYPE = ("numpy", "dtype")
# What pickling a `numpy.dtype` calls between making it and giving it its state.
WITHIN_DTYPE = {DTYPE, ("_codecs", "encode"), ("builtins", "bytes")}
UNFINISHED = "The file uses a numpy.dtype before it is complete, or changes one that is in use."


def renamed(protocol: int, module: str, name: str) -> tuple[str, str]:
    """The present name for one that Python 2 wrote: `__builtin__` is `builtins`."""
    if protocol >= 3:
        return module, name
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def require_one_pickle(file: IO[bytes]) -> None:
    if file.read(1):
        raise Refused("Something follows the end of the pickle.", "Save one object per file.")


def require_plain_state(state: Any, of: str = "an object") -> None:
    """Refuses `__class__` and the like, which would change an object's class to one that is not trusted, and an `input`
    by which a CountVectorizer takes the caller's rows for names of files and reads these. `of` is the class's name.
    """
    for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if not isinstance(part, dict):
            continue
        if hidden := next((key for key in part if isinstance(key, str) and key.startswith("__")), None):
            raise Refused(*_hidden_attribute(hidden, of))
        if isinstance(given := part.get("input"), str) and given in ("filename", "file"):
            raise Refused(
                f"A step reads files whose names the caller gives (input={given!r}).",
                "Give the text itself: input='content', which is the default.",
            )


def _hidden_attribute(name: str, of: str) -> tuple[str, str]:
    """Detail and fix. np.vectorize and functools.wraps set some, scipy.stats and pydantic others."""
    if name == "__class__":
        return f"The file sets the attribute __class__ of {of}.", NEVER
    detail = f"The file holds {of} with the attribute {name!s:.50}; mlserve loads none with two underscores in front."
    return (
        detail,
        step_for(of) or f"Is it a wrapped function? {NAMED_FUNCTION} Otherwise leave the object out of the pipeline.",
    )


# They write functions and classes as code instead of by name, such as the lambdas of a notebook.
CODE_WRITERS = {"cloudpickle", "dill"}
NEVER = "pickle, joblib and skops write no such files. Do not load it anywhere."


def require_builtin_base(module: str) -> None:
    """`copyreg._reconstructor(cls, base, state)` calls `base.__init__`, so the base must be a built-in class."""
    if module != "builtins":
        raise Refused(
            f"The file calls a class of {module or 'its own'}, which is not built in, as pickle protocols 0 and 1 do.",
            "Save with joblib.dump, or with pickle protocol 4 or newer.",
        )


def require_dtype_by_name(arguments: Any) -> None:
    """Given another `numpy.dtype`, numpy would return that one, which arrays may use already."""
    if not arguments or type(arguments[0]) is not str:
        if not arguments or getattr(arguments[0], "key", None) != ("numpy", "record"):
            raise Refused(UNFINISHED, NEVER)
        raise Refused(
            "The file makes a numpy.dtype of something else than its name, as np.recarray does.",
            step_for("numpy.record"),
        )
