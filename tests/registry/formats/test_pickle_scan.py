"""What published tools that look into pickles were shown to miss, and what a pickle can do besides.

Each file must be refused twice: when it is read, and, had the reading been wrong, when it is loaded. None may leave its
mark, a file that its payload would make.
"""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.formats import loading, pickle_scan, rules
from registry.formats.loading import CannotLoad, Refused
from registry.formats.pickle_scan import PythonUnpickler
from registry.formats.trust import Use
from tests import pipelines


def text(value: str) -> bytes:
    encoded = value.encode()
    return (
        b"\x8c" + bytes([len(encoded)]) + encoded
        if len(encoded) < 256
        else b"X" + struct.pack("<I", len(encoded)) + encoded
    )


def called(module: str, name: str, *arguments: str) -> bytes:
    """Protocol 4: the name, its arguments, REDUCE."""
    return text(module) + text(name) + b"\x93(" + b"".join(map(text, arguments)) + b"tR"


def pickled(body: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


_LINES = (Path(__file__).parent / "bypasses.txt").read_text("utf-8").splitlines()
GADGETS = [line for line in _LINES if not line.startswith("#")]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def require_refused(tmp_path: Path, mark: Path) -> Callable[[bytes], None]:
    """Refused by scan and load, without having run."""

    def require(content: bytes) -> None:
        path = tmp_path / "model.bin"
        path.write_bytes(content)
        assert is_refused(path)
        with pytest.raises(CannotLoad):
            loading.load(path)
        assert not mark.exists()

    return require


def is_refused_when_loaded(path: Path) -> bool:
    with suppress(Refused):
        loading.load(path)
        return False
    return True


def is_refused(path: Path) -> bool:
    try:
        return bool(loading.refused(loading.read_names(path)))
    except CannotLoad:
        return True


def test_it_refuses_what_scanners_missed(tmp_path: Path, mark: Path) -> None:
    path, let_in = tmp_path / "model.bin", []

    for gadget in GADGETS:
        module, _, name = gadget.rpartition(".")
        path.write_bytes(pickled(called(module, name, f"touch {mark}")))
        if not is_refused(path) or not is_refused_when_loaded(path):
            let_in.append(gadget)

    assert len(GADGETS) > 150
    assert let_in == []
    assert not mark.exists()


@pytest.mark.parametrize(
    "gadget", ["code.InteractiveInterpreter.runcode", "sklearn.os.system", "pandas.DataFrame.eval"]
)
def test_it_refuses_them_by_dotted_names(gadget: str, require_refused: Any, mark: Path) -> None:
    """Protocol 4 looks up `a.b.c` in a module: what a listed module imports is not listed with it."""
    module, _, name = gadget.partition(".")

    require_refused(pickled(called(module, name, f"touch {mark}")))


WAYS: dict[str, Callable[[str], bytes]] = {
    "protocol 0": lambda command: b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
    "protocol 0, Python 2's names": lambda command: b"c__builtin__\nexecfile\n(S'" + command.encode() + b"'\ntR.",
    "INST": lambda command: pickled(b"(" + text(command) + b"ios\nsystem\n", 2),
    "OBJ": lambda command: pickled(b"(cos\nsystem\n" + text(command) + b"o", 2),
    "NEWOBJ": lambda command: pickled(b"csubprocess\nPopen\n(" + text(command) + b"t\x81", 2),
    "NEWOBJ_EX": lambda command: pickled(b"csubprocess\nPopen\n(" + text(command) + b"t}\x92"),
    "BUILD of a class": lambda command: pickled(
        b"csklearn.dummy\nDummyClassifier\n}" + text("predict") + b"cos\nsystem\nsb", 2
    ),
    # modelscan, issues 85 and 330: a function is given attributes, and its name then leads to them.
    "BUILD of a function": lambda command: pickled(
        b"cnumpy\nprod\nN}" + text("a") + text("os") + b"s\x86b0cnumpy\nprod.a\ncnumpy\nprod.a\n\x93"
        + text(command) + b"\x85R"
    ),
    "BUILD of a function with the builtins": lambda command: pickled(
        b"cnumpy\nsize\nq\x01cnumpy\n__builtins__\nq\x03h\x01}}" + text("shape") + b"h\x03s\x86bh\x01h\x01"
        + text("eval") + b"\x86R" + text(command) + b"\x85R"
    ),
    # modelscan, issue 331: the names are put together from letters.
    "names out of letters": lambda command: pickled(
        called("builtins", "getattr", "", "join") + b"](" + text("o") + text("s") + b"e\x85R" + text("system") + b"\x93"
        + text(command) + b"\x85R"
    ),
    # modelscan, issue 85: what PUT keeps is not what was written before it.
    "memo of another value": lambda command: pickled(
        text("os") + text("harmless") + b"0q\x00" + text("system") + text("harmless") + b"0q\x01"
        + b"00h\x00h\x01\x93" + text(command) + b"\x85R"
    ),
    "BUILD of a listed class, with slots": lambda _: pickled(
        b"csklearn.dummy\nDummyClassifier\nN}" + text("predict") + b"cnumpy\nlog1p\ns\x86b", 2
    ),
    "memo": lambda command: pickled(
        text("os") + b"\x94" + text("system") + b"\x940h\x00h\x01\x93" + text(command) + b"\x85R"
    ),
    "duplicates and discards": lambda command: pickled(
        text("harmless") + b"0" + text("os") + b"2" + text("system") + b"\x93\x85" + text(command) + b"\x86R"
    ),
    "after a harmless object": lambda command: pickled(b"]0" + called("os", "system", command)),
    "before garbage": lambda command: b"\x80\x04" + called("os", "system", command) + b"\xff\xff\xff",
    "without an end": lambda command: b"\x80\x04" + called("os", "system", command),
    "a frame that ends in the middle": lambda command: pickled(
        b"\x95" + struct.pack("<Q", 3) + b"]00" + called("os", "system", command)
    ),
    "a second PROTO": lambda command: pickled(b"\x80\x02" + called("os", "system", command)),
    "PROTO that lowers to Python 2's names": lambda command: pickled(
        b"\x80\x00" + called("__builtin__", "eval", command)
    ),
    "a second pickle": lambda command: pickle.dumps([1]) + pickled(called("os", "system", command)),
    "a computed name": lambda command: pickled(
        text("os") + called("builtins", "str", "system") + b"\x93" + text(command) + b"\x85R"
    ),
    "a computed function": lambda command: pickled(
        called("numpy.random._pickle", "__bit_generator_ctor", "MT19937") + text(command) + b"\x85R"
    ),
    "the extension registry": lambda _: pickled(b"\x82\x01)R", 2),
    "the extension registry, four bytes": lambda _: pickled(b"\x84\x01\x00\x00\x00)R", 2),
    "a persistent id": lambda _: b"Pos.system\n.",
    "a binary persistent id": lambda _: pickled(text("os.system") + b"Q"),
    "a buffer from outside": lambda _: pickled(b"\x97", 5),
    "a name with a line end": lambda command: pickled(called("os\nsystem", "system", command)),
    "a name with spaces": lambda command: pickled(called(" os ", "system", command)),
    "an empty module": lambda command: pickled(called("", "system", command)),
    "_reconstructor of something else": lambda command: pickled(
        b"ccopyreg\n_reconstructor\n(csubprocess\nPopen\ncbuiltins\nobject\n" + text(command) + b"tR", 2
    ),
    "_reconstructor that calls a class which is only made": lambda _: pickled(
        b"ccopyreg\n_reconstructor\n(csklearn.pipeline\nPipeline\ncsklearn.pipeline\nPipeline\n]tR", 2
    ),
    "a generator that calls what it is given": lambda _: pickled(
        b"cnumpy.random._pickle\n__generator_ctor\n(]csklearn.pipeline\nPipeline\ntR", 2
    ),
    "partial": lambda command: pickled(b"cfunctools\npartial\n(cnumpy\nlog1p\ntR", 2),
    "partial with another function in its state": lambda command: pickled(
        b"cfunctools\npartial\n(csklearn.utils.validation\ncheck_array\ntR(cnumpy\nlog1p\n)}Ntb", 2
    ),
    "a codec": lambda _: pickled(b"c_codecs\nencode\n(" + text("x") + text("rot13") + b"tR", 2),
    "a class called that is only made": lambda _: pickled(b"csklearn.pipeline\nPipeline\n(]tR", 2),
    "a value called": lambda _: pickled(b"cnumpy\nlog1p\n(K\x01tR", 2),
    "another class by slots": lambda _: pickled(
        b"csklearn.dummy\nDummyClassifier\n)\x81N}" + text("__class__") + b"cnumpy\nndarray\ns\x86b", 2
    ),
    "a reader of files": lambda _: pickled(
        b"csklearn.feature_extraction.text\nCountVectorizer\n)\x81}" + text("input") + text("filename") + b"sb", 2
    ),
    "NDArrayWrapper": lambda _: pickled(
        b"cjoblib.numpy_pickle_compat\nNDArrayWrapper\n)\x81}" + text("filename") + text("other.npy") + b"sb", 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_it_refuses_every_way_to_a_call(way: str, require_refused: Any, mark: Path) -> None:
    require_refused(WAYS[way](f"touch {mark}"))


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, zlib.compress, lzma.compress], ids=lambda each: each.__module__
)
def test_it_looks_into_compression(pack: Callable[[bytes], bytes], require_refused: Any, mark: Path) -> None:
    require_refused(pack(pickled(called("os", "system", f"touch {mark}"))))


def test_it_looks_into_the_second_member_of_a_gzip_file(require_refused: Any, mark: Path) -> None:
    whole = pickled(called("os", "system", f"touch {mark}"))

    require_refused(gzip.compress(whole[:5]) + gzip.compress(whole[5:]))


class Touches:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (self.path,)


@pytest.mark.parametrize("compress", [0, 3])
def test_it_looks_into_arrays_of_objects(tmp_path: Path, require_refused: Any, mark: Path, compress: int) -> None:
    """joblib writes each as a pickle of its own in the middle of the file (CVE-2024-34997, GHSA-m62q-453p-gv66)."""
    path = tmp_path / "array.joblib"
    joblib.dump({"before": np.eye(3), "array": np.array([Touches(mark), 1], dtype=object)}, path, compress=compress)

    require_refused(path.read_bytes())


def wrapped_array(dtype: np.dtype[Any], shape: tuple[int, ...], hidden: bytes) -> bytes:
    """joblib's description of an array, with what is not an array behind it."""
    file = io.BytesIO()
    joblib.dump(np.zeros(1, dtype=dtype), file)
    content = file.getvalue()
    return content.replace(b"K\x01\x85", pickle.dumps(shape, 2)[2:-1]) + hidden


@pytest.mark.parametrize("shape", [(2**32, 2**32), (2**31, 2**31, 4), (2**63,), (-1,)], ids=str)
def test_it_counts_arrays_as_numbers_are(require_refused: Any, mark: Path, shape: tuple[int, ...]) -> None:
    """2**32 times 2**32 is nothing in 64 bits: what looks like an array would be opcodes."""
    hidden = b"sb." + called("os", "system", f"touch {mark}") + b"."

    require_refused(wrapped_array(np.dtype("f8"), shape, hidden))


def test_it_limits_what_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.joblib"
    path.write_bytes(zlib.compress(pickle.dumps(bytes(50 * 2**20)), 9))

    with pytest.raises(CannotLoad, match="unpacks to more than") as refusal:
        loading.read_names(path, max_bytes=2**20)
    with pytest.raises(CannotLoad, match="unpacks to more than"):
        loading.load(path, max_bytes=2**20)

    assert "MLSERVE_INSPECTION_BYTES" in refusal.value.fix


def test_it_tells_what_is_done_with_each_name(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(
        pickled(b"(" + called("os", "system", "ls") + b"cnumpy\nlog1p\ncsklearn.dummy\nDummyClassifier\n)\x81t")
    )

    found = {str(each): each.use for each in loading.read_names(path)}

    assert found == {
        "numpy.log1p": Use.MENTIONED,
        "os.system": Use.CALLED,
        "sklearn.dummy.DummyClassifier": Use.INSTANTIATED,
    }


def test_it_says_what_a_file_would_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickled(called("os", "system", "ls")))

    refusal = loading.refused(loading.read_names(path))[0]

    assert (refusal.does, str(refusal.reference)) == ("run", "os.system")
    assert "Do not load it anywhere" in refusal.fix


@pytest.mark.parametrize(
    ("module", "fix"),
    [
        ("tests.pipelines", "MLSERVE_TRUSTED_MODULES=tests.pipelines"),
        ("not_here.at_all", "Install not_here where mlserve runs"),
        ("sklearn.utils._testing", "sklearn.utils._testing:Name"),
    ],
)
def test_it_says_how_to_have_a_name_trusted(tmp_path: Path, module: str, fix: str) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickled(text(module) + text("Name") + b"\x93"))

    assert fix in loading.refused(loading.read_names(path))[0].fix


