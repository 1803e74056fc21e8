"""Who may do what: Django's permissions of a user, and the scopes of the token that speaks for them.

A token's user is a `TokenUser` (mlserve/models.py), which has no permission and no staff's view that its scopes leave
out, so whoever asks `user.has_perm` or `user.is_staff` is answered rightly, too.
"""

from collections.abc import Collection
from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

PREDICT, UPLOAD, ADMIN = "predict", "upload", "admin"
SCOPES = {
    PREDICT: "submit predictions, read and cancel its user's own, read models and versions",
    UPLOAD: "upload artifacts as new versions, read models and versions",
    ADMIN: "whatever its user may: the others, promote, roll back, see everybody's predictions as staff",
}
# What a permission needs besides itself where a token asks; what is not listed needs `admin`.
_SCOPE_OF_PERMISSION = {
    "registry.add_modelversion": UPLOAD,
    "registry.add_directupload": UPLOAD,
}


def scope_for(permission: str) -> str:
    return _SCOPE_OF_PERMISSION.get(permission, ADMIN)


def covers(scopes: Collection[str], scope: str) -> bool:
    return scope in scopes or ADMIN in scopes


def token_id_of(user: Any) -> int | None:
    """Of the token that speaks for `user`; None for somebody who signed in."""
    token = getattr(user, "token", None)
    return None if token is None else token.pk


def sees_everything(user: Any) -> bool:
    """Whether other people's predictions are shown to `user`: to staff, unless a token without `admin` asks."""
    return bool(getattr(user, "is_staff", False))


def may(user: Any, permission: str) -> bool:
    """Whether `user` has Django's `permission`, and the token that asks for them, if one does, the scope for it."""
    return bool(user.has_perm(permission))


def require_permission(request: Request, permission: str) -> None:
    """Raise NotAuthenticated, or PermissionDenied with what is lacking, unless the caller may."""
    if not request.user.is_authenticated:
        raise NotAuthenticated(
            "This needs an account. Send an API token (Authorization: Bearer …), or a name and password, or sign in."
        )
    if may(request.user, permission):
        return
    require_scope(request.user, scope_for(permission))
    raise PermissionDenied(f"Your account lacks the permission {permission}. An administrator can give it.")


def require_scope(user: Any, scope: str) -> None:
    """Raise PermissionDenied when a token speaks for `user` and lacks `scope`."""
    token = getattr(user, "token", None)
    if token is not None and not covers(token.scope_names, scope):
        had = ", ".join(token.scope_names)
        raise PermissionDenied(f"This token lacks the scope {scope}; it has {had}. Make another one with that scope.")


class TokenScope(BasePermission):
    """DRF's permission of every view. A view says in `token_scope` which scope it needs, None for any token.

    A view that says nothing is for `admin`, so that a new one is closed to the tokens of others until it says more.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(request.user, "token", None) is not None:
            scope = getattr(view, "token_scope", ADMIN)
            if scope is not None:
                require_scope(request.user, scope)
        return True
