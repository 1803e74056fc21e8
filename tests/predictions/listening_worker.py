"""A worker that listens, for tests: a thread instead of a process, and a gate before its calls."""

import threading
import time
from typing import Any

import pytest
from django.db import connection

from predictions import tasks
from predictions.models import Prediction
from predictions.queue import wake_ups
from predictions.runtime import loaded_models
from registry.models import ModelVersion
from tests.waiting import wait_until

PATIENCE_SECONDS = 20


class Gate:
    """Holds the calls of `loaded_models.predict` while it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_called, self.go = threading.Event(), threading.Event()
        self.go.set()
        self._predict = loaded_models.predict
        monkeypatch.setattr(loaded_models, "predict", self)

    def __call__(self, version: ModelVersion, rows: Any, outputs: Any, **more: Any) -> Any:
        self.is_called.set()
        assert self.go.wait(PATIENCE_SECONDS)
        return self._predict(version, rows, outputs, **more)

    def close(self) -> None:
        self.is_called.clear()
        self.go.clear()


class ListeningWorker:
    """Listens for wake-ups in a thread, as a worker does in a process."""

    def __init__(self) -> None:
        self.ended = 0
        self.thread = threading.Thread(target=self._attend, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def start_listening(self) -> None:
        """Returns once a sent wake-up is received."""
        self.thread.start()
        wait_until(wake_ups.listener_socket().send)

    def join(self) -> int:
        """How many predictions it ended."""
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()
        return self.ended

    def dismiss(self) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.thread.is_alive() and time.monotonic() < deadline:
            wake_ups.listener_socket().dismiss()  # it may be busy, and not listen at this moment
            self.thread.join(0.01)
        return self.join()

    def _attend(self) -> None:
        try:
            self.ended = tasks.attend()
        finally:
            connection.close()


def all_have_ended() -> bool:
    return not Prediction.objects.queued().exists() and not Prediction.objects.running().exists()
