import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skops.io

from registry.formats import loading
from registry.formats.loading import CannotLoad, Refused
from tests import pipelines


@pytest.fixture(scope="module")
def content() -> bytes:
    return bytes(skops.io.dumps(pipelines.mixed_classifier()))


@pytest.fixture
def changed(content: bytes, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """The file after `change(schema)`."""

    def save(change: Callable[[dict[str, Any]], None]) -> Path:
        path = tmp_path / "model.skops"
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(path, "w") as after:
            for name in before.namelist():
                data = before.read(name)
                if name == "schema.json":
                    schema = json.loads(data)
                    change(schema)
                    data = json.dumps(schema).encode()
                after.writestr(name, data)
        return path

    return save


def test_it_loads_a_skops_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.anything"
    path.write_bytes(content)

    loaded = loading.load(path)

    assert loading.refused(loading.read_names(path)) == []
    assert loaded.format == "skops"
    assert list(loaded.pipeline.classes_) == ["old", "young"]


def is_refused(path: Path) -> bool:
    try:
        names = loading.read_names(path)
    except CannotLoad:
        return True
    return bool(loading.refused(names))


def node(kind: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    return {"__loader__": kind, "__module__": module, "__class__": name, "__id__": 1, **more}


EMPTY = {"__loader__": "JsonNode", "__module__": "builtins", "__class__": "str", "content": "[]", "is_json": True}


HOSTILE = [
    node("FunctionNode", "os", "system"),
    node("TypeNode", "builtins", "eval"),
    node("ObjectNode", "subprocess", "Popen"),
    node("ConstructorFromReduceNode", "subprocess", "Popen", content=EMPTY),
    node("ListNode", "subprocess", "Popen", content=[EMPTY]),
    node("DictNode", "os", "system", content={}, key_types=EMPTY),
    node("NdArrayNode", "pathlib", "Path", type="numpy", file="1.npy"),
    node("LossNode", "os", "system", content=EMPTY, __reduce__={"args": EMPTY}),
    # Calls a method of whatever is loaded (CVE-2025-54412, CVE-2025-54413, CVE-2025-54886).
    node("MethodNode", "sklearn.pipeline", "Pipeline", content={"func": "fit", "obj": EMPTY}),
    node("OperatorFuncNode", "operator", "methodcaller", attrs=EMPTY),
    node("OperatorFuncNode", "builtins", "eval", attrs=EMPTY),
    node("PartialNode", "functools", "partial", content=dict.fromkeys(("func", "args", "kwds"), EMPTY)),
    node("TreeNode", "os", "system", content=EMPTY, __reduce__={"args": EMPTY}),
    node("NoSuchNode", "builtins", "str"),
    node("ObjectNode", "sklearn.utils._testing.os", "system"),
    node("ConstructorFromReduceNode", "sklearn.pipeline", "Pipeline", content=EMPTY),
    node("ObjectNode", "sklearn.feature_extraction.text", "CountVectorizer", content=node(
        "DictNode", "builtins", "dict", key_types=EMPTY, content={"input": {**EMPTY, "content": '"filename"'}})),
    # Keys are made by calling their type with a text of the file.
    node("DictNode", "builtins", "dict", content={"/etc/passwd": EMPTY}, key_types=node(
        "ListNode", "builtins", "list", content=[node("TypeNode", "numpy", "memmap")])),
    node("DictNode", "builtins", "dict", content={"x": EMPTY}, key_types=node(
        "ListNode", "builtins", "list", content=[node("FunctionNode", "numpy", "log1p")])),
    node("DictNode", "builtins", "dict", content={"x": EMPTY}, key_types=EMPTY),
    node("RandomGeneratorNode", "numpy.random._generator", "Generator", content={"seed_seq": EMPTY, "bit_generator": {
        **EMPTY, "content": {"bit_generator": {**EMPTY, "content": '"set_bit_generator"'}}}}),
    node("RandomGeneratorNode", "numpy.random._generator", "Generator", content=EMPTY),
    node("CachedNode", "builtins", "dict"),
    {"__id__": 1},
    node("ListNode", "builtins", "list", content=[EMPTY, 1], __id__="1"),
    {"__loader__": "ObjectNode", "__class__": "Popen"},
    {"__class__": 1, "__module__": ["os"], "__loader__": {}},
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=[str(place) for place in range(len(HOSTILE))])
def test_it_refuses_what_models_do_not_need(changed: Any, hostile: dict[str, Any]) -> None:
    path = changed(lambda schema: schema.setdefault("content", {}).update(hostile=hostile))

    assert is_refused(path)
    with pytest.raises(CannotLoad):
        loading.load(path)


def text_node(value: str) -> dict[str, Any]:
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True, __id__=None)


def attributes(number: int, **values: dict[str, Any]) -> dict[str, Any]:
    types = [node("TypeNode", "builtins", "str", __id__=None) for _ in values]
    return node(
        "DictNode", "builtins", "dict", content=values, __id__=number,
        key_types=node("ListNode", "builtins", "list", content=types, __id__=None),
    )  # fmt: skip


def vectorizer(content: dict[str, Any]) -> dict[str, Any]:
    return node("ObjectNode", "sklearn.feature_extraction.text", "CountVectorizer", content=content, __id__=None)


def saved_as(path: Path, schema: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16", **schema}))
    return path


def listing(*content: dict[str, Any]) -> dict[str, Any]:
    return node("ListNode", "builtins", "list", content=list(content), __id__=None)


def test_it_reads_no_number_of_two_objects(tmp_path: Path) -> None:
    """skops would give the vectorizer the attributes of the first dict, which belongs to no object."""
    hidden, shown = attributes(7, input=text_node("filename")), attributes(7, input=text_node("content"))
    path = saved_as(tmp_path / "model.skops", listing(hidden, vectorizer(shown)))

    assert is_refused(path)
    with pytest.raises(Refused, match="the same number"):
        loading.load(path)


def test_it_lets_in_an_object_that_occurs_twice(tmp_path: Path) -> None:
    same = attributes(7, input=text_node("content"))
    path = saved_as(tmp_path / "model.skops", listing(same, vectorizer(same)))

    first, second = loading.load(path).pipeline

    assert vars(second) == first


def test_it_looks_at_what_was_loaded(tmp_path: Path) -> None:
    """The word is made by a call; the description does not show it."""
    word = node("TupleNode", "builtins", "tuple", content=[text_node("filename")], __id__=None)
    made = node("ConstructorFromReduceNode", "builtins", "str", content=word, __id__=None)
    path = saved_as(tmp_path / "model.skops", vectorizer(attributes(7, input=made)))

    with pytest.raises(Refused, match="reads files"):
        loading.load(path)


def test_it_lets_no_class_be_called_that_may_only_be_made(tmp_path: Path) -> None:
    """A function transformer would open whatever file a step before it names."""
    kind = node("TypeNode", "numpy", "memmap", __id__=None)
    path = saved_as(tmp_path / "model.skops", vectorizer(attributes(7, tokenizer=kind)))

    with pytest.raises(Refused, match=r"numpy\.memmap as a value"):
        loading.load(path)


@pytest.mark.parametrize("protocol", [0, 1, 3, -1, True, "2", None, 2.0])
def test_it_reads_one_protocol(changed: Any, protocol: Any) -> None:
    assert is_refused(changed(lambda schema: schema.update(protocol=protocol)))


@pytest.mark.parametrize("name", ["../other.npy", "/etc/passwd", "a/1.npy", "module.py", "1.pkl"])
def test_it_refuses_other_files_in_the_archive(content: bytes, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")

    assert is_refused(path)


@pytest.mark.parametrize("schema", ["", "[]", "{}", "null", "[" * 100_000, '{"protocol": 2}', '{"a": NaN}'])
def test_it_refuses_a_description_that_is_none(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema)

    with pytest.raises(CannotLoad):
        loading.load(path)


def test_it_limits_what_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("1.npy", bytes(2**24))

    with pytest.raises(CannotLoad, match="more than is allowed"):
        loading.read_names(path, max_bytes=2**20)


def changed_bytes(content: bytes, signature: bytes, offset: int, new: bytes) -> bytes:
    """With the first entry of this kind changed in one place."""
    at = content.index(signature) + offset
    return content[:at] + new + content[at + len(new) :]


ENTRY, DIRECTORY = b"PK\x03\x04", b"PK\x01\x02"
# picklescan took each for a file without a pickle, and other readers load it.
ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "CVE-2025-1944, another name at the entry": lambda content: changed_bytes(content, ENTRY, 30, b"x"),
    "CVE-2025-1945, flags: encrypted": lambda content: changed_bytes(content, DIRECTORY, 8, b"\x01"),
    "CVE-2025-1945, flags: patched": lambda content: changed_bytes(content, DIRECTORY, 8, b"\x20"),
    "CVE-2025-1945, flags: strongly encrypted": lambda content: changed_bytes(content, DIRECTORY, 8, b"\x40"),
    "CVE-2025-10156, another checksum": lambda content: changed_bytes(content, DIRECTORY, 16, b"\x00\x00\x00\x00"),
    "another method of compression": lambda content: changed_bytes(content, DIRECTORY, 10, b"\x63"),
    "a place outside": lambda content: changed_bytes(content, DIRECTORY, 42, b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("archive", ARCHIVES)
def test_it_refuses_archives_that_readers_see_differently(content: bytes, tmp_path: Path, archive: str) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(ARCHIVES[archive](content))

    with pytest.raises(CannotLoad):
        loading.load(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_it_refuses_a_truncated_file(content: bytes, tmp_path: Path, part: float) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content[: int(len(content) * part)])

    with pytest.raises(CannotLoad):
        loading.load(path)


def test_it_reports_another_version_of_scikit_learn(changed: Any) -> None:
    import sklearn

    def pretend(schema: dict[str, Any]) -> None:
        text = json.dumps(schema).replace(json.dumps(json.dumps(sklearn.__version__)), '"\\"0.99.0\\""')
        schema.clear()
        schema.update(json.loads(text))

    mismatches = loading.load(changed(pretend)).mismatches

    assert {mismatch.trained_with for mismatch in mismatches} == {"0.99.0"}
