"""What becomes of the workers beside one that was killed."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from predictions import workers
from predictions.claiming import claim
from predictions.cluster import _give_back_what_is_held_by
from predictions.submission import submit
from registry.models import ModelVersion

_KILLED = 2**22 + 1  # above the largest process number of Linux


@pytest.mark.django_db(transaction=True)
def test_it_counts_no_attempt_of_what_was_killed_beside_another(
    penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())
    (held,) = claim(holder=f"{workers.host_name()}:{_KILLED}", now=timezone.now())

    _give_back_what_is_held_by([_KILLED])

    held.refresh_from_db()
    assert (held.status, held.attempts) == ("queued", 0)
