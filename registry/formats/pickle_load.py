"""Load a pickle or a joblib file with trusted names only. Pure, but for what trusted classes do.

It enforces every rule of the scan (registry/formats/pickle_scan.py) again: a name is checked before it is imported, and
only what was imported that way is called.
"""

import functools
import importlib
import pickle
from collections import deque
from types import FunctionType, MethodType, ModuleType
from typing import IO, Any, NoReturn

import numpy as np
from joblib.numpy_pickle import NumpyArrayWrapper

from registry.formats.errors import NotTrusted, Refused
from registry.formats.numpy_dtypes import own_state, require_sound
from registry.formats.pickle_scan import PythonUnpickler
from registry.formats.rules import (
    BIT_GENERATOR,
    DTYPE,
    GENERATORS,
    NEVER,
    NEW_INDEX,
    NO_BIT_GENERATOR,
    PARTIAL,
    PARTIAL_FIX,
    PARTIAL_OF,
    UNFINISHED,
    WITHIN_DTYPE,
    renamed,
    require_builtin_base,
    require_dtype_by_name,
    require_one_pickle,
    require_plain_state,
)
from registry.formats.trust import Trust, Use

# A memory map of the training refers to a file that was not uploaded, so it is loaded as an array in memory.
_INSTEAD = {("numpy", "memmap"): ("numpy", "ndarray")}


def unpickled(file: IO[bytes], trust: Trust) -> Any:
    """The object in `file`. Raises Refused before it imports or calls a name that is not trusted, else what loading
    raises.
    """
    loaded = _ArrayUnpickler(file, trust).load()
    require_one_pickle(file)
    return loaded


def resolved(module: str, name: str, trust: Trust) -> Any:
    """Import a trusted name. Raises Refused for a name that a trusted module has only imported from another one."""
    module, name = _INSTEAD.get((module, name), (module, name))
    value = importlib.import_module(module)
    steps = []
    for part in name.split("."):
        value = getattr(value, part)
        steps.append(value)
    if trust.is_exact(module, name):
        return value
    package = trust.package_of(module, name)
    own = [str(getattr(each, "__module__", "")) for each in steps]
    if not all(each == package or each.startswith(f"{package}.") for each in own) or not all(
        isinstance(each, type) for each in steps[:-1]
    ):
        raise Refused(
            f"{module}.{name} is not defined in {package}, but only imported there.",
            "Trust the module that defines it (MLSERVE_TRUSTED_MODULES), or the exact name: package.module:Name.",
        )
    return value


class _Unpickler(PythonUnpickler):  # type: ignore[misc]
    """Python's unpickler, restricted to trusted names."""

    dispatch = dict(PythonUnpickler.dispatch)

    def __init__(self, file: IO[bytes], trust: Trust) -> None:
        super().__init__(file)
        self._trust = trust
        # What was imported, by identity, with its name: nothing else is called.
        self._imported: dict[int, tuple[Any, tuple[str, str]]] = {}
        self._unfinished: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        key = renamed(self.proto, module, name)
        if self._trust.use_of(*key) is None:
            raise NotTrusted(".".join(key))
        value = resolved(*key, self._trust)
        self._imported[id(value)] = (value, key)
        return value

    def get_extension(self, code: int) -> NoReturn:
        raise Refused("The file takes a name from the extension registry.", NEVER)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused("The file refers to objects outside of itself (persistent ids).", NEVER)

    def _name_of(self, value: Any) -> tuple[str, str] | None:
        """The name that `value` was imported by; None for a value that the file computed."""
        return self._imported.get(id(value), (None, None))[1]

    def _required(self, value: Any, use: Use) -> tuple[str, str]:
        """The name of a value that may be used in this way. Raises Refused."""
        key = self._name_of(value)
        if key is None or not self._trust.allows(*key, use):
            raise Refused(f"The file calls {'.'.join(key) if key else 'what it computed'}, which it may not.", NEVER)
        return key

    def _instantiate(self, cls: Any, arguments: Any) -> None:
        self._require_finished(self._required(cls, Use.CALLED))
        super()._instantiate(cls, arguments)

    def load_reduce(self) -> None:
        arguments, called = self.stack[-1], self._required(self.stack[-2], Use.CALLED)
        self._require_finished(called)
        if called[0] == "copyreg":
            self._required(arguments[0], Use.INSTANTIATED)
            if called[1] == "_reconstructor":
                require_builtin_base(arguments[1].__module__)
        elif called == ("_codecs", "encode") and arguments[1:] != ("latin1",):
            raise Refused("The file encodes text in another way than pickle does.", NEVER)
        elif called == PARTIAL:
            self._require_partial(arguments)
        elif called in GENERATORS and any(self._name_of(each) != BIT_GENERATOR for each in arguments[1:]):
            raise Refused(NO_BIT_GENERATOR, NEVER)
        elif called in NEW_INDEX:
            self._required(arguments[0], Use.CALLED)
        elif called == DTYPE:
            require_dtype_by_name(arguments)
        super().load_reduce()
        if called == DTYPE:
            self._unfinished.append(self.stack[-1])

    def _require_finished(self, called: tuple[str, str] | None = None) -> None:
        if self._unfinished and called not in WITHIN_DTYPE:
            raise Refused(UNFINISHED, NEVER)

    def load_newobj(self) -> None:
        self._require_finished()
        self._required(self.stack[-2], Use.INSTANTIATED)
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        self._require_finished()
        self._required(self.stack[-3], Use.INSTANTIATED)
        super().load_newobj_ex()

    def load_build(self) -> None:
        made, state = self.stack[-2:]
        if isinstance(made, type | FunctionType | MethodType | ModuleType) or id(made) in self._imported:
            raise Refused("The file changes a class or a function in place.", NEVER)
        if isinstance(made, np.dtype):
            self._finish_dtype(made, state)
            return
        self._require_finished()
        _require_state(made, state)
        # By its type, because looking up an attribute of an incomplete object may recurse without end.
        if isinstance(made, functools.partial):
            self._require_partial(state)
        super().load_build()

    def _finish_dtype(self, made: np.dtype[Any], state: Any) -> None:
        if not self._unfinished or self._unfinished.pop() is not made:
            raise Refused(UNFINISHED, NEVER)
        self.stack[-1] = own_state(state)
        super().load_build()
        require_sound(made)

    # The unpickler adds items by calling a method of the target, which an attribute from the file could replace.

    def load_append(self) -> None:
        _require_takes_items(self.stack[-2], list | deque)
        super().load_append()

    def load_appends(self) -> None:
        _require_takes_items(self.metastack[-1][-1], list | deque)
        super().load_appends()

    def load_additems(self) -> None:
        _require_takes_items(self.metastack[-1][-1], set)
        super().load_additems()

    def load_setitem(self) -> None:
        _require_takes_items(self.stack[-3], dict)
        super().load_setitem()

    def load_setitems(self) -> None:
        _require_takes_items(self.metastack[-1][-1], dict)
        super().load_setitems()

    def _require_partial(self, parts: Any) -> None:
        if self._name_of(parts[0]) not in PARTIAL_OF:
            raise Refused("The file wraps something in functools.partial.", PARTIAL_FIX)


