"""Model processes: a pipeline runs in a sandboxed process of its own, and nowhere else.

Door: `client.HostClient`; `start.start_host` executes the host.
"""
