"""skops files: a zip with a description of the object in JSON, and arrays. Pure, but for what trusted classes do.

skops checks types itself, but its checks have been bypassed before, by kinds of nodes that call methods or look up
names in other places than those that are checked. So the description is checked here first: it may have only kinds of
nodes that models need, and only classes and functions that this service trusts; what skops trusts does not count.
"""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any

from registry.formats.errors import HOW_TO_SAVE, CannotLoad, NotTrusted, Refused
from registry.formats.next_steps import NAMED_FUNCTION, step_for
from registry.formats.pickle_scan import VERSION_KEY, is_version
from registry.formats.rules import NEVER, PARTIAL_FIX, PARTIAL_OF, require_plain_state
from registry.formats.trust import Contents, Reference, Trust, Use

NAME = "skops"
SCHEMA = "schema.json"
# The protocol of the installed skops. Older ones are read by code that looks up names elsewhere.
PROTOCOL = 2
_MAX_SCHEMA_BYTES = 2**28
_MAX_FILES = 200_000
_FILE = re.compile(r"\d+\.(npy|npz)|[0-9a-f-]{36}\.bin", re.ASCII)

_BIT_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}
# Bytes, and the results of `__getstate__`, get a new number and a new file each time that the object is written.
_CHANGES_WITH_WRITING = {"__id__", "file"}
# Every kind of node that a model needs, and what loading does with its class. Left out: MethodNode and
# OperatorFuncNode, which can call any method, and CachedNode, which skops reads and never writes.
_NODES: Mapping[str, Use] = {
    "JsonNode": Use.MENTIONED,
    "FunctionNode": Use.MENTIONED,
    "TypeNode": Use.MENTIONED,
    "SliceNode": Use.MENTIONED,
    "BytesNode": Use.MENTIONED,
    "BytearrayNode": Use.MENTIONED,
    "SparseMatrixNode": Use.MENTIONED,
    "MaskedArrayNode": Use.MENTIONED,
    "DTypeNode": Use.MENTIONED,
    "DefaultDictNode": Use.MENTIONED,
    "RandomStateNode": Use.CALLED,
    "RandomGeneratorNode": Use.CALLED,
    "ObjectNode": Use.INSTANTIATED,
    "NdArrayNode": Use.CALLED,
    "DictNode": Use.CALLED,
    "ListNode": Use.CALLED,
    "SetNode": Use.CALLED,
    "TupleNode": Use.CALLED,
    "ConstructorFromReduceNode": Use.CALLED,
    "LossNode": Use.CALLED,
    "TreeNode": Use.CALLED,
    "PartialNode": Use.CALLED,
}


def read(file: IO[bytes], *, max_bytes: int) -> Contents:
    """Every class and function that the file names. Raises CannotLoad; Refused for a node that models do not need."""
    nodes = list(_nodes(_schema(file, max_bytes)))
    _require_one_object_for_each_number(nodes)
    uses: dict[tuple[str, str], Use] = {}
    for node in nodes:
        for key, use in (_checked(node), *_called_with_keys(node)):
            uses[key] = max(use, uses.get(key, use))
    versions = {str(version) for node in nodes if is_version(version := _version_in(node))}
    return Contents(tuple(Reference(*key, use) for key, use in sorted(uses.items())), tuple(sorted(versions)))


def _version_in(node: dict[str, Any]) -> Any:
    state = node.get("content")
    return _text(state.get(VERSION_KEY)) if isinstance(state, dict) else None


def load(file: IO[bytes], trust: Trust, *, max_bytes: int) -> Any:
    """The object. Raises Refused for a class that is not trusted, else what loading raises."""
    import skops.io

    references = read(file, max_bytes=max_bytes).names
    for each in references:
        if not trust.allows(each.module, each.name, each.use):
            raise NotTrusted(str(each))
    return skops.io.load(file, trusted=[str(each) for each in references])


def _schema(file: IO[bytes], max_bytes: int) -> dict[str, Any]:
    """The description, once the zip has only files that skops writes, and no more bytes than allowed."""
    try:
        with zipfile.ZipFile(file) as archive:
            _require_plain_zip(archive.infolist(), max_bytes)
            schema = json.loads(archive.read(SCHEMA))
    except (zipfile.BadZipFile, NotImplementedError, RecursionError, ValueError, EOFError, OSError, KeyError) as error:
        raise CannotLoad(
            f"The file is a zip archive, but no skops file ({type(error).__name__}: {error}).",
            HOW_TO_SAVE,
        ) from error
    if not isinstance(schema, dict) or type(schema.get("protocol")) is not int:
        raise CannotLoad("The file is a zip archive, but no skops file.", HOW_TO_SAVE)
    if schema["protocol"] != PROTOCOL:
        raise CannotLoad(
            f"The file was written with skops protocol {schema['protocol']}, here is {PROTOCOL}.",
            "Save it again with the skops that is installed here, or with joblib.dump.",
        )
    return schema


