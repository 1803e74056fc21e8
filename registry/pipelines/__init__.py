"""A fitted pipeline: how it is called, on which frames, in which environment, and whether two answers are the same.

Door: `calls` and `frames`.
"""
