"""The sandbox takes from a process what Lambda takes; otherwise the flows on Lambda would prove less than they say."""

import subprocess
from pathlib import Path

import pytest

from tests.requirements import everything_is_required
from tests.stand_ins.sandbox import namespaces, shut_in


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if not namespaces():
        reason = "this user may not make namespaces, so functions run outside of a sandbox: run the tests as root"
        pytest.fail(reason, pytrace=False) if everything_is_required() else pytest.skip(reason)


def inside(tmp_path: Path, script: str) -> str:
    """What a shell in the sandbox prints."""
    task, runtime = tmp_path / "task", tmp_path / "runtime"
    for folder in (task, runtime):
        folder.mkdir(parents=True)
        (folder / "there").write_text(folder.name)
    box = shut_in(["sh", "-c", script], task=task, runtime=runtime, tmp_mib=16)
    return subprocess.run(box.command, capture_output=True, text=True, timeout=60, check=False).stdout


def test_it_shows_the_package_and_the_runtime(tmp_path: Path) -> None:
    assert inside(tmp_path, "pwd; cat there; cat /var/runtime/there") == "/var/task\ntaskruntime"


@pytest.mark.parametrize("path", ["/new", "/var/task/new", "/var/runtime/new", "/var/new", "/dev/new"])
def test_it_lets_nothing_be_written(tmp_path: Path, path: str) -> None:
    assert inside(tmp_path, f"touch {path} 2>/dev/null || echo refused") == "refused\n"


def test_it_gives_a_small_folder_for_what_is_temporary(tmp_path: Path) -> None:
    script = "ls -A /tmp; head -c 1000 /dev/zero >/tmp/a && echo small; head -c 20000000 /dev/zero >/tmp/b || echo full"

    assert inside(tmp_path, f"exec 2>/dev/null; {script}") == "small\nfull\n"


def test_it_has_no_shared_memory_and_no_other_processes(tmp_path: Path) -> None:
    assert inside(tmp_path, "ls /dev/shm 2>/dev/null || echo none; ls -d /proc/[0-9]* | wc -l").split()[0] == "none"
    assert "/proc/1\n" in inside(tmp_path / "again", "ls -d /proc/1; cat /proc/1/comm")


def test_it_leaves_nothing_outside(tmp_path: Path) -> None:
    inside(tmp_path, "touch /tmp/only-inside-of-a-sandbox")

    assert not Path("/tmp/only-inside-of-a-sandbox").exists()
    assert not Path("/var/task").exists()
