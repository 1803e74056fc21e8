"""API tokens, the user that a token acts for, names of deleted accounts, and the counts of throttles."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone
from knox.models import AbstractAuthToken, AuthTokenManager
from knox.settings import CONSTANTS

from mlserve.permissions import covers, scope_for


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """The credential of a program. Only its hash is stored; a revoked or expired one stays visible."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What it is for, such as the program that uses it.")
    scopes = models.CharField(max_length=100, help_text="Comma-separated: predict, upload, admin.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the hour.")
    created_by = models.CharField(max_length=200, blank=True)

    objects: "models.Manager[ApiToken]" = AuthTokenManager()

    class Meta:
        ordering = ("-pk",)
        verbose_name = "API token"
        verbose_name_plural = "API tokens"
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=""), name="mlserve_token_has_scope"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    @property
    def scope_names(self) -> tuple[str, ...]:
        return tuple(self.scopes.split(","))

    def state(self, now: datetime | None = None) -> str:
        """`active`, `expired`, `revoked`, or `user inactive`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expiry is not None and self.expiry <= (now or timezone.now()):
            return "expired"
        return "active" if self.user.is_active else "user inactive"


class TokenUser(User):  # type: ignore[django-manager-missing]  # of knox, which has no types
    """A user for whom a token acts, with the rights that its scopes leave. Made for a request, never saved."""

    token: ApiToken

    class Meta:
        proxy = True
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return covers(self.token.scope_names, scope_for(perm)) and super().has_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff and super().has_module_perms(app_label)

    def save(self, *_args: Any, **_kwargs: Any) -> None:
        raise TypeError("A token's user has fewer rights than the account. Load the User to change it.")


class DeletedAccount(models.Model):
    """The name of an account that is gone, so that its predictions, which keep its id, can still be found and erased.

    Deleted with the last of these predictions.
    """

    id = models.BigIntegerField(primary_key=True, help_text="That of the account.")
    name = models.CharField(max_length=150, db_index=True)
    deleted_at = models.DateTimeField()

    class Meta:
        ordering = ("-deleted_at",)
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return f"{self.name} (deleted)"

    def get_username(self) -> str:
        return self.name


class RateWindow(models.Model):
    """How many requests of one caller were granted in one window. Only `rate_counts` writes it."""

    name = models.CharField(max_length=150, primary_key=True, help_text="Who, and which window.")
    count = models.BigIntegerField()
    ends_at = models.DateTimeField()

    class Meta:
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return self.name
