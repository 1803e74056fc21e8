"""Faults injected into the real service while clients use it, and what was counted afterwards: `make torture`."""
