"""Items and attributes that come from a file, by other ways than pickle takes."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from registry.formats import loading
from registry.formats.loading import Refused
from tests.registry.formats.test_pickle_scan import pickled, text


@pytest.fixture
def load(tmp_path: Path) -> Callable[[bytes], Any]:
    """Load it by the only module that may, after the scan has passed."""

    def through(content: bytes) -> Any:
        path = tmp_path / "model.pickle"
        path.write_bytes(content)
        assert loading.refused(loading.read_names(path)) == []
        return loading.load(path).pipeline

    return through


def state(mapping: bytes) -> bytes:
    return b"csklearn.dummy\nDummyClassifier\n)\x81" + mapping + b"b"


def part(value: Any) -> bytes:
    """The opcodes that make a value, without the head and the end."""
    return pickle.dumps(value, 3)[2:-1]


@pytest.mark.parametrize(
    "content", [pd.Series({"input": "filename"}), pd.Series({"__class__": 1})], ids=["word", "class"]
)
def test_it_takes_attributes_from_a_dict_only(load: Any, content: Any) -> None:
    with pytest.raises(Refused, match="something else than a dict"):
        load(pickled(state(part(content))))


def test_it_takes_attributes_of_slots_from_a_dict_only(load: Any) -> None:
    """`items` of this one is whatever its attribute says."""
    items = b"csklearn.dummy\nDummyClassifier\n)\x81}" + text("items") + b"cnumpy\nlog1p\nsb"

    with pytest.raises(Refused, match="something else than a dict"):
        load(pickled(b"cuuid\nUUID\n(" + text("0" * 32) + b"tR0cbuiltins\nobject\n)\x81N" + items + b"\x86b"))


@pytest.mark.parametrize(
    ("attribute", "items"),
    [("append", b"K\x01a"), ("extend", b"(K\x01e"), ("add", b"(K\x01\x90"), ("add", b"K\x01K\x02s"),
     ("add", b"(K\x01K\x02u")],
    ids=["APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"],
)  # fmt: skip
def test_it_adds_items_to_containers_only(load: Any, attribute: str, items: bytes) -> None:
    """Else an attribute is called, although its name is on the list only as a value."""
    body = state(b"}" + text(attribute) + b"cnumpy\nlog1p\ns")

    with pytest.raises(Refused, match="no list, set or dict"):
        load(pickled(body + items))
