"""What the processes of one run share: a folder, in which each thing is made once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the processes of pytest-xdist share; each has one of its own in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Among all threads and processes that make the file at `path`."""
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
