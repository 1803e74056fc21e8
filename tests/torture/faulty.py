"""What a step of a faulty model does to the process that predicts, whenever a row has a negative `x`; and a slow step.

The models are pickled by these names, so a service that loads them must trust this module (MLSERVE_TRUSTED_MODULES).
"""

import ctypes
import os
import sys
import time
from itertools import repeat

import pandas as pd

_LEAKED_BYTES = 32 * 2**20
_leaked: list[bytearray] = []
_SLOW_SECONDS = 0.1


def _is_told_to(frame: pd.DataFrame) -> bool:
    return bool((frame["x"] < 0).any())


def takes_time(frame: pd.DataFrame) -> pd.DataFrame:
    """So that a process is often in the middle of something when a fault is injected."""
    time.sleep(_SLOW_SECONDS)
    return frame


def raises(frame: pd.DataFrame) -> pd.DataFrame:
    if _is_told_to(frame):
        raise ValueError("told to raise")
    return frame


def hangs(frame: pd.DataFrame) -> pd.DataFrame:
    if _is_told_to(frame):
        time.sleep(3600)
    return frame


def leaks(frame: pd.DataFrame) -> pd.DataFrame:
    """Answers rightly, and keeps memory that it has written to."""
    if _is_told_to(frame):
        _leaked.append(bytearray(b"\x01") * _LEAKED_BYTES)
    return frame


def exits(frame: pd.DataFrame) -> pd.DataFrame:
    """Without a word to Python."""
    if _is_told_to(frame):
        os._exit(3)
    return frame


def quits(frame: pd.DataFrame) -> pd.DataFrame:
    if _is_told_to(frame):
        sys.exit("told to quit")
    return frame


def crashes(frame: pd.DataFrame) -> pd.DataFrame:
    """By a segmentation fault, as native code does."""
    if _is_told_to(frame):
        ctypes.string_at(0)
    return frame


def hogs(frame: pd.DataFrame) -> pd.DataFrame:
    """Never releases the interpreter: in C, without a look at signals."""
    if _is_told_to(frame):
        sum(repeat(0))
    return frame


def forks(frame: pd.DataFrame) -> pd.DataFrame:
    """Which the sandbox refuses; else there would be two that answer."""
    if _is_told_to(frame) and os.fork() == 0:
        time.sleep(3600)
    return frame
