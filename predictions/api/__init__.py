"""Predictions over HTTP. Door: `urls`."""
