"""Authentication at the API: by a token, or by name and password. Sessions are DRF's own.

A token is django-rest-knox's: random, hashed with SHA-512, found by its first characters, compared in constant time.
There are three differences: it is looked up in one prepared statement, it is never deleted, and its holder is told why
it is refused.
"""

import logging
import re
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, OperationalError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import is_same_domain
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.request import Request

from mlserve.access.throttling import require_calm
from mlserve.errors import BadParameter
from mlserve.models import ApiToken, TokenUser
from mlserve.observability import logs
from mlserve.permissions import SCOPES
from mlserve.prepared import Parameter, PreparedQuery

log = logging.getLogger(__name__)

PREFIX = "mls_"
MOST_DAYS = 365
# The challenges of RFC 9110: how a client may authenticate.
CHALLENGES = 'Basic realm="api", Bearer realm="api"'
LOCKED_SECONDS = 15 * 60
# Hexadecimal digits of 32 random bytes.
_TOKEN = re.compile(rf"{PREFIX}[0-9a-f]{{64}}".encode())
_UNKNOWN = "This token is not known here. Check that it was copied completely, or make another one."
# Accounts have no longer names, and only printable ones; databases refuse to look for some others.
_MOST_NAME = 150
_READING = ("GET", "HEAD", "OPTIONS")
_USED_EVERY = timedelta(hours=1)
# In the order of the tables, as `from_db` needs them.
_TOKEN_FIELDS = tuple(field.attname for field in ApiToken._meta.concrete_fields)
_WANTED_OF_USER = {"id", "username", "is_active", "is_staff", "is_superuser"}
_USER_FIELDS = tuple(field.attname for field in TokenUser._meta.concrete_fields if field.attname in _WANTED_OF_USER)
_DIGEST = _TOKEN_FIELDS.index("digest")


class ApiTokenAuthentication(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """`Authorization: Bearer mls_…`; the scheme `Token` works too."""

    def authenticate(self, request: Request) -> tuple[TokenUser, ApiToken] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            return None
        try:
            return self.authenticate_credentials(token.strip().encode("utf-8", "replace"))
        except AuthenticationFailed:
            require_calm(request, cost=1)  # DRF throttles only callers who are authenticated or anonymous
            raise

    def authenticate_credentials(self, token: bytes) -> tuple[TokenUser, ApiToken]:
        """Raises AuthenticationFailed, with the reason only for a caller who has the whole token."""
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed(_UNKNOWN)
        text = token.decode("ascii")
        rows = _BY_KEY.all(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH])
        digest, found = hash_token(text), None
        # There is always a comparison, so that the time reveals nothing to a caller who guesses the first characters.
        for row in rows or [_NO_TOKEN]:
            if compare_digest(digest, row[_DIGEST]):
                found = row
        if found is None:
            raise AuthenticationFailed(_UNKNOWN)
        return _signed_in(found, timezone.now())

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGES


_LOCKED = "Too many wrong passwords for this name from your address."


class PasswordAuthentication(BasicAuthentication):
    """HTTP Basic, with the locks of django-axes; failures count more against the rate."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Raises AuthenticationFailed, Throttled, or PermissionDenied."""
        try:
            signed_in: tuple[Any, None] | None = super().authenticate(request)
        except AuthenticationFailed:
            require_calm(request, cost=1)
            raise
        if signed_in is not None:
            _require_own_origin(request)
        return signed_in

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | HttpRequest | None = None
    ) -> tuple[Any, None]:
        """Raises AuthenticationFailed, the same one for every reason, or Throttled."""
        if len(userid) > _MOST_NAME or not userid.isprintable() or "\0" in password:
            raise AuthenticationFailed("Invalid username/password.")
        require_calm(request)
        bare = _without_body(cast(Request, request))
        try:
            user, _ = super().authenticate_credentials(userid, password, cast(Any, bare))
        except AuthenticationFailed:
            if getattr(bare, "axes_locked_out", False):
                raise Throttled(wait=LOCKED_SECONDS, detail=_LOCKED) from None
            raise
        logs.add_facts(user=user.pk)
        return user, None


