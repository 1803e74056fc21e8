"""How often somebody may ask: rates, and a caller's part of one window that a process takes in advance.

Pure. A window is a piece of time of fixed length, numbered from 1970. A process does not count each request where all
processes can see it: it takes a share of what the window has left and hands that out by itself, so that most requests
ask nobody. Shares get smaller as the window fills; together they never exceed the limit. What a process took and did
not need is lost until the window ends, so that a caller who meets several processes can be refused a little early.
"""

import math
import re
from dataclasses import dataclass

_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"\s*(\d[\d_]*)\s*/\s*([a-z]+)\s*", re.ASCII)
# Of what is left in a window: small enough for some processes, large enough to be rarely asked for.
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
    """What one process holds of one caller's window; `taken` is what all processes had taken when it last asked."""

    rate: Rate
    window: int
    left: int = 0
    taken: int = 0

    @property
    def is_used_up(self) -> bool:
        return self.left <= 0 and self.taken >= self.rate.limit

    def wanted(self, cost: int) -> int:
        """How much to take next, at least what the request at hand still needs."""
        part = math.ceil((self.rate.limit - self.taken) / _SHARE)
        return max(cost - self.left, part)

    def receive(self, asked: int, taken: int) -> None:
        """`taken` is the count of all processes with the `asked` ones, of which those above the limit are void."""
        before = taken - asked
        self.left += max(0, min(asked, self.rate.limit - before))
        self.taken = taken

    def spend(self, cost: int) -> bool:
        """Whether `cost` could be paid; if not, nothing was."""
        if self.left < cost:
            return False
        self.left -= cost
        return True
