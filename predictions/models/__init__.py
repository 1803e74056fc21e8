"""The tables of predictions, where Django looks for them."""

from predictions.metrics.figure import Figure
from predictions.models.prediction import Prediction, PredictionQuerySet, end_at_once, queue_seconds
from predictions.models.wake_up import WakeUp
from predictions.models.worker import Worker

__all__ = ["Figure", "Prediction", "PredictionQuerySet", "WakeUp", "Worker", "end_at_once", "queue_seconds"]
