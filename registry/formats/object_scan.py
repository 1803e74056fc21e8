"""Check every object of a loaded artifact. Pure, but for what trusted classes do.

The rules of scanning and loading are about names. A file with only trusted names can still hold strings that control
scikit-learn: the name of a method that is called with the caller's rows, or an option to read files. This check sees
the values as they are after loading, so it does not matter how they came there.
"""

import gc
import inspect
import string
import sys
from collections.abc import Collection, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd

from registry.formats.errors import Refused
from registry.formats.native_state import require_sound_positions
from registry.formats.rules import NEVER
from registry.formats.trust import Use, listed

# They contain no other objects, and a model may have millions of them.
_PLAIN = {str, int, float, complex, bool, bytes, bytearray, type(None), range}
_PLAIN |= {kind for kind in np.sctypeDict.values() if kind not in (np.void, np.object_)}
# Functions of Python, C and NumPy, which were checked by name; Cython has a type of its own in each module.
_NAMED = FunctionType | BuiltinFunctionType | ModuleType | np.ufunc | type(np.clip)
_CYTHON_FUNCTIONS = {"cython_function_or_method", "fused_cython_function"}
# Standard modules whose objects are not searched, unless a file may name their class; what else a trusted class refers
# to belongs to the process.
_PYTHON = sys.stdlib_module_names - {"builtins", "collections", "functools"}
_RESPONSES = {"predict", "predict_proba", "predict_log_proba", "decision_function"}
_METHODS = {"auto", *_RESPONSES}
# Attributes by which scikit-learn's classes choose a method to call; tests/registry/formats/test_scikit_learn_words.py
# finds them in its source.
CHOICES: Mapping[str, set[str]] = dict.fromkeys(
    ("chain_method", "chain_method_", "stack_method", "stack_method_", "response_method", "_response_method"), _METHODS
)
# Attributes by which they choose others to read: `attrgetter` follows dots, and so does `str.format`.
IMPORTANCE, FEATURE_NAMES = "importance_getter", "verbose_feature_names_out"
# The classes of these packages hold values. They have private attributes, and these; scikit-learn must not find others,
# such as `predict`, by which a matrix would pass for an estimator.
_OF_VALUES = {"builtins", "collections", "datetime", "decimal", "functools", "numpy", "pandas", "scipy", "uuid"}
_PUBLIC = {
    "axes", "axis", "blocks", "c", "col", "coords", "data", "dtype", "extrapolate", "filename", "has_canonical_format",
    "has_sorted_indices", "indices", "indptr", "k", "maxprint", "mode", "offset", "offsets", "row", "rows", "shape",
    "sortorder", "t", "x",
}  # fmt: skip
# Its attributes are named after the methods whose metadata they route.
_ROUTING = ("sklearn.utils._metadata_requests", "MetadataRequest")
# The last two are values of repeated splitters; called with rows they only keep them.
_SPLITTERS = {("sklearn.model_selection._split", name) for name in ("KFold", "StratifiedKFold")}
_HARMLESS_CLASSES = {("builtins", "object"), ("numpy", "ndarray"), *_SPLITTERS}


def require_harmless(root: Any) -> None:
    """Raises Refused for an object that scikit-learn, NumPy or pandas would not have made.

    Takes about a second for ten million objects; arrays of numbers cost nothing.
    """
    # The objects themselves are kept, too: some exist only while they are looked at, as an attribute dict that Python
    # makes when it is asked for, and a later one with the same id would be passed over.
    pending, seen = [root], dict[int, Any]()
    while pending:
        value = pending.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            pending.extend(part for part in _parts(value) if type(part) not in _PLAIN)


def _parts(value: Any) -> Collection[Any]:
    """What an object refers to. Raises Refused for the object itself."""
    kind = type(value)
    if kind is dict:
        return [*value, *value.values()]
    if kind in (list, tuple):
        return list(value)
    if isinstance(value, type):
        _require_callable(value)
        return []
    if isinstance(value, _NAMED) or kind.__name__ in _CYTHON_FUNCTIONS:
        return []
    if _is_python_own(kind) or value is pd.NA or value is pd.NaT:
        return []
    attributes = _attributes(value)
    _require_plain(value, attributes)
    require_sound_positions(value)
    return [attributes, *_objects_in(value), *(each for each in gc.get_referents(value) if each is not kind)]


