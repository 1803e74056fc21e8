"""Predictions in the admin, where Django looks for it."""

from predictions.admin import predictions

__all__ = ["predictions"]
