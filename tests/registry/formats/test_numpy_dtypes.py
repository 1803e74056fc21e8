"""Types of arrays whose state in the file is a lie: arrays of them would read and call whatever lies in memory."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

from registry.formats import loading
from registry.formats.loading import Refused
from registry.formats.numpy_dtypes import require_sound
from tests.registry.formats.test_pickle_scan import pickled, text

RECORD = np.dtype([("a", "f8"), ("b", "i4")])


@pytest.fixture
def load(tmp_path: Path) -> Callable[[bytes], Any]:
    def through(content: bytes) -> Any:
        path = tmp_path / "model.pickle"
        path.write_bytes(content)
        return loading.load(path).pipeline

    return through


class Changed:
    """A type with other words at some places of its state."""

    def __init__(self, dtype: Any, **places: Any) -> None:
        make, arguments, state = np.dtype(dtype).__reduce__()
        changes = {int(place.removeprefix("at_")): value for place, value in places.items()}
        self.reduced = make, arguments, tuple(changes.get(place, value) for place, value in enumerate(state))

    def __reduce__(self) -> Any:
        return self.reduced


def made(name: str, flags: int = 0, order: str = "|") -> bytes:
    """The opcodes of a type without fields."""
    numbers = b"J\xff\xff\xff\xff" * 2 + b"K" + bytes([flags])
    return b"cnumpy\ndtype\n(" + text(name) + b"\x89\x88tR(K\x03" + text(order) + b"NNN" + numbers + b"tb"


NAMED, _, STATE = made("i8", order="<").partition(b"R")


@pytest.mark.parametrize(
    "lie",
    [
        Changed("O", at_7=0),
        Changed("V8", at_7=63),
        Changed(RECORD, at_4={"a": (np.dtype("f8"), 10**6), "b": (np.dtype("i4"), 8)}),
        Changed(RECORD, at_4={"a": (np.dtype("f8"), -8), "b": (np.dtype("i4"), 8)}),
        Changed(RECORD, at_4={"a": (np.dtype("O"), 0), "b": (np.dtype("i4"), 8)}),
        Changed(RECORD, at_5=4),
        Changed(RECORD, at_6=0),
        Changed([("a", "f8", (3,))], at_4={"a": (np.dtype(("f8", (1000,))), 0)}),
        Changed("U3", at_5=10),
    ],
    ids=["objects as bytes", "bytes as objects", "behind its end", "before its start", "an object in a record",
         "too short", "no alignment", "a field too large", "half a letter"],
)  # fmt: skip
def test_it_refuses_a_type_that_numpy_does_not_make(load: Any, lie: Changed) -> None:
    with pytest.raises(Refused, match=r"numpy\.dtype"):
        load(pickle.dumps(lie))


@pytest.mark.parametrize(
    "dtype",
    ["f8", ">f4", "?", "O", "S5", "S0", "U3", ">U3", "V7", "M8[ns]", "m8", "c16", RECORD, [("a", "O"), ("b", "f8")],
     np.dtype([("a", "i1"), ("b", "f8")], align=True), [("a", "f8", (2, 3))], [("a", RECORD), ("b", "M8[s]")],
     np.dtype({"names": ["a"], "formats": ["f4"], "offsets": [12], "itemsize": 20}), [(("title", "a"), "f8")]],
    ids=str,
)  # fmt: skip
def test_it_lets_in_what_numpy_makes(load: Any, dtype: Any) -> None:
    for protocol in range(6):
        step = FunctionTransformer(kw_args={"dtype": np.dtype(dtype)})
        assert load(pickle.dumps(step, protocol)).kw_args == step.kw_args
    require_sound(np.dtype(dtype))


def test_it_refuses_to_change_a_type_in_use(load: Any, tmp_path: Path) -> None:
    """numpy changes it in place: the bytes of an array that has it would be pointers."""
    array = b"cnumpy._core.numeric\n_frombuffer\n(C\x08" + bytes(8) + b"h\x00" + b"K\x01\x85" + text("C") + b"tR"
    body = pickled(NAMED + b"Rq\x00" + array + b"0" + STATE)

    (tmp_path / "model.pickle").write_bytes(body)
    with pytest.raises(Refused, match="before it is complete"):
        loading.read_names(tmp_path / "model.pickle")
    with pytest.raises(Refused, match="before it is complete"):
        load(body)


@pytest.mark.parametrize(
    "again", [STATE, b"0cnumpy\ndtype\nh\x00\x85R" + STATE, b"0cnumpy\ndtype\nh\x00\x85\x81" + STATE],
    ids=["twice", "of itself", "of itself, by NEWOBJ"],
)  # fmt: skip
def test_it_gives_a_type_its_state_once(load: Any, again: bytes) -> None:
    with pytest.raises(Refused, match="in use"):
        load(pickled(NAMED + b"Rq\x00" + STATE + again))


def test_it_keeps_the_fields_to_itself(load: Any) -> None:
    """numpy keeps the dict that it is given, which the file can reach still."""
    fields = b"}q\x01" + text("a") + made("f8", order="<") + b"K\x00\x86s"
    record = b"cnumpy\ndtype\n(" + text("V8") + b"\x89\x88tR(K\x03" + text("|") + b"N" + text("a") + b"\x85" + fields
    change = b"h\x01" + text("a") + made("O8", 63) + b"K\x00\x86s"

    dtype, changed = load(pickled(record + b"K\x08K\x01K\x00tb" + change + b"\x86"))

    assert changed["a"][0] == np.dtype("O")
    assert dtype["a"] == np.dtype("f8")


def test_it_agrees_with_loading_where_an_array_of_objects_ends(load: Any, tmp_path: Path) -> None:
    """By its name it is one, and a pickle follows; by its flags it is bytes."""
    file = io.BytesIO()
    joblib.dump(np.array([None], dtype=object), file)
    content = file.getvalue()
    assert b"K?t" in content
    path = tmp_path / "model.joblib"
    path.write_bytes(content.replace(b"K?t", b"K\x00t", 1))

    with pytest.raises(Refused, match="whose size cannot be told"):
        loading.read_names(path)
    with pytest.raises(Refused, match=r"numpy\.dtype"):
        loading.load(path)


def test_it_reads_no_shape_twice(tmp_path: Path) -> None:
    """A key that is made by a call is the same text as the other one once it is loaded, and loading ends elsewhere."""
    file = io.BytesIO()
    joblib.dump(np.zeros(3), file)
    content, second = file.getvalue(), b"cbuiltins\nstr\n" + text("shape") + b"\x85RK\x01\x85"
    at, frame = content.index(b"K\x10ub") + 2, int.from_bytes(content[3:11], "little")
    path = tmp_path / "model.joblib"
    path.write_bytes(content[:3] + (frame + len(second)).to_bytes(8, "little") + content[11:at] + second + content[at:])

    with pytest.raises(Refused, match="whose size cannot be told"):
        loading.read_names(path)