def make_token(user: User, *, name: str, scopes: list[str], days: int | None, created_by: str) -> tuple[ApiToken, str]:
    """A new token and its secret, which cannot be read again. `days` None: it never expires.

    Raises BadParameter.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise BadParameter(f"scope is {', '.join(unknown) or 'empty'}; allowed is {', '.join(SCOPES)}.")
    name = " ".join(name.split())
    if not name or len(name) > 100 or not name.isprintable():
        raise BadParameter("name: give the token a name of 1 to 100 letters, such as the program that will use it.")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise BadParameter(f"days is {days}; a token lasts 1 to {MOST_DAYS} days, or for ever if that is asked for.")
    create: Any = ApiToken.objects.create  # knox's gives both
    created: tuple[ApiToken, str] = create(
        user,
        expiry=None if days is None else timedelta(days=days),
        name=name,
        scopes=",".join(scope for scope in SCOPES if scope in scopes),
        created_by=created_by,
    )
    return created


def revoke(token: ApiToken) -> bool:
    """Takes effect at once, in every process. False when it was revoked before."""
    now = timezone.now()
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        return False
    token.revoked_at = now
    return True


def _signed_in(row: tuple[Any, ...], now: datetime) -> tuple[TokenUser, ApiToken]:
    token = ApiToken.from_db(DEFAULT_DB_ALIAS, _TOKEN_FIELDS, row[: len(_TOKEN_FIELDS)])
    user = TokenUser.from_db(DEFAULT_DB_ALIAS, _USER_FIELDS, row[len(_TOKEN_FIELDS) :])
    if token.revoked_at is not None:
        raise AuthenticationFailed(f"This token was revoked on {token.revoked_at:%Y-%m-%d}. Make another one.")
    if token.expiry is not None and token.expiry <= now:
        raise AuthenticationFailed(f"This token expired on {token.expiry:%Y-%m-%d}. Make another one.")
    if not user.is_active:
        raise AuthenticationFailed("The account of this token is no longer active.")
    if token.last_used_at is None or token.last_used_at <= now - _USED_EVERY:
        _note_use(token, now)
    user.token, token.user = token, user
    user.is_staff = user.is_staff and "admin" in token.scope_names
    logs.add_facts(user=user.pk, token=token.pk)
    return user, token


def _require_own_origin(request: Request) -> None:
    """Raise PermissionDenied for a request that another site made a browser send.

    A browser that once learned name and password sends them with any form of any site, with the form's origin.
    Programs send no origin.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None or request.method in _READING:
        return
    scheme, _, host = origin.partition("://")
    trusted = [each.partition("://") for each in settings.CSRF_TRUSTED_ORIGINS]
    ours = [(request.scheme, request.get_host()), *((kind, name.lstrip("*")) for kind, _, name in trusted)]
    if not any(scheme == kind and is_same_domain(host, name) for kind, name in ours):
        raise PermissionDenied("Another site asked for this with the name and password that your browser remembers.")


def _note_use(token: ApiToken, now: datetime) -> None:
    """Once an hour, by the first process; a failure to write refuses no request."""
    due = Q(last_used_at=None) | Q(last_used_at__lte=now - _USED_EVERY)
    try:
        ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=now)
    except OperationalError as error:
        log.info("The use of token %s was not noted: %s", token.pk, error)


def _without_body(request: Request) -> HttpRequest:
    """The part of a request that django-axes may see and store: never its body, which must not be read yet."""
    bare = HttpRequest()
    bare.META, bare.path, bare.method = request.META, request.path, request.method
    return bare


def _by_key() -> "QuerySet[Any, Any]":
    key: Any = Parameter("token_key", ApiToken._meta.get_field("token_key"))
    found: QuerySet[Any, Any] = ApiToken.objects.filter(token_key=key).order_by()
    return found.values_list(*_TOKEN_FIELDS, *(f"user__{name}" for name in _USER_FIELDS))


_NO_TOKEN = ("0" * CONSTANTS.DIGEST_LENGTH,) * len(_TOKEN_FIELDS)
_BY_KEY = PreparedQuery(_by_key)
