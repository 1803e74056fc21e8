"""A client of another server's API: one address, one account, no database, no terminal.

The account goes to that address's own origin and nowhere else: redirects are not followed at all, and an address for a
part at another origin (a pre-signed one of a storage) gets the bytes without it.
"""

import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from typing import IO, Any
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, SSLError

from mlserve.errors import MlserveError, RemoteRefusal, Unavailable
from registry.client.address import Address, host_of, is_loopback, origin_of
from registry.inspection.version_request import Fields

# Of one attempt: until there is a connection, or a piece of a body is taken; then until there is an answer.
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
# Bodies are read and sent in pieces of this size: large enough to cost little, small enough to show progress.
_BLOCK_BYTES = 2**17
LONGEST_PAUSE_SECONDS = 15
# Answers that say nothing about the request: the same one may succeed a moment later.
_PASSING = frozenset({408, 429, 502, 503, 504})
# A storage refuses an address that expired, and a body that came too slowly, which a new address mends; and its inner
# errors pass.
_PASSING_OF_STORAGE = _PASSING | {400, 403, 500}
# Reports are some kilobytes.
_MOST_ANSWERED_BYTES = 16 * 2**20
_MOST_LISTED = 5


class _Retry(urllib3.Retry):
    def increment(self, *args: Any, **named: Any) -> Any:
        """A server whose certificate is not trusted is not asked again."""
        if isinstance(error := named.get("error"), SSLError):
            raise error
        return super().increment(*args, **named)


class RemoteServer:
    """Every method raises RemoteRefusal with the server's own words, or Unavailable after some attempts."""

    # Five attempts within about ten seconds, or as far apart as the server says.
    retries: urllib3.Retry = _Retry(
        4, allowed_methods=None, status_forcelist=_PASSING, raise_on_status=False, backoff_factor=0.5,
        backoff_jitter=0.5, backoff_max=LONGEST_PAUSE_SECONDS, retry_after_max=LONGEST_PAUSE_SECONDS,
    )  # fmt: skip

    def __init__(self, address: Address, *, authorization: str) -> None:
        self.url = address.root
        self._account = {"Authorization": authorization}
        self.is_asked_by_token = authorization.startswith("Bearer ")
        self._pools: dict[str | None, urllib3.PoolManager] = {}

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
        is_own = origin_of(url) == origin_of(self.url)
        headers = {"Content-Length": str(size_bytes)}
        if is_own:
            headers |= {**self._account, "Content-Type": "application/octet-stream"}
        try:
            response = self._pool_for(url).urlopen(
                "PUT", url, body=body, headers=headers, retries=False, redirect=False, timeout=_TIMEOUT
            )
        except LocationValueError as error:
            raise RemoteRefusal("The server gave an address for a part that is none.") from error
        except (HTTPError, OSError) as error:
            sentence = f"{host_of(url)} did not take a part: {_reason(error)}."
            raise Unavailable(sentence, retry_after_seconds=0) from error
        if response.status >= 300:
            passing = _PASSING if is_own else _PASSING_OF_STORAGE
            raise _refusal(url, response, response.data, passing=passing)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def _asked(self, method: str, path: Sequence[str], *, headers: Any = None, body: Any = None) -> dict[str, Any]:
        url = "/".join([self.url, "api", *(quote(part, safe="") for part in path)])
        headers = {**self._account, "Accept": "application/json", **(headers or {})}
        try:
            response = self._pool_for(url).request(
                method, url, body=body, headers=headers, retries=self.retries, redirect=False, timeout=_TIMEOUT,
                preload_content=False,
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
            raise _refusal(url, response, data, passing=_PASSING)
        if (found := _object(data)) is None:
            raise RemoteRefusal(
                f"{host_of(url)} answered something else than the API of mlserve does. Check the address."
            )
        return found

    def _pool_for(self, url: str) -> urllib3.PoolManager:
        """Connections as the environment wants them: HTTPS_PROXY and its kin, unless NO_PROXY names the host."""
        parts = urlsplit(url)
        host, proxy = parts.hostname or "", urllib.request.getproxies().get(parts.scheme)
        if is_loopback(host) or urllib.request.proxy_bypass(host):
            proxy = None
        if proxy not in self._pools:
            options: Any = {"maxsize": 8, "blocksize": _BLOCK_BYTES}
            self._pools[proxy] = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        return self._pools[proxy]


def _refusal(url: str, response: urllib3.BaseHTTPResponse, data: bytes, *, passing: frozenset[int]) -> MlserveError:
    """What an answer means that is no success: Unavailable for a status in `passing`, else RemoteRefusal."""
    status = response.status
    if status < 400:
        target = response.headers.get("Location", "another address")
        return RemoteRefusal(f"{host_of(url)} redirects to {target}. Give the address that it leads to.")
    said = _said(data) or f"{host_of(url)} answered {status}."
    if status in passing:
        seconds = response.headers.get("Retry-After", "0")
        return Unavailable(said, retry_after_seconds=int(seconds) if seconds.isdecimal() else 0)
    if status == 401:
        said = f"{host_of(url)} does not accept the account in MLSERVE_TOKEN. {said}"
    return RemoteRefusal(said, answered=status)


def _reason(error: Exception) -> str:
    """Without the object and the address that urllib3 puts before it."""
    if isinstance(error, LocationValueError):
        return "this is no address"
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    text = str(error.args[-1] if error.args else error)
    return re.sub(r"^.*?(object at 0x\w+>: |\): )", "", text).strip().rstrip(".") or type(error).__name__


def _said(data: bytes) -> str:
    """The sentences of a problem (RFC 9457); '' when the body is none."""
    problem = _object(data) or {}
    errors = [each for each in problem.get("errors") or () if isinstance(each, dict)][:_MOST_LISTED]
    listed = " ".join(f"{each.get('pointer', '')}: {each.get('detail', '')}" for each in errors)
    return f"{problem.get('detail') or problem.get('title') or ''} {listed}".strip()


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
