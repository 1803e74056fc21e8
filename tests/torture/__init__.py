"""The real service, harmed on purpose while clients use it, and counted afterwards: `make torture`."""