def _is_python_own(kind: type) -> bool:
    module = str(kind.__module__)
    return module.partition(".")[0] in _PYTHON and (module, kind.__qualname__) not in listed()


def _attributes(value: Any) -> dict[Any, Any]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if type(attributes) is dict else {}


def _objects_in(value: Any) -> list[Any]:
    """The objects in an array, a record or a type, which the garbage collector does not list."""
    if isinstance(value, np.dtype):
        return [dict(value.metadata or {}), dict(value.fields or {}), value.subdtype]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return [value.dtype, np.ndarray.tolist(value)]
    if isinstance(value, np.ndarray):
        return [value.dtype]
    if isinstance(value, np.void) and value.dtype.hasobject:
        return [value.item()]
    return []


def _require_callable(cls: type) -> None:
    """Raises Refused for a class that may only be instantiated: as a value, it may be called with the caller's rows."""
    key = (str(cls.__module__), cls.__qualname__)
    if listed().get(key) is Use.INSTANTIATED and key not in _HARMLESS_CLASSES:
        raise Refused(f"The file holds {'.'.join(key)} as a value, which may be called then.", NEVER)


def _require_plain(value: Any, attributes: Mapping[Any, Any]) -> None:
    kind = type(value)
    if any(isinstance(name, str) and name.startswith("__") for name in attributes):
        raise Refused(f"A {kind.__name__} of the file has an attribute such as __class__.", NEVER)
    if any(str(base.__module__).startswith("sklearn.") for base in kind.__mro__):
        _require_own_methods(kind, attributes)
        _require_choices(kind.__name__, attributes)
    elif (str(kind.__module__), kind.__qualname__) in listed():
        _require_own_attributes(kind, attributes)


def _require_own_methods(kind: type, attributes: Mapping[Any, Any]) -> None:
    """An attribute named `transform` would be called in the method's place, with the caller's rows; one named `predict`
    where the class has no such method would tell scikit-learn by its `__name__` which method to call.
    """
    for name in attributes:
        if inspect.isroutine(getattr(kind, str(name), None)):
            raise Refused(f"A {kind.__name__} of the file replaces its method {name!s:.50}.", NEVER)
    if attributes.keys() & _RESPONSES and (kind.__module__, kind.__qualname__) != _ROUTING:
        raise Refused(f"A {kind.__name__} of the file has a method of another class.", NEVER)


def _require_own_attributes(kind: type, attributes: Mapping[Any, Any]) -> None:
    if str(kind.__module__).partition(".")[0] not in _OF_VALUES:
        return
    for name in attributes:
        if not str(name).startswith("_") and name not in _PUBLIC:
            raise Refused(
                f"A {kind.__name__} of the file has an attribute {name!s:.50}, as its class never does.", NEVER
            )


def _require_choices(kind: str, attributes: Mapping[Any, Any]) -> None:
    given = attributes.get("input", "content")
    if type(given) is not str or given != "content":
        raise Refused(
            f"A {kind} reads files whose names the caller gives (input={given!r:.50}).",
            "Give the text itself: input='content', which is the default.",
        )
    for name, allowed in CHOICES.items():
        given = attributes.get(name)
        words = given if isinstance(given, list | tuple) else [given]
        if not all(word is None or (type(word) is str and word in allowed) for word in words):
            raise Refused(f"A {kind} of the file would call the method {given!r:.100}.", NEVER)
    for name, is_plain in ((IMPORTANCE, _is_path), (FEATURE_NAMES, _is_template)):
        given = attributes.get(name)
        if isinstance(given, str) and not (type(given) is str and is_plain(given)):
            raise Refused(f"A {kind} of the file would read the attribute {given!r:.100}.", NEVER)


def _is_path(word: str) -> bool:
    """`coef_`, or `named_steps.model.coef_`."""
    return not any(part.startswith("__") for part in word.split("."))


def _is_template(word: str) -> bool:
    """`{transformer_name}__{feature_name}`: no field takes an attribute or an item of one."""
    try:
        fields = [(name or "", form or "") for _, name, form, _ in string.Formatter().parse(word)]
    except ValueError:
        return False
    return not any(set(name) & set(".[") or "{" in form for name, form in fields)
