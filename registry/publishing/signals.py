"""What the registry asks of those who stand on it."""

from django.dispatch import Signal

# The predictions of versions shall be erased: `version_ids`, and `seconds` that it may take about. Receivers return
# the number of those that they erased; what is left refers to its version still.
predictions_unwanted = Signal()