def _require_takes_items(target: Any, kind: Any) -> None:
    if not isinstance(target, kind):
        raise Refused("The file adds items to what is no list, set or dict.", NEVER)


def _require_state(made: Any, state: Any) -> None:
    """Refuses mappings that are not dicts: their items would become attributes without having been checked."""
    require_plain_state(state, f"{type(made).__module__}.{type(made).__qualname__}")
    is_pair = isinstance(state, tuple) and len(state) == 2 and not hasattr(type(made), "__setstate__")
    for part in state if is_pair else (state,):
        if type(part) is not dict and (hasattr(part, "keys") or hasattr(part, "items")):
            raise Refused("The file sets attributes from something else than a dict.", NEVER)


_Unpickler.dispatch |= {
    pickle.REDUCE[0]: _Unpickler.load_reduce,
    pickle.NEWOBJ[0]: _Unpickler.load_newobj,
    pickle.NEWOBJ_EX[0]: _Unpickler.load_newobj_ex,
    pickle.BUILD[0]: _Unpickler.load_build,
    pickle.APPEND[0]: _Unpickler.load_append,
    pickle.APPENDS[0]: _Unpickler.load_appends,
    pickle.ADDITEMS[0]: _Unpickler.load_additems,
    pickle.SETITEM[0]: _Unpickler.load_setitem,
    pickle.SETITEMS[0]: _Unpickler.load_setitems,
}


class _ArrayUnpickler(_Unpickler):
    """joblib's files: an array's bytes follow its description; an array of objects is a pickle inside of the pickle."""

    dispatch = dict(_Unpickler.dispatch)
    # Attributes of joblib's own unpickler that the wrapper reads.
    np, mmap_mode = np, None

    def __init__(self, file: IO[bytes], trust: Trust) -> None:
        super().__init__(file, trust)
        self.file_handle = file

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], NumpyArrayWrapper):
            self.stack[-1] = self._array(self.stack[-1])

    def _array(self, wrapper: NumpyArrayWrapper) -> Any:
        sizes = wrapper.shape if isinstance(wrapper.shape, tuple) else (None,)
        if not isinstance(wrapper.dtype, np.dtype) or not all(type(each) is int and each >= 0 for each in sizes):
            raise Refused("The file holds an array whose size cannot be told from it.", NEVER)
        if wrapper.dtype.hasobject:
            return _Unpickler(self.file_handle, self._trust).load()
        return wrapper.read(self, True)


_ArrayUnpickler.dispatch[pickle.BUILD[0]] = _ArrayUnpickler.load_build
