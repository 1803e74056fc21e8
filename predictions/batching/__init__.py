"""How rows are put together into calls: when, how many, and what happens when a call fails.

Door: `micro_batching` for callers that wait, `halving` for each call.
"""
