from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from predictions.models import Prediction
from predictions.serving.submission import submit
from registry.models import ModelVersion
from tests.predictions import queues

Submit = Callable[..., Prediction]


@pytest.fixture
def submit_rows(penguins: ModelVersion, penguin: dict[str, Any]) -> Submit:
    """`submit_rows()` queues one valid record; `submit_rows(rows, version=…, outputs=…)` anything else."""

    def queue(
        payload: Any = None, *, version: ModelVersion | None = None, outputs: tuple[str, ...] = ("predict",)
    ) -> Prediction:
        return submit(version or penguins, payload or penguin, outputs=outputs, user=AnonymousUser())

    return queue


@pytest.fixture(params=queues.KINDS)
def queue_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[queues.Kind]:
    """Each kind of queue in turn, empty."""
    yield from queues.using(request, monkeypatch, settings)


@pytest.fixture(params=queues.REMOTE_KINDS)
def remote_queue(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[queues.Kind]:
    """The kinds that are a service of their own, in turn."""
    yield from queues.using(request, monkeypatch, settings)
