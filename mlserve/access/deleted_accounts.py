"""Accounts that are deleted: their names are kept for as long as predictions of theirs are."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from mlserve.models import DeletedAccount


def note_deleted(instance: User, **_signal: Any) -> None:
    """A receiver of Django's `post_delete`."""
    now = timezone.now()
    DeletedAccount.objects.update_or_create(pk=instance.pk, defaults={"name": instance.username, "deleted_at": now})
