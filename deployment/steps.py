"""The common parts of a deploy's steps: their output on the terminal, and the one error that ends them."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from deployment.account import Absent
from deployment.findings import NotKnown, NotYet

T = TypeVar("T")


class DeploymentFailed(Exception):
    """One sentence for the deployer: what failed, and what to do. Everything can be repeated after it."""


def say(sentence: str) -> None:
    print(f"   {sentence}", flush=True)


@contextmanager
def step(number: int, of: int, title: str) -> Iterator[None]:
    """Prints the title; an answer of AWS that stops the step becomes its error."""
    print(f"{number}/{of} {title}", flush=True)
    try:
        yield
    except (NotKnown, NotYet, Absent) as error:
        raise DeploymentFailed(f"{title}: {error}") from error


def eventually(look: Callable[[], T | None], *, seconds: float, every_seconds: float = 2.0) -> T | None:
    """The first answer that is not None, or None when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        if (found := look()) is not None:
            return found
        if time.monotonic() >= deadline:
            return None
        time.sleep(every_seconds)


def confirmed(question: str, *, is_yes: bool) -> bool:
    """Whether the user confirms it. Raises DeploymentFailed without a terminal."""
    if is_yes:
        return True
    if not sys.stdin.isatty():
        raise DeploymentFailed("There is no terminal to confirm it: add --yes.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
