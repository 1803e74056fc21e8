from collections.abc import Iterator
from typing import Any

import pytest

from predictions.batching import pace
from predictions.queue import wake_ups
from predictions.worker import draining
from tests.predictions.listening_worker import PATIENCE_SECONDS


@pytest.fixture
def fresh_worker_state(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """Nothing is known of how quick a version is, and no process listens yet."""
    monkeypatch.setattr(draining, "paces", pace.Paces())
    settings.MLSERVE_DRAIN_SECONDS = PATIENCE_SECONDS
    yield
    wake_ups.listener_socket().close()
