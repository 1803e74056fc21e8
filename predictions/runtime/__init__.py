"""Loaded models and their calls: rows in, outcomes out. Door: `execution.execute`."""
