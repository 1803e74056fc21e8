"""Permissions: those that Django gives a user, and the scopes of the token that acts for the user.

A token's user is a `TokenUser` (mlserve/models.py), which has no permission and no staff rights beyond its scopes, so
`user.has_perm` and `user.is_staff` are right for tokens too.
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
    ADMIN: "everything its user may: the others, promote, roll back, see all predictions as staff",
}
# The scope that a token needs for a permission; the others need `admin`.
_SCOPE_OF_PERMISSION = {
    "registry.add_modelversion": UPLOAD,
    "registry.add_directupload": UPLOAD,
}


def scope_for(permission: str) -> str:
    return _SCOPE_OF_PERMISSION.get(permission, ADMIN)


def covers(scopes: Collection[str], scope: str) -> bool:
    return scope in scopes or ADMIN in scopes


def token_id_of(user: Any) -> int | None:
    """The id of the token that acts for `user`; None for a user who signed in."""
    token = getattr(user, "token", None)
    return None if token is None else token.pk


def sees_everything(user: Any) -> bool:
    """Whether `user` sees predictions of others: staff do, unless a token without `admin` acts for them."""
    return bool(getattr(user, "is_staff", False))


def may(user: Any, permission: str) -> bool:
    """Whether `user` has Django's `permission`, and the scope for it, if a token acts for them."""
    return bool(user.has_perm(permission))


def require_permission(request: Request, permission: str) -> None:
    """Raise NotAuthenticated, or PermissionDenied with what is missing, unless the caller has `permission`."""
    if not request.user.is_authenticated:
        raise NotAuthenticated(
            "This needs an account. Send an API token (Authorization: Bearer …), or a name and password, or sign in."
        )
    if may(request.user, permission):
        return
    require_scope(request.user, scope_for(permission))
    raise PermissionDenied(f"Your account lacks the permission {permission}. An administrator can give it.")


def require_scope(user: Any, scope: str) -> None:
    """Raise PermissionDenied when a token acts for `user` and lacks `scope`."""
    token = getattr(user, "token", None)
    if token is not None and not covers(token.scope_names, scope):
        had = ", ".join(token.scope_names)
        raise PermissionDenied(f"This token lacks the scope {scope}; it has {had}. Make another one with that scope.")


class TokenScope(BasePermission):
    """DRF's permission of every view. `token_scope` of a view is the scope that it needs, None for any token.

    A view without it needs `admin`, so that a new view is closed to other tokens until it declares a scope.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(request.user, "token", None) is not None:
            scope = getattr(view, "token_scope", ADMIN)
            if scope is not None:
                require_scope(request.user, scope)
        return True
