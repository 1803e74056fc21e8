"""The tables of predictions, where Django looks for them."""

from predictions.metrics.total import Total
from predictions.models.pending_wake_up import PendingWakeUp
from predictions.models.prediction import Prediction, PredictionQuerySet, end_at_once, queue_seconds
from predictions.models.worker import Worker

__all__ = ["PendingWakeUp", "Prediction", "PredictionQuerySet", "Total", "Worker", "end_at_once", "queue_seconds"]
