"""List what a pickle would import and call, without importing or calling anything. Pure.

The standard library's own unpickler executes the opcodes, as it does when the file is loaded, so that scanning and
loading cannot disagree about where a frame ends or which name is on the stack. Only the results differ: a name becomes
a `_Global`, the result of a call a `_CallResult`, and numbers, strings and containers are themselves.

CPU time and memory are not bounded here: it runs in the inspection's process, which is.
"""

import math
import pickle
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from registry.formats.errors import OF_A_NOTEBOOK, CannotLoad, Refused
from registry.formats.trust import Use

# HistGradientBoosting's preprocessor holds one; any other could call any function with any arguments.
PARTIAL, PARTIAL_OF = ("functools", "partial"), {("sklearn.utils.validation", "check_array")}
PARTIAL_FIX = "Use a function of a module of your own (MLSERVE_TRUSTED_MODULES), or FunctionTransformer's kw_args."
ARRAY_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
# NumPy's generators call the function that they are given; pickles give them this one.
GENERATORS = {("numpy.random._pickle", name) for name in ("__generator_ctor", "__randomstate_ctor")}
BIT_GENERATOR = ("numpy.random._pickle", "__bit_generator_ctor")
NO_BIT_GENERATOR = "The file makes a random generator with something else than NumPy's own function."
DTYPE = ("numpy", "dtype")
# What pickling a `numpy.dtype` calls between making it and giving it its state.
WITHIN_DTYPE = {DTYPE, ("_codecs", "encode"), ("builtins", "bytes")}
UNFINISHED = "The file uses a numpy.dtype before it is complete, or changes one that is in use."
MAX_NAMES = 10_000
# How deep structured types may be nested.
_MAX_DEPTH = 20
# Longer values of bytes are skipped.
_KEPT_BYTES = 2**16
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Reference:
    """One class or function that a file would import, and what it would do with it."""

    module: str
    name: str
    use: Use

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


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


def require_plain_state(state: Any) -> None:
    """Refuses `__class__` and the like, which would change an object's class to one that is not trusted, and an `input`
    by which a CountVectorizer takes the caller's rows for names of files and reads these.
    """
    for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if not isinstance(part, dict):
            continue
        if any(isinstance(key, str) and key.startswith("__") for key in part):
            raise Refused("The file sets an attribute such as __class__ of an object.", NEVER)
        if isinstance(given := part.get("input"), str) and given in ("filename", "file"):
            raise Refused(
                f"A step reads files whose names the caller gives (input={given!r}).",
                "Give the text itself: input='content', which is the default.",
            )


# They write functions and classes as code instead of by name, such as the lambdas of a notebook.
CODE_WRITERS = {"cloudpickle", "dill"}
NEVER = "pickle, joblib and skops write no such files. Do not load it anywhere."


def require_builtin_base(module: str) -> None:
    """`copyreg._reconstructor(cls, base, state)` calls `base.__init__`, so the base must be a built-in class."""
    if module != "builtins":
        raise Refused("The file calls a class that it may only make objects of.", NEVER)


def require_dtype_by_name(arguments: Any) -> None:
    """Given another `numpy.dtype`, numpy would return that one, which arrays may use already."""
    if not arguments or type(arguments[0]) is not str:
        raise Refused(UNFINISHED, NEVER)


