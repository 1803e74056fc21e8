"""A client of another server's API: one address, one account, no database.

The account goes to that address's own origin and nowhere else: redirects are not followed at all, and an address for a
part at another origin (a pre-signed one of a storage) gets the bytes without it.
"""

import itertools
import json
import random
import re
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, SSLError

from mlserve.errors import MlserveError, RemoteRefusal, Unavailable
from registry.client.address import Address, host_of, is_of_origin, storage_address
from registry.inspection.version_request import Fields

# Of one attempt: until there is a connection, or a piece of a body is taken; then until there is an answer.
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_ATTEMPTS = 5
# Bodies are read and sent in pieces of this size: large enough to cost little, small enough to show progress.
_BLOCK_BYTES = 2**17
_LONGEST_PAUSE_SECONDS = 15.0
# Answers that say nothing about the request: the same one may succeed a moment later.
_PASSING = frozenset({408, 429, 502, 503, 504})
# A storage refuses an address that expired, and a body that came too slowly, which a new address mends; and its inner
# errors pass.
_PASSING_OF_STORAGE = _PASSING | {400, 403, 500}
# Reports are some kilobytes.
_MOST_ANSWERED_BYTES = 16 * 2**20
_MOST_LISTED = 5


def pause_before(attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, up to 15, a random half of it, so that many do not meet."""
    longest = min(_LONGEST_PAUSE_SECONDS, 0.25 * 2.0**attempt)
    return longest * (1 + random.random()) / 2  # noqa: S311 - not a secret


class RemoteServer:
    """Every method raises RemoteRefusal with the server's own words, or Unavailable after some attempts."""

    def __init__(self, address: Address, *, authorization: str, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = address.root
        self._origin = address.origin
        self._account = {"Authorization": authorization}
        self.is_asked_by_token = authorization.startswith("Bearer ")
        self._pause = pause
        self._pool = _pool(address)
        self._storage_pool: urllib3.PoolManager | None = None

    def get(self, *path: str) -> dict[str, Any]:
        return self._asked("GET", path)

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._asked("POST", path, body=json.dumps(body), headers={"Content-Type": "application/json"})

    def post_form(self, *path: str, fields: Fields) -> dict[str, Any]:
        """multipart/form-data; a field is a text, or a file's name and content."""
        body, kind = urllib3.encode_multipart_formdata(list(fields))
        return self._asked("POST", path, body=body, headers={"Content-Type": kind})

    def put(self, url: str, body: IO[bytes], *, size_bytes: int) -> None:
        """One attempt to send a part to the address that the server gave for it.

        Raises Unavailable where another attempt, at a new address, may succeed, and RemoteRefusal where none can.
        """
        is_own = is_of_origin(url, self._origin)
        headers = {"Content-Length": str(size_bytes)}
        if is_own:
            headers |= {**self._account, "Content-Type": "application/octet-stream"}
        try:
            response = self._pool_for(url, is_own=is_own).urlopen(
                "PUT", url, body=body, headers=headers, retries=False, redirect=False, timeout=_TIMEOUT
            )
        except (HTTPError, OSError) as error:
            sentence = f"{host_of(url)} did not take a part: {_reason(error)}."
            raise Unavailable(sentence, retry_after_seconds=0) from error
        if response.status >= 300:
            refusal = self._refusal(response.status, response.headers, response.data, url=url)
            if response.status in (_PASSING if is_own else _PASSING_OF_STORAGE):
                raise Unavailable(refusal.detail, retry_after_seconds=refusal.retry_after_seconds or 0) from refusal
            raise refusal

    def close(self) -> None:
        for pool in filter(None, (self._pool, self._storage_pool)):
            pool.clear()

    def _asked(self, method: str, path: Sequence[str], **request: Any) -> dict[str, Any]:
        url = "/".join([self.url, "api", *(quote(part, safe="") for part in path)])
        for attempt in itertools.count(1):
            try:
                return self._once(method, url, **request)
            except Unavailable as error:
                if attempt == _ATTEMPTS:
                    raise
                self._pause(min(error.retry_after_seconds or pause_before(attempt), _LONGEST_PAUSE_SECONDS))
        raise AssertionError  # count() has no end

    def _once(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        headers = {**self._account, "Accept": "application/json", **request.pop("headers", {})}
        try:
            response = self._pool.request(
                method, url, headers=headers, retries=False, redirect=False, timeout=_TIMEOUT, preload_content=False,
                **request,
            )  # fmt: skip
            data = response.read(_MOST_ANSWERED_BYTES)
            response.release_conn()
        except SSLError as error:
            raise RemoteRefusal(f"{host_of(url)} cannot be trusted: {_reason(error)}.") from error
        except (HTTPError, OSError) as error:
            raise Unavailable(
                f"{self.url} does not answer: {_reason(error)}. Check the address, then try again.",
                retry_after_seconds=0,
            ) from error
        if response.status >= 300:
            raise self._refusal(response.status, response.headers, data, url=url)
        return _object(data, url)

    def _refusal(self, status: int, headers: Mapping[str, str], data: bytes, *, url: str) -> MlserveError:
        if status < 400:
            target = headers.get("Location", "another address")
            return RemoteRefusal(f"{host_of(url)} redirects to {target}. Give the address that it leads to.")
        said = _said(data) or f"{host_of(url)} answered {status}."
        if status == 401:
            said = f"{host_of(url)} does not accept the account in MLSERVE_TOKEN. {said}"
        if status in _PASSING:
            seconds = headers.get("Retry-After", "0")
            return Unavailable(said, retry_after_seconds=int(seconds) if seconds.isdecimal() else 0)
        return RemoteRefusal(said, answered=status)

    def _pool_for(self, url: str, *, is_own: bool) -> urllib3.PoolManager:
        if is_own:
            return self._pool
        if self._storage_pool is None:
            self._storage_pool = _pool(storage_address(url))
        return self._storage_pool


def _pool(address: Address) -> urllib3.PoolManager:
    """Connections as the environment wants them: HTTPS_PROXY and its kin, unless NO_PROXY names the host."""
    scheme, host, _ = address.origin
    proxy = urllib.request.getproxies().get(scheme)
    if proxy and not address.is_loopback and not urllib.request.proxy_bypass(host):
        return urllib3.ProxyManager(proxy, maxsize=8, blocksize=_BLOCK_BYTES)
    return urllib3.PoolManager(maxsize=8, blocksize=_BLOCK_BYTES)


def _reason(error: Exception) -> str:
    """Without the object and the address that urllib3 puts before it."""
    if isinstance(error, LocationValueError):
        return "this is no address"
    text = str(error.args[-1] if error.args else error)
    return re.sub(r"^.*?(object at 0x\w+>: |\): )", "", text).strip().rstrip(".") or type(error).__name__


def _said(data: bytes) -> str:
    """The sentences of a problem (RFC 9457); '' when the body is none."""
    try:
        problem = json.loads(data)
    except ValueError:
        return ""
    if not isinstance(problem, dict):
        return ""
    errors = [each for each in problem.get("errors") or () if isinstance(each, dict)][:_MOST_LISTED]
    listed = " ".join(f"{each.get('pointer', '')}: {each.get('detail', '')}" for each in errors)
    return f"{problem.get('detail') or problem.get('title') or ''} {listed}".strip()


def _object(data: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RemoteRefusal(f"{host_of(url)} answered something else than the API of mlserve does. Check the address.")
    return found
