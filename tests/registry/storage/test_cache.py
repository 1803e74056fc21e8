"""Fetched artifacts on this machine's disk: each once, within a bound, even if processes are killed meanwhile."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlserve.errors import ArtifactUnavailable, Unavailable
from registry.storage.cache import ArtifactCache, CheckedFile, Source
from registry.storage.digest import Digest
from tests.meanwhile import at_once
from tests.paths import ROOT
from tests.waiting import wait_until

KIB = 1024


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    """Of ten kibibytes."""
    return ArtifactCache(tmp_path / "cache", 10 * KIB, patience_seconds=30)


def content(name: str, size: int = 4 * KIB) -> bytes:
    return name.encode() * (size // len(name))


def digest(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


def giving(*chunks: bytes) -> Source:
    def source(file: CheckedFile) -> None:
        for chunk in chunks:
            file.write(chunk)

    return source


def not_asked(_file: CheckedFile) -> None:
    raise AssertionError("It was fetched again.")


def use(cache: ArtifactCache, data: bytes) -> None:
    with cache.copy_of(digest(data), giving(data[:100], data[100:])) as path:
        assert path.read_bytes() == data
    time.sleep(0.01)  # file systems count time in steps


def kept(cache: ArtifactCache) -> set[str]:
    """The first letter of each complete artifact."""
    return {path.read_text()[:1] for path in cache.root.glob("sha256/*/*")}


def test_it_gives_what_it_has_without_fetching(cache: ArtifactCache) -> None:
    use(cache, content("a"))

    with cache.copy_of(digest(content("a")), not_asked) as path:
        assert path.read_bytes() == content("a")


def test_it_evicts_the_least_recently_used(cache: ArtifactCache) -> None:
    for name in ("a", "b", "a", "c"):
        use(cache, content(name))

    assert kept(cache) == {"a", "c"}


def test_it_makes_no_more_room_than_necessary(cache: ArtifactCache) -> None:
    for name in ("a", "b", "c"):
        use(cache, content(name, 3 * KIB))
    use(cache, content("d", 1 * KIB))

    assert kept(cache) == {"a", "b", "c", "d"}


def test_it_fits_exactly(cache: ArtifactCache) -> None:
    use(cache, content("a", 10 * KIB))
    use(cache, content("b", 10 * KIB))

    assert kept(cache) == {"b"}


def test_it_refuses_what_can_never_fit(cache: ArtifactCache) -> None:
    use(cache, content("a"))
    large = content("b", 10 * KIB + 1)

    with pytest.raises(ArtifactUnavailable, match="Raise MLSERVE_CACHE_BYTES"), cache.copy_of(digest(large), not_asked):
        pass

    assert kept(cache) == {"a"}


@pytest.mark.parametrize("was_there", [False, True])
def test_it_deletes_nothing_that_is_in_use(cache: ArtifactCache, was_there: bool) -> None:
    if was_there:
        use(cache, content("a"))
    with cache.copy_of(digest(content("a")), not_asked if was_there else giving(content("a"))) as path:
        for name in ("b", "c", "d"):
            use(cache, content(name))

        assert path.read_bytes() == content("a")
        assert kept(cache) == {"a", "d"}


def test_it_waits_for_room_until_what_is_in_use_is_not(cache: ArtifactCache) -> None:
    used, large = threading.Event(), content("b", 9 * KIB)

    def use_for_a_while() -> None:
        with cache.copy_of(digest(content("a")), giving(content("a"))):
            used.set()
            time.sleep(0.3)

    thread = threading.Thread(target=use_for_a_while)
    thread.start()
    used.wait(10)
    use(cache, large)
    thread.join(10)

    assert kept(cache) == {"b"}


def test_it_says_when_what_is_in_use_leaves_no_room(cache: ArtifactCache) -> None:
    impatient = dataclasses.replace(cache, patience_seconds=0.2)
    with (
        cache.copy_of(digest(content("a")), giving(content("a"))),
        pytest.raises(Unavailable, match=r"Artifacts in use leave no room.*MLSERVE_CACHE_BYTES"),
    ):
        use(impatient, content("b", 9 * KIB))

    use(cache, content("b", 9 * KIB))


def test_it_counts_what_is_being_fetched(cache: ArtifactCache) -> None:
    """Two that fit alone, but not together, never lie on the disk together."""
    largest = 0

    def slowly(data: bytes, file: CheckedFile) -> None:
        nonlocal largest
        for start in range(0, len(data), KIB):
            file.write(data[start : start + KIB])
            time.sleep(0.01)
            largest = max(largest, sum(path.stat().st_size for path in cache.root.rglob("*") if path.is_file()))

    def fetch(name: str) -> None:
        data = content(name, 6 * KIB)
        with cache.copy_of(digest(data), lambda file: slowly(data, file)) as path:
            assert path.read_bytes() == data

    at_once(lambda: fetch("a"), lambda: fetch("b"))

    assert largest == 6 * KIB


@pytest.mark.parametrize("wrong", [b"x" * 4 * KIB, content("a")[:-1], content("a") + b"x", b""], ids=len)
def test_it_refuses_other_bytes_than_asked_for(cache: ArtifactCache, wrong: bytes) -> None:
    copy = cache.copy_of(digest(content("a")), giving(wrong))

    with pytest.raises(ArtifactUnavailable, match="changed or damaged"), copy:
        pass

    assert [path for path in cache.root.rglob("*") if path.is_file()] == [cache.root / "lock"]


def test_it_does_not_read_on_when_there_is_too_much(cache: ArtifactCache) -> None:
    def endless(file: CheckedFile) -> None:
        for count in range(1000):
            assert count < 10
            file.write(b"x" * KIB)

    with pytest.raises(ArtifactUnavailable), cache.copy_of(digest(content("a")), endless):
        pass


@pytest.mark.parametrize("damage", [b"", b"x" * 4 * KIB, content("a") + b"x"], ids=len)
def test_it_fetches_again_what_was_changed_here(cache: ArtifactCache, damage: bytes) -> None:
    use(cache, content("a"))
    (cache.root / digest(content("a")).key).write_bytes(damage)

    use(cache, content("a"))


def test_it_leaves_nothing_when_fetching_fails(cache: ArtifactCache) -> None:
    def breaks(file: CheckedFile) -> None:
        file.write(b"half")
        raise Unavailable("The connection broke.")

    with pytest.raises(Unavailable, match="broke"), cache.copy_of(digest(content("a")), breaks):
        pass

    assert [path for path in cache.root.rglob("*") if path.is_file()] == [cache.root / "lock"]
    use(cache, content("a"))


def test_it_says_which_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = ArtifactCache(tmp_path / "cache", 10 * KIB)

    with pytest.raises(Unavailable, match=r"cannot be kept in .*cache \(MLSERVE_CACHE_DIR\): "):
        use(cache, content("a"))


# --- Between processes --------------------------------------------------------------------------------------------

_FETCH = """
import hashlib, os, resource, signal, sys, time
from pathlib import Path
from mlserve.errors import MlserveError
from registry.storage.cache import ArtifactCache
from registry.storage.digest import Digest

