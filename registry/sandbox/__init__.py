"""A process that can reach nothing: no file, no network, no other process. Door: `sandbox.enter`."""
