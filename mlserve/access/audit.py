"""Entries of the admin's log: the same whether an action was taken in the admin or over the API.

A command has no account; its actions go to the log of the process.
"""

import logging
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone

log = logging.getLogger(__name__)

INPUTS_SEEN = "Inputs seen."
_SEEN_AGAIN_AFTER = timedelta(hours=1)
_MOST_NAME = 200


def log_action(user: Any, row: models.Model, sentence: str, *, is_new: bool = False) -> None:
    """Record an action of `user` on `row`; `user` is an account, its id, or the name of a user without one."""
    user_id = user if isinstance(user, int) else getattr(user, "pk", None)
    if user_id is None:
        log.info("%s %s: %s By %s.", row._meta.verbose_name, row, sentence, user or "a user of the shell")
        return
    LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:_MOST_NAME],
        action_flag=ADDITION if is_new else CHANGE,
        change_message=sentence,
    )


def note_inputs_seen(user: Any, row: models.Model) -> None:
    """Once an hour for each person and row."""
    seen = LogEntry.objects.filter(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        change_message=INPUTS_SEEN,
        action_time__gt=timezone.now() - _SEEN_AGAIN_AFTER,
    )
    if not seen.exists():
        log_action(user, row, INPUTS_SEEN)
