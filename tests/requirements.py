"""Programs that some tests drive: without one a test is skipped, or fails in CI."""

import os
import shutil

import pytest


def everything_is_required() -> bool:
    """Whether a missing program is a failure, as in CI, where a skip would go unseen."""
    return os.environ.get("MLSERVE_REQUIRE_ALL", "0") not in {"", "0"}


def require_program(name: str, how_to_get: str, *, also_called: tuple[str, ...] = ()) -> str:
    """The path of the program, under the first of its names that is on PATH.

    Ends the calling test when there is none: skipped with `how_to_get` in the reason, failed under
    `MLSERVE_REQUIRE_ALL=1`. For a whole module, call it in an autouse fixture, not at import.
    """
    for candidate in (name, *also_called):
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is not installed: {how_to_get}"
    if everything_is_required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
