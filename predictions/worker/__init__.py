"""The worker side of a prediction: claimed, predicted in batches, finished.

Door: `draining.drain`, which `predictions/tasks.py` calls.
"""
