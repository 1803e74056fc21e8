"""Throttles: how often one token, one person or one address may ask, over all processes and hosts.

1. who asks: a token, else whoever is signed in, else a network address    2. their share in this process
3. none left: take another one (`mlserve/access/rate_counts.py`)    4. none to be had: 429 until the window ends

Runs after authentication and before anything is parsed. Most requests touch a dictionary only. Where the counts cannot
be reached, a process allows the whole rate by itself until the window ends: a limit is not worth an outage.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from mlserve.access import rate_counts
from mlserve.conf.rates import Rate, Share
from mlserve.errors import TooManyRequests
from mlserve.http.addresses import client_network
from mlserve.http.problems import problem_response
from mlserve.permissions import token_id_of

log = logging.getLogger(__name__)

# A wrong password costs a quarter of a second of a processor.
FAILURE_COST = 10
# Callers that a process remembers; who is forgotten takes another share.
_MOST_CALLERS = 10_000
_API_PREFIXES = ("/api/", "/v2")

_shares: OrderedDict[str, Share] = OrderedDict()
_lock = threading.Lock()


def wait_seconds(caller: str, rate: Rate, cost: int = 1, *, clock: Callable[[], float] = time.time) -> int:
    """0 when `caller` may go on, which is counted, else after how many whole seconds to ask again.

    A cost of 0 only looks; what cannot be paid in full is paid as far as it goes.
    """
    now = clock()
    with _lock:
        share = _share_of(caller, rate, now)
        if share.spend(cost) and (cost or not share.is_used_up):
            return 0
        # Below the lowest cost of all there is nothing to be had before the window ends.
        asked = 0 if share.is_used_up else share.wanted(cost)
    if asked:
        taken = _taken(caller, rate, asked, now, share)
        with _lock:
            share.receive(asked, taken)
            if share.spend(cost):
                return 0
            share.left = 0
    return max(1, math.ceil(rate.ends_at(now) - now))


def count_failure(request: HttpRequest | None = None, **_: Any) -> None:
    """Django's signal `user_login_failed`: wherever a password was tried, its hash was paid for here.

    Raises nothing, for somebody else answers; the next request is refused.
    """
    rate = settings.MLSERVE_RATE_ADDRESS
    if request is not None and rate is not None:
        wait_seconds(_address(request), rate, FAILURE_COST)


def require_calm(request: Any, *, cost: int = 0) -> None:
    """Count `cost` against a stranger's address; 0 only looks. Raises Throttled when it has used its rate up."""
    rate = settings.MLSERVE_RATE_ADDRESS
    if rate is not None and (seconds := wait_seconds(_address(request), rate, cost)):
        raise Throttled(wait=seconds)


def forget_all() -> None:
    """Drop what this process holds of all windows."""
    with _lock:
        _shares.clear()


class CallerRate(BaseThrottle):
    """DRF's throttle of every view of the API."""

    _seconds = 0

    def allow_request(self, request: Request, view: Any) -> bool:
        self._seconds = _seconds_for(request.user, request)
        return not self._seconds

    def wait(self) -> float:
        return float(self._seconds)


class FormThrottleMiddleware:
    """The same for whatever a page sends, before its body is read. The API has its own (`CallerRate`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and not request.path_info.startswith(_API_PREFIXES):
            is_limited = settings.MLSERVE_RATE_TOKEN is not None or settings.MLSERVE_RATE_ADDRESS is not None
            if is_limited and (seconds := _seconds_for(request.user, request)):
                return problem_response(request, TooManyRequests(_sentence(seconds), retry_after_seconds=seconds))
        return self._get_response(request)


def _seconds_for(user: Any, request: Any) -> int:
    if user.is_authenticated:
        rate: Rate | None = settings.MLSERVE_RATE_TOKEN
        return 0 if rate is None else wait_seconds(_account(user), rate)
    rate = settings.MLSERVE_RATE_ADDRESS
    return 0 if rate is None else wait_seconds(_address(request), rate)


def _account(user: Any) -> str:
    token_id = token_id_of(user)
    return f"user:{user.pk}" if token_id is None else f"token:{token_id}"


def _address(request: Any) -> str:
    """All whose address nobody knows share one."""
    return f"address:{client_network(request) or 'unknown'}"


def _sentence(seconds: int) -> str:
    unit = "second" if seconds == 1 else "seconds"
    return f"You have sent more requests than this server takes from one caller. Try again in {seconds} {unit}."


def _share_of(caller: str, rate: Rate, now: float) -> Share:
    """Under the lock."""
    share = _shares.get(caller)
    if share is None or share.window != rate.window(now) or share.rate != rate:
        share = _shares[caller] = Share(rate, rate.window(now))
    _shares.move_to_end(caller)
    while len(_shares) > _MOST_CALLERS:
        _shares.popitem(last=False)
    return share


def _taken(caller: str, rate: Rate, asked: int, now: float, share: Share) -> int:
    try:
        return rate_counts.add(f"{caller}:{share.window}", asked, ends_at=rate.ends_at(now))
    except rate_counts.CountUnavailable as error:
        log.warning("Requests are counted by this process alone until the window ends: %s", error)
        with _lock:
            share.left += max(0, rate.limit - share.taken - asked)
        return rate.limit
