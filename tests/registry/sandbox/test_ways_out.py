"""A model's code tries to reach something outside; what it reached is looked for from outside."""

import json
import os
import pwd
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from registry.sandbox import landlock, seccomp
from registry.sandbox.sandbox import FILES, LIMITS, SYSTEM_CALLS
from tests.paths import ROOT
from tests.registry.sandbox.ways_out import WAYS
from tests.requirements import everything_is_required

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have limits only; run the suite on Linux"),
    pytest.mark.skipif(
        not (seccomp.is_possible() and landlock.version()) and not everything_is_required(),
        reason="this kernel lacks a part of the sandbox: Linux 5.13 with seccomp and Landlock has all",
    ),
]

NAMESPACE = "namespace"
OTHERS = {
    "read_variables_of_a_stranger", "see_what_a_stranger_runs_in",
}  # fmt: skip
READING = {
    "copy_a_file_within_the_kernel", "list_a_folder", "map_the_database", "read_a_file_around_the_root", "read_a_key",
    "read_data_in_a_project", "read_the_configuration", "read_the_database", "read_the_machine_s_connections",
    "read_users", "see_what_the_parent_has_open",
}  # fmt: skip


def nobody() -> int:
    if os.getuid() != 0:
        pytest.skip("only root can become another user: run the suite as root")
    return pwd.getpwnam("nobody").pw_uid


@cache
def effects(user: int | None, *without: str, is_hidden: bool = True) -> dict[str, list[str]]:
    """Of all ways that had any, by name."""
    asked = json.dumps({"user": user, "without": without, "is_hidden": is_hidden})
    command = [sys.executable, "-m", "tests.registry.sandbox.service_and_models", asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.keys() == WAYS.keys()
    return {name: each["effects"] for name, each in found.items() if each["effects"]}


def test_it_lets_no_way_out() -> None:
    assert len(WAYS) > 30
    assert effects(None) == {}


def test_it_lets_another_user_s_process_no_way_out() -> None:
    assert effects(nobody(), is_hidden=False) == {}


def test_it_tries_ways_that_lead_out_without_a_sandbox() -> None:
    """Otherwise these tests would show nothing. The rest needs privileges, or a kernel with everything."""
    user = None if os.getuid() else nobody()

    assert len(effects(user, FILES, SYSTEM_CALLS, LIMITS, NAMESPACE, is_hidden=False)) > len(WAYS) * 2 / 3


@pytest.mark.long
@pytest.mark.parametrize("is_root", [True, False])
def test_it_keeps_from_all_but_reading_files_without_landlock(is_root: bool) -> None:
    user = None if is_root else nobody()

    assert effects(user, FILES).keys() <= READING


def test_it_keeps_from_a_hidden_process_without_landlock_and_namespaces() -> None:
    """`mlserve.processes.secret_memory.hide_memory` makes it so; other processes of the user can be looked into."""
    reached = effects(nobody(), FILES, NAMESPACE)

    assert reached.keys() <= READING | OTHERS
    assert "see_what_the_parent_has_open" not in reached


@pytest.mark.long
def test_it_would_read_the_memory_of_a_process_that_is_not_hidden() -> None:
    reached = effects(nobody(), FILES, NAMESPACE, is_hidden=False)

    assert "the secret" in reached["read_memory_as_a_file"]


@pytest.mark.long
@pytest.mark.parametrize("is_root", [True, False])
def test_it_keeps_from_what_is_in_files_and_memory_without_seccomp(is_root: bool) -> None:
    reached = effects(None if is_root else nobody(), SYSTEM_CALLS)

    assert not reached.keys() & (READING | OTHERS)
    assert not [name for name, seen in reached.items() if "the secret" in seen]
    assert not [name for name in reached if name.startswith(("write", "read", "kill", "start", "become_a_program"))]
