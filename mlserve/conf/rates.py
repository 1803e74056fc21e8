"""Rates, and the share of a caller's rate that one process takes in advance.

Pure. Time is divided into windows of a fixed length, numbered from 1970. A process does not count each request where
all processes can see it: it takes a share of what is left of the window and grants requests from it, so that most
requests need no statement. Shares get smaller as the window fills; together they never exceed the limit. A share that
was taken and not used is lost until the window ends, so a caller that reaches several processes can be refused early.
"""

import math
import re
from dataclasses import dataclass

_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"\s*(\d[\d_]*)\s*/\s*([a-z]+)\s*", re.ASCII)
# The part of what is left that one process takes: small enough to leave some for other processes, large enough that
# the database is rarely asked.
_SHARE = 16


@dataclass(frozen=True)
class Rate:
    limit: int
    seconds: int

    def window(self, now: float) -> int:
        """The number of the window at `now` (seconds since 1970)."""
        return int(now // self.seconds)

    def ends_at(self, now: float) -> float:
        return float((self.window(now) + 1) * self.seconds)


def rate_of(text: str) -> Rate | None:
    """`600/min` as a Rate, "" as None: no limit. Raises ValueError for anything else."""
    if not text.strip():
        return None
    match = _RATE.fullmatch(text.lower())
    if match is None or match[2] not in _UNITS or int(match[1]) < 1:
        raise ValueError(text)
    return Rate(int(match[1]), _UNITS[match[2]])


@dataclass
class Share:
    """One caller's window in one process: `left` to grant here, and `taken` by all processes as far as is known."""

    rate: Rate
    window: int
    left: int = 0
    taken: int = 0

    @property
    def is_used_up(self) -> bool:
        return self.left <= 0 and self.taken >= self.rate.limit

    def wanted(self, cost: int) -> int:
        """How much to take next, at least what this request still needs."""
        part = math.ceil((self.rate.limit - self.taken) / _SHARE)
        return max(cost - self.left, part)

    def receive(self, asked: int, taken: int | None) -> None:
        """`taken` is the count of all processes with the `asked` ones, of which those above the limit are void.

        None when it is unknown: then this process takes all that it knows to be left.
        """
        before = self.taken if taken is None else taken - asked
        left = max(0, self.rate.limit - before)
        self.left += left if taken is None else min(asked, left)
        self.taken = self.rate.limit if taken is None else taken

    def spend(self, cost: int) -> bool:
        """Whether `cost` could be paid; if not, nothing was."""
        if self.left < cost:
            return False
        self.left -= cost
        return True
