"""The registry over HTTP. Door: `urls`."""
