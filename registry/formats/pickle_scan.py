"""List what a pickle would import and call, without importing or calling anything. Pure.

The standard library's own unpickler executes the opcodes, as it does when the file is loaded, so that scanning and
loading cannot disagree about where a frame ends or which name is on the stack. Only the results differ: a name becomes
a `_Global`, the result of a call a `_CallResult`, and numbers, strings and containers are themselves.

CPU time and memory are not bounded here: it runs in the inspection's process, which is.
"""

import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any, NoReturn

from registry.formats.errors import OF_A_NOTEBOOK, CannotLoad, Refused
from registry.formats.next_steps import step_for
from registry.formats.rules import (
    ARRAY_WRAPPER,
    BIT_GENERATOR,
    CODE_WRITERS,
    DTYPE,
    GENERATORS,
    GETATTR,
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
from registry.formats.trust import Contents, Reference, Use

MAX_NAMES = 10_000
# How deep structured types may be nested.
_MAX_DEPTH = 20
# Longer values of bytes are skipped.
_KEPT_BYTES = 2**16
_BLOCK_BYTES = 2**20


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


# Estimators of scikit-learn write it into their state.
VERSION_KEY = "_sklearn_version"
_VERSION = re.compile(r"\d[\w.+-]{0,30}", re.ASCII)
_MAX_VERSIONS = 10


class _Found:
    """What has been found so far, also in pickles inside of the pickle."""

    def __init__(self) -> None:
        self.uses: dict[tuple[str, str], Use] = {}
        self._versions: set[str] = set()

    def note_version(self, state: Any) -> None:
        version = state.get(VERSION_KEY) if isinstance(state, dict) else None
        if is_version(version) and len(self._versions) < _MAX_VERSIONS:
            self._versions.add(str(version))

    def contents(self) -> Contents:
        names = tuple(Reference(*key, use) for key, use in sorted(self.uses.items()))
        return Contents(names, tuple(sorted(self._versions)))


def is_version(text: Any) -> bool:
    return isinstance(text, str) and _VERSION.fullmatch(text) is not None


_RECONSTRUCTOR = ("copyreg", "_reconstructor")
_NEW_BY_COPYREG = {_RECONSTRUCTOR, ("copyreg", "__newobj__")}


def read(file: IO[bytes]) -> Contents:
    """Every name that loading `file` would import, sorted. Raises CannotLoad for a file that is not a complete pickle,
    and Refused for one that hides a name or breaks a rule.
    """
    found = _Found()
    try:
        _Reader(file, found).load()
    except (CannotLoad, MemoryError, OSError):
        raise
    except Exception as error:  # for damaged bytes, the unpickler raises any exception
        raise CannotLoad(
            f"The file is truncated or damaged ({type(error).__name__}: {error}).",
            "Compare its size with the original and upload it again.",
        ) from error
    require_one_pickle(file)
    return found.contents()


# The Python version of the unpickler, which joblib loads with, too; typeshed knows only the one in C.
PythonUnpickler: Any = pickle._Unpickler


class _Reader(PythonUnpickler):  # type: ignore[misc]
    dispatch = dict(PythonUnpickler.dispatch)

    def __init__(self, file: IO[bytes], found: "_Found", *, is_inner: bool = False) -> None:
        super().__init__(file)
        self._file, self._found, self._is_inner = file, found, is_inner
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
        uses = self._found.uses
        uses[key] = max(use, uses.get(key, use))
        if len(uses) > MAX_NAMES:
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
        elif called in NEW_INDEX:
            self._used(arguments[0], Use.CALLED)
        self.stack[-1] = made = self._looked_up(called, arguments) or _CallResult(key, arguments)
        if called == DTYPE:
            require_dtype_by_name(arguments)
            self._unfinished.append(made)

    def _looked_up(self, called: tuple[str, str], arguments: tuple[Any, ...]) -> Any:
        """A method by its name, so that the report can say which. `getattr` itself stays among the names."""
        owner = getattr(arguments[0], "key", None) if called == GETATTR and len(arguments) == 2 else None
        if owner is None or type(arguments[1]) is not str or not arguments[1].isidentifier():
            return None
        key = (owner[0], f"{owner[1]}.{arguments[1]}")
        self._use(key, Use.MENTIONED)
        return _Global(key)

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
        require_plain_state(state, ".".join(made.key) if made.key else "an object")
        self._found.note_version(state)
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
            _Reader(self._file, self._found, is_inner=True).load()
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
_UNCLEAR = (
    "The file holds an array whose size cannot be told from it.",
    f"{step_for('numpy.record')} A StringDType as objects: array.astype(object).",
)


def _array_of(state: Any) -> int | None:
    """The bytes of the array that joblib's wrapper announces; None for one of objects. Raises Refused.

    Only what joblib writes is understood: a wrong size would make bytes of an array into opcodes.
    """
    # A key that is not text in this scan may become text when it is loaded, and set another shape.
    if not isinstance(state, dict) or not state.keys() >= {"shape", "dtype"} or set(map(type, state)) != {str}:
        raise Refused(*_UNCLEAR)
    shape, alignment = state["shape"], state.get("numpy_array_alignment_bytes")
    is_known = isinstance(shape, tuple) and all(type(each) is int and each >= 0 for each in shape)
    if not is_known or not (alignment is None or type(alignment) is int):
        raise Refused(*_UNCLEAR)
    item_bytes = _item_bytes(state["dtype"])
    total = None if item_bytes is None else math.prod(shape) * item_bytes
    if total is not None and total >= 2**63:
        raise Refused(*_UNCLEAR)
    return total


def _item_bytes(dtype: Any, *, depth: int = 0) -> int | None:
    """Bytes of one item of a `numpy.dtype` as pickled; None for objects. Raises Refused where that is not certain."""
    if not isinstance(dtype, _CallResult) or dtype.key != DTYPE or depth > _MAX_DEPTH:
        raise Refused(*_UNCLEAR)
    match = _TYPE.fullmatch(dtype.arguments[0]) if dtype.arguments and type(dtype.arguments[0]) is str else None
    if match is None:
        raise Refused(*_UNCLEAR)
    kind, size = match[1], int(match[2] or 1)
    state = dtype.state
    if not isinstance(state, tuple) or len(state) not in (8, 9) or state[2] is not None:
        raise Refused(*_UNCLEAR)
    # The flags, not the type's name, decide whether an array of it holds objects.
    if type(state[7]) is not int or bool(state[7] & 1) != (kind == "O"):
        raise Refused(*_UNCLEAR)
    if kind == "O":
        return None
    if state[4] is not None and not _is_record(state[4], depth):
        raise Refused(*_UNCLEAR)
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
    raise Refused(*_UNCLEAR)
