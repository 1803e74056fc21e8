from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from predictions.models import Prediction
from predictions.submission import submit
from registry.models import ModelVersion

Submit = Callable[..., Prediction]


@pytest.fixture
def submit_rows(penguins: ModelVersion, penguin: dict[str, Any]) -> Submit:
    """`submit_rows()` queues one valid record; `submit_rows(rows, version=…, outputs=…)` anything else."""

    def queue(
        payload: Any = None, *, version: ModelVersion | None = None, outputs: tuple[str, ...] = ("predict",)
    ) -> Prediction:
        return submit(version or penguins, payload or penguin, outputs=outputs, user=AnonymousUser())

    return queue
