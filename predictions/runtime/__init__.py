"""Loaded models and their calls: rows in, completions out. Door: `execution.execute`."""