def _require_plain_zip(files: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = Counter(file.filename for file in files)
    if names[SCHEMA] != 1 or len(files) > _MAX_FILES:
        raise ValueError(f"it holds {names[SCHEMA]} files {SCHEMA} among {len(files)}")
    if any(count > 1 or not (name == SCHEMA or _FILE.fullmatch(name)) for name, count in names.items()):
        raise Refused("The zip archive holds files that skops does not write.", NEVER)
    total = sum(file.file_size for file in files)
    schema_bytes = sum(file.file_size for file in files if file.filename == SCHEMA)
    if total > max_bytes or schema_bytes > _MAX_SCHEMA_BYTES:
        raise CannotLoad(
            f"The file unpacks to {total} bytes, more than is allowed.",
            "Make the model smaller, or raise MLSERVE_INSPECTION_BYTES.",
        )


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of the description that names a class, at any depth."""
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if value.keys() & {"__loader__", "__class__", "__module__", "__id__"}:
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _require_one_object_for_each_number(nodes: list[dict[str, Any]]) -> None:
    """skops takes a node with the number of an earlier one for that one, and ignores its content, so it must be equal.
    It writes an object that occurs twice two times, with new numbers where `__getstate__` makes its state.
    """
    first: dict[int, dict[str, Any]] = {}
    compared: set[int] = set()
    for node in nodes:
        number = node.get("__id__")
        if number is None or id(node) in compared:
            continue
        if type(number) is not int or not _is_same(first.setdefault(number, node), node, compared):
            raise Refused("The skops file gives two objects the same number.", NEVER)


def _is_same(one: Any, other: Any, compared: set[int]) -> bool:
    """Whether two nodes are equal, except for keys that change with each writing. `compared` gets the ids of the nodes
    in `other` that have the same number as their counterparts.
    """
    pending = [(one, other)]
    while pending:
        one, other = pending.pop()
        if one is other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            if one.get("__id__") == other.get("__id__"):
                compared.add(id(other))
            if one.keys() != other.keys():
                return False
            ignored = _CHANGES_WITH_WRITING if "__loader__" in one else set()
            pending.extend((one[key], other[key]) for key in one.keys() - ignored)
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            pending.extend(zip(one, other, strict=True))
        elif type(one) is not type(other) or one != other:
            return False
    return True


def _called_with_keys(node: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Use]]:
    """The types of a dict's keys, each of which skops calls with a text of the file."""
    if node.get("__loader__") != "DictNode":
        return
    listing = node.get("key_types")
    types = listing.get("content") if isinstance(listing, dict) else None
    if not isinstance(types, list) or any(not isinstance(each, dict) for each in types):
        raise Refused("The skops file holds a dict without the types of its keys.", NEVER)
    for each in types:
        if each.get("__loader__") != "TypeNode":
            raise Refused("The skops file holds a dict with keys of a computed type.", NEVER)
        yield _checked(each)[0], Use.CALLED


def _checked(node: dict[str, Any]) -> tuple[tuple[str, str], Use]:
    kind, module, name = node.get("__loader__"), node.get("__module__"), node.get("__class__")
    if not isinstance(kind, str) or kind not in _NODES:
        raise Refused(
            f"The skops file holds a {kind!s:.50} ({module!s:.50}.{name!s:.50}), by which it could call any method.",
            step_for(f"{module!s:.50}.{name!s:.50}") or NAMED_FUNCTION,
        )
    if not isinstance(module, str) or not isinstance(name, str) or not name.isidentifier():
        raise Refused(f"The skops file holds an object whose class has no name: {name!s:.50}.", NAMED_FUNCTION)
    if kind == "ObjectNode" and isinstance(content := node.get("content"), dict):
        require_plain_state(_texts(content.get("content")), f"{module}.{name}")
    if kind == "PartialNode":
        _require_partial(node)
    if kind == "RandomGeneratorNode":
        _require_bit_generator(node)
    # numpy.ndarray is not called, but all other classes of this kind are.
    use = _NODES[kind] if (kind, name) != ("NdArrayNode", "ndarray") else Use.MENTIONED
    return (module, name), use


def _require_partial(node: dict[str, Any]) -> None:
    content = node.get("content")
    function = content.get("func") if isinstance(content, dict) else None
    if not isinstance(function, dict) or (function.get("__module__"), function.get("__class__")) not in PARTIAL_OF:
        raise Refused("The file wraps something in functools.partial.", PARTIAL_FIX)


def _require_bit_generator(node: dict[str, Any]) -> None:
    """skops looks up its name in `numpy.random` and calls the result; older versions accept any name there."""
    try:
        name = json.loads(node["content"]["bit_generator"]["content"]["bit_generator"]["content"])
    except (KeyError, TypeError, ValueError):
        name = None
    if not isinstance(name, str) or name not in _BIT_GENERATORS:
        raise Refused("The skops file holds a random generator that NumPy does not have.", NEVER)


def _texts(attributes: Any) -> dict[str, Any]:
    """Attributes of an object, those that are text as text."""
    if not isinstance(attributes, dict):
        return {}
    return {key: _text(value) for key, value in attributes.items()}


def _text(value: Any) -> Any:
    try:
        return json.loads(value["content"])
    except (TypeError, KeyError, ValueError):
        return None