class _Global:
    """A class or function of which only the name is known."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key


class _CallResult:
    """Stands for the result of a call. It has the methods by which items are added, which do nothing."""

    __slots__ = ("arguments", "key", "state")

    def __init__(self, key: tuple[str, str] | None, arguments: Any = ()) -> None:
        self.key, self.arguments = key, arguments
        self.state: Any = None

    def append(self, _: Any) -> None: ...

    extend = add = append

    def __setitem__(self, key: Any, value: Any) -> None: ...


_RECONSTRUCTOR = ("copyreg", "_reconstructor")
_NEW_BY_COPYREG = {_RECONSTRUCTOR, ("copyreg", "__newobj__")}


def read_names(file: IO[bytes]) -> tuple[Reference, ...]:
    """Every name that loading `file` would import, sorted. Raises CannotLoad for a file that is not a complete pickle,
    and Refused for one that hides a name or breaks a rule.
    """
    uses: dict[tuple[str, str], Use] = {}
    try:
        _Reader(file, uses).load()
    except (CannotLoad, MemoryError, OSError):
        raise
    except Exception as error:  # for damaged bytes, the unpickler raises any exception
        raise CannotLoad(
            f"The file is truncated or damaged ({type(error).__name__}: {error}).",
            "Compare its size with the original and upload it again.",
        ) from error
    require_one_pickle(file)
    return tuple(Reference(*key, use) for key, use in sorted(uses.items()))


# The Python version of the unpickler, which joblib loads with, too; typeshed knows only the one in C.
PythonUnpickler: Any = pickle._Unpickler


class _Reader(PythonUnpickler):  # type: ignore[misc]
    dispatch = dict(PythonUnpickler.dispatch)

    def __init__(self, file: IO[bytes], uses: dict[tuple[str, str], Use], *, is_inner: bool = False) -> None:
        super().__init__(file)
        self._file, self._uses, self._is_inner = file, uses, is_inner
        self._unfinished: list[_CallResult] = []
        self._globals: dict[tuple[str, str], _Global] = {}

    # Names.

    def find_class(self, module: str, name: str) -> _Global:
        key = renamed(self.proto, module, name)
        if not all(part.isidentifier() for part in (*key[0].split("."), *key[1].split("."))):
            raise Refused(f"The file asks for {f'{key[0]}.{key[1]}'[:200]!r}, which is no name.", NEVER)
        self._use(key, Use.MENTIONED)
        return self._globals.setdefault(key, _Global(key))

    def get_extension(self, code: int) -> NoReturn:
        raise Refused("The file takes a name from the extension registry, which may hold anything.", NEVER)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused("The file refers to objects outside of itself (persistent ids).", NEVER)

    def _use(self, key: tuple[str, str], use: Use) -> None:
        self._uses[key] = max(use, self._uses.get(key, use))
        if len(self._uses) > MAX_NAMES:
            raise Refused(f"The file asks for more than {MAX_NAMES} names.", NEVER)

    def _used(self, value: Any, use: Use) -> tuple[str, str]:
        if not isinstance(value, _Global):
            if isinstance(value, _CallResult) and value.key and value.key[0].partition(".")[0] in CODE_WRITERS:
                raise Refused(
                    "The file holds the code of a function or class, as cloudpickle writes it.", OF_A_NOTEBOOK
                )
            raise Refused("The file calls something that it computes, so it is unknown what that is.", NEVER)
        self._use(value.key, use)
        return value.key

    # Calls.

    def _instantiate(self, cls: Any, arguments: Any) -> None:
        self._require_finished()
        self.append(_CallResult(self._used(cls, Use.CALLED), arguments))

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        if not isinstance(arguments, tuple):
            raise Refused("The file calls something with arguments that it computes.", NEVER)
        called = self._used(self.stack[-1], Use.CALLED)
        self._require_finished(called)
        key: tuple[str, str] | None = called
        if called in _NEW_BY_COPYREG:
            key = self._used(arguments[0], Use.INSTANTIATED)
            if called == _RECONSTRUCTOR:
                require_builtin_base(getattr(arguments[1], "key", ("", ""))[0])
        elif called == ("_codecs", "encode") and arguments[1:] != ("latin1",):
            raise Refused("The file encodes text in another way than pickle does.", NEVER)
        elif called == PARTIAL:
            self._require_partial(arguments)
        elif called in GENERATORS and any(getattr(each, "key", None) != BIT_GENERATOR for each in arguments[1:]):
            raise Refused(NO_BIT_GENERATOR, NEVER)
        self.stack[-1] = made = _CallResult(key, arguments)
        if called == DTYPE:
            require_dtype_by_name(arguments)
            self._unfinished.append(made)

    def _require_finished(self, called: tuple[str, str] | None = None) -> None:
        if self._unfinished and called not in WITHIN_DTYPE:
            raise Refused(UNFINISHED, NEVER)

    def load_newobj(self) -> None:
        self._require_finished()
        self.stack.pop()
        self.stack[-1] = _CallResult(self._used(self.stack[-1], Use.INSTANTIATED))

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _CallResult):
            raise Refused("The file changes a class, a function or a plain value in place.", NEVER)
        if made.key == DTYPE:
            self._finish_dtype(made, state)
            return
        self._require_finished()
        require_plain_state(state)
        if made.key == PARTIAL:
            self._require_partial(state)
        if made.key == ARRAY_WRAPPER and not self._is_inner:
            self.stack[-1] = self._skip_array(state)

    def _finish_dtype(self, made: _CallResult, state: Any) -> None:
        """numpy changes a type in place when its state is set: an array that uses it already would be read as another
        type than it was made with.
        """
        if not self._unfinished or self._unfinished.pop() is not made:
            raise Refused(UNFINISHED, NEVER)
        made.state = state

    def _require_partial(self, parts: Any) -> None:
        """`partial` names its function when it is called, and once more in its state."""
        function = parts[0] if isinstance(parts, tuple) and parts else None
        if not isinstance(function, _Global) or function.key not in PARTIAL_OF:
            raise Refused("The file wraps something in functools.partial.", PARTIAL_FIX)

    def load_readonly_buffer(self) -> NoReturn:
        raise Refused("The file needs buffers that are not in it.", NEVER)

    # Large values.

    def _load_bytes(self, length: int, whole: Callable[[], Any]) -> None:
        if length <= _KEPT_BYTES:
            self.append(whole())
            return
        while length > 0:
            block = self.read(min(length, _BLOCK_BYTES))
            if not block:
                raise EOFError("the bytes end too early")
            length -= len(block)
        self.append(_CallResult(None))

    def load_binbytes(self) -> None:
        length = int.from_bytes(self.read(4), "little")
        self._load_bytes(length, lambda: self.read(length))

    def load_binbytes8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        self._load_bytes(length, lambda: self.read(length))

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        self._load_bytes(length, lambda: bytearray(self.read(length)))

    def _skip_array(self, state: Any) -> _CallResult:
        """Skip what follows joblib's wrapper, which holds type and shape: the array's bytes, or a pickle of its own."""
        expected = _array_of(state)
        if expected is None:
            _Reader(self._file, self._uses, is_inner=True).load()
            return _CallResult(None)
        left = expected
        if state.get("numpy_array_alignment_bytes") is not None:
            left += int.from_bytes(self._file.read(1), "little")
        while left > 0:
            block = self._file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise EOFError("the array's bytes end too early")
            left -= len(block)
        return _CallResult(None)


_Reader.dispatch |= {
    getattr(pickle, opcode)[0]: method
    for opcode, method in {
        "REDUCE": _Reader.load_reduce,
        "NEWOBJ": _Reader.load_newobj,
        "NEWOBJ_EX": _Reader.load_newobj_ex,
        "BUILD": _Reader.load_build,
        "READONLY_BUFFER": _Reader.load_readonly_buffer,
        "NEXT_BUFFER": _Reader.load_readonly_buffer,
        "BINBYTES": _Reader.load_binbytes,
        "BINBYTES8": _Reader.load_binbytes8,
        "BYTEARRAY8": _Reader.load_bytearray8,
    }.items()
}

_TYPE = re.compile(r"[|<>=]?([biufcmMSUVO?])(\d*)", re.ASCII)
_SIZES = {"b": {1}, "?": {1}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}, "f": {2, 4, 8, 12, 16}, "c": {8, 16, 24, 32}}
_UNCLEAR = "The file holds an array whose size cannot be told from it."


def _array_of(state: Any) -> int | None:
    """The bytes of the array that joblib's wrapper announces; None for one of objects. Raises Refused.

    Only what joblib writes is understood: a wrong size would make bytes of an array into opcodes.
    """
    # A key that is not text in this scan may become text when it is loaded, and set another shape.
    if not isinstance(state, dict) or not state.keys() >= {"shape", "dtype"} or set(map(type, state)) != {str}:
        raise Refused(_UNCLEAR, NEVER)
    shape, alignment = state["shape"], state.get("numpy_array_alignment_bytes")
    is_known = isinstance(shape, tuple) and all(type(each) is int and each >= 0 for each in shape)
    if not is_known or not (alignment is None or type(alignment) is int):
        raise Refused(_UNCLEAR, NEVER)
    item_bytes = _item_bytes(state["dtype"])
    total = None if item_bytes is None else math.prod(shape) * item_bytes
    if total is not None and total >= 2**63:
        raise Refused(_UNCLEAR, NEVER)
    return total


def _item_bytes(dtype: Any, *, depth: int = 0) -> int | None:
    """Bytes of one item of a `numpy.dtype` as pickled; None for objects. Raises Refused where that is not certain."""
    if not isinstance(dtype, _CallResult) or dtype.key != DTYPE or depth > _MAX_DEPTH:
        raise Refused(_UNCLEAR, NEVER)
    match = _TYPE.fullmatch(dtype.arguments[0]) if dtype.arguments and type(dtype.arguments[0]) is str else None
    if match is None:
        raise Refused(_UNCLEAR, NEVER)
    kind, size = match[1], int(match[2] or 1)
    state = dtype.state
    if not isinstance(state, tuple) or len(state) not in (8, 9) or state[2] is not None:
        raise Refused(_UNCLEAR, NEVER)
    # The flags, not the type's name, decide whether an array of it holds objects.
    if type(state[7]) is not int or bool(state[7] & 1) != (kind == "O"):
        raise Refused(_UNCLEAR, NEVER)
    if kind == "O":
        return None
    if state[4] is not None and not _is_record(state[4], depth):
        raise Refused(_UNCLEAR, NEVER)
    return _checked_size(kind, size, state[5])


def _is_record(fields: Any, depth: int) -> bool:
    """Whether the fields of a structured type are all known, and none of them is an object."""
    if not isinstance(fields, dict):
        return False
    return all(
        isinstance(each, tuple) and each and _item_bytes(each[0], depth=depth + 1) is not None
        for each in fields.values()
    )


def _checked_size(kind: str, size: int, stated: Any) -> int:
    if kind in "mM":
        return 8
    if kind in _SIZES:
        if size in _SIZES[kind] and stated == -1:
            return size
    else:
        item_bytes = size * 4 if kind == "U" else size
        if item_bytes > 0 and stated in (-1, item_bytes):
            return item_bytes
    raise Refused(_UNCLEAR, NEVER)
