"""Throttles: how often one token, one person or one address may send requests, over all processes and hosts.

1. the caller: a token, else the user who is signed in, else a network address    2. its share in this process
3. if that is used up, take another share (`mlserve/access/rate_counts.py`)    4. if there is none, 429 until the
window ends

Runs after authentication and before anything is parsed. Most requests touch a dictionary only. While the database does
not take a count, a process grants the rest of the rate by itself until the window ends: reading still works during a
failover to a read-only database, and a limit is not worth refusing that.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from mlserve.access import rate_counts
from mlserve.conf.rates import Rate, Share
from mlserve.http.addresses import client_network
from mlserve.http.problems import problem_response
from mlserve.permissions import token_id_of

log = logging.getLogger(__name__)

# A wrong password costs a quarter of a second of a processor.
FAILURE_COST = 10
# Callers that a process remembers; one that it forgets takes another share at its next request.
_MOST_CALLERS = 10_000

_shares: OrderedDict[str, Share] = OrderedDict()
_lock = threading.Lock()


def wait_seconds(caller: str, rate: Rate | None, cost: int = 1, *, clock: Callable[[], float] = time.time) -> int:
    """Count `cost` requests of `caller`: 0 when they are granted, else the whole seconds until the window ends.

    A cost of 0 counts nothing and tells whether the rate is used up. A cost above what is left uses up the rest.
    """
    if rate is None:
        return 0
    now = clock()
    with _lock:
        share = _share_of(caller, rate, now)
        if share.spend(cost) and (cost or not share.is_used_up):
            return 0
        asked = 0 if share.is_used_up else share.wanted(cost)
    if asked:
        taken = _take(f"{caller}:{share.window}", asked, ends_at=rate.ends_at(now))
        with _lock:
            share.receive(asked, taken)
            if share.spend(cost):
                return 0
            share.left = 0
    return max(1, math.ceil(rate.ends_at(now) - now))


def count_failure(request: HttpRequest | None = None, **_: Any) -> None:
    """Receives Django's signal `user_login_failed`, because hashing the wrong password was work.

    Raises nothing, because the sign-in view answers this request; the next one is refused.
    """
    if request is not None:
        wait_seconds(_address(request), settings.MLSERVE_RATE_ADDRESS, FAILURE_COST)


def require_calm(request: Any, *, cost: int = 0) -> None:
    """Count `cost` against the address of an anonymous request. Raises Throttled when its rate is used up."""
    if seconds := wait_seconds(_address(request), settings.MLSERVE_RATE_ADDRESS, cost):
        raise Throttled(wait=seconds)


def forget_all() -> None:
    """Drop all shares of this process."""
    with _lock:
        _shares.clear()


class CallerRate(BaseThrottle):
    """DRF's throttle of every view of the API."""

    _seconds = 0

    def allow_request(self, request: Request, view: Any) -> bool:
        self._seconds = _seconds_for(request)
        return not self._seconds

    def wait(self) -> float:
        return float(self._seconds)


class FormThrottleMiddleware:
    """The same for forms that a page sends, before the body is read. The API has its own throttle (`CallerRate`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_form = request.method == "POST" and not request.path_info.startswith(settings.MLSERVE_API_PREFIX)
        if is_form and (seconds := _seconds_for(request)):
            return problem_response(request, Throttled(wait=seconds))
        return self._get_response(request)


def _seconds_for(request: Any) -> int:
    user = request.user
    if user.is_authenticated:
        token_id = token_id_of(user)
        account = f"user:{user.pk}" if token_id is None else f"token:{token_id}"
        return wait_seconds(account, settings.MLSERVE_RATE_TOKEN)
    return wait_seconds(_address(request), settings.MLSERVE_RATE_ADDRESS)


def _address(request: Any) -> str:
    """All callers whose address is unknown share one."""
    return f"address:{client_network(request) or 'unknown'}"


def _share_of(caller: str, rate: Rate, now: float) -> Share:
    """The caller holds the lock."""
    share = _shares.get(caller)
    if share is None or share.window != rate.window(now) or share.rate != rate:
        share = _shares[caller] = Share(rate, rate.window(now))
    _shares.move_to_end(caller)
    while len(_shares) > _MOST_CALLERS:
        _shares.popitem(last=False)
    return share


def _take(name: str, asked: int, *, ends_at: float) -> int | None:
    """The count of all processes with the `asked` ones; None when the database did not take them."""
    try:
        return rate_counts.add(name, asked, ends_at=ends_at)
    except AnyDatabaseError as error:
        log.warning("Requests are counted by this process alone until the window ends: %s", error)
        return None
