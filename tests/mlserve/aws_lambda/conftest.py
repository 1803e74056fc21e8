"""Deliveries run what the tests of predictions run, by the same fixtures."""

from tests.predictions.conftest import queue_kind, submit_rows

__all__ = ["queue_kind", "submit_rows"]