root, what, data = Path(sys.argv[1]), sys.argv[2], sys.argv[3].encode() * 4096

def source(copy):
    with (root.parent / "fetches").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    copy.write(data[:2048])
    time.sleep(600 if what == "hang" else 0.5)
    copy.write(data[2048:])

if what == "small disk":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
digest = Digest(hashlib.sha256(data).hexdigest(), len(data))
try:
    with ArtifactCache(root, 10 * 1024).copy_of(digest, source) as path:
        assert path.read_bytes() == data
        print("has it", flush=True)
        if what == "keep":
            time.sleep(600)
except MlserveError as error:
    print(error.detail)
"""


@pytest.fixture
def other_process(cache: ArtifactCache) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """`other_process("fetch", "a")` uses the artifact `a` in a process of its own; `hang`, `keep` and `small disk`."""
    started = []

    def start(what: str, name: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", _FETCH, str(cache.root), what, name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "mlserve.settings"}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def fetches(cache: ArtifactCache) -> list[str]:
    try:
        return (cache.root.parent / "fetches").read_text().splitlines()
    except FileNotFoundError:
        return []


def test_it_fetches_once_for_all_processes(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    processes = [other_process("fetch", "a") for _ in range(3)]

    assert [process.communicate(timeout=60)[0] for process in processes] == ["has it\n"] * 3
    assert len(fetches(cache)) == 1


def test_it_takes_over_from_a_killed_process(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killed = other_process("hang", "a")
    wait_until(lambda: fetches(cache))
    waiting = other_process("fetch", "a")
    time.sleep(0.3)

    killed.send_signal(signal.SIGKILL)

    assert waiting.communicate(timeout=60)[0] == "has it\n"
    assert len(fetches(cache)) == 2
    assert list((cache.root / "incoming").iterdir()) == []


def test_it_does_not_count_what_a_killed_process_left(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killed = other_process("hang", "a")
    wait_until(lambda: fetches(cache))
    killed.kill()
    killed.wait(10)

    use(cache, content("b", 10 * KIB))

    assert list((cache.root / "incoming").iterdir()) == []


def test_it_deletes_nothing_that_another_process_uses(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    using = other_process("keep", "a")
    assert using.stdout is not None
    assert using.stdout.readline() == "has it\n"
    for name in ("b", "c"):
        use(cache, content(name))
    assert kept(cache) == {"a", "c"}

    using.kill()
    using.wait(10)
    use(cache, content("d", 9 * KIB))

    assert kept(cache) == {"d"}


def test_it_says_when_others_fetch_for_ever(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    other_process("hang", "a")
    wait_until(lambda: fetches(cache))

    with pytest.raises(Unavailable, match="Another process has been fetching"):
        use(dataclasses.replace(cache, patience_seconds=0.2), content("a"))


def test_it_leaves_nothing_half_written_on_a_full_disk(
    cache: ArtifactCache, other_process: Callable[..., "subprocess.Popen[str]"]
) -> None:
    said = other_process("small disk", "a").communicate(timeout=60)[0]

    assert f"cannot be kept in {cache.root} (MLSERVE_CACHE_DIR): File too large" in said
    assert [path for path in cache.root.rglob("*") if path.is_file()] == [cache.root / "lock"]