class _Recording(PythonUnpickler):  # type: ignore[misc]
    """The parser that loads, which gives nothing that it is asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.asked: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.asked.add(rules.renamed(self.proto, module, name))
        raise LookupError


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(value=PLAIN, protocol=st.sampled_from(range(2, 6)))
@settings(deadline=None, max_examples=50)
def test_it_finds_no_names_in_plain_values(value: Any, protocol: int) -> None:
    names = pickle_scan.read(io.BytesIO(pickle.dumps(value, protocol))).names

    assert {str(name) for name in names} <= {"_codecs.encode", "builtins.bytes"}


@pytest.fixture(scope="module")
def saved() -> list[bytes]:
    pipeline = pipelines.mixed_classifier()
    file = io.BytesIO()
    joblib.dump(pipeline, file)
    return [file.getvalue(), *(pickle.dumps(pipeline, protocol) for protocol in (2, 4, 5))]


@given(data=st.data())
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_survives_damage_and_overlooks_no_name(saved: list[bytes], data: st.DataObject) -> None:
    """Whatever byte is turned: an error of ours, or every name that the loading parser asks for first."""
    content = bytearray(data.draw(st.sampled_from(saved)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    recording = _Recording(bytes(content))

    try:
        names = {(each.module, each.name) for each in pickle_scan.read(io.BytesIO(bytes(content))).names}
    except CannotLoad:
        return
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever damage leads to
        recording.load()
    assert recording.asked <= names


def test_it_refuses_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(1) + b"\n")

    with pytest.raises(Refused, match="follows the end"):
        loading.read_names(path)


@pytest.mark.parametrize("name", ["sys", "joblib.load", "joblib", "LinearRegression", "runpy.run_path", "Path"])
def test_it_takes_from_a_trusted_module_only_what_it_defines(tmp_path: Path, name: str) -> None:
    """Trust in a module is no trust in what it imports."""
    path = tmp_path / "model.pickle"
    path.write_bytes(pickled(text("tests.pipelines") + text(name) + b"\x93"))

    with pytest.raises(Refused, match="is not defined in tests"):
        loading.load(path, trusted=["tests.pipelines"])
