"""Uploads of any size at this server: files that arrive, parts, and the worker that inspects them.

Door: `sender` for requests, `worker.inspect_next` for the queue.
"""
