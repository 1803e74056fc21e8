"""Which parts of the sandbox hold here."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from registry.sandbox import landlock, measurement, seccomp
from registry.sandbox.sandbox import FILES, LIMITS, PARTS, SYSTEM_CALLS
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def _not_remembered() -> Iterator[None]:
    measurement.parts_in_force.cache_clear()
    yield
    measurement.parts_in_force.cache_clear()


def test_it_finds_what_this_system_has() -> None:
    has = {LIMITS: True, SYSTEM_CALLS: seccomp.is_possible(), FILES: landlock.version() > 0}

    assert measurement.parts_in_force() == tuple(part for part in PARTS if has[part])


def test_it_measures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measurement.parts_in_force()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    assert measurement.parts_in_force() == found


def test_it_promises_nothing_when_it_cannot_measure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    assert measurement.parts_in_force() == ()
    assert measurement.missing_parts() == PARTS
    assert "could not be measured" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have limits only; run the suite on Linux")
@pytest.mark.parametrize(("name", "part"), [("refuse_files", FILES), ("refuse_system_calls", SYSTEM_CALLS)])
def test_it_believes_what_it_tried_and_not_what_was_claimed(name: str, part: str) -> None:
    """As if a kernel took the rules and did not obey them."""
    code = f"""
from registry.sandbox import measurement, sandbox
sandbox.{name} = lambda *_, **__: True
print(list(measurement._measured()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert part not in done.stdout
    assert LIMITS in done.stdout
