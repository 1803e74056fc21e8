"""The checks of an artifact before it is stored, and their report.

Door: `inspect.inspect`; its child process is `child`.
"""
