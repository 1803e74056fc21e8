"""The only door to the queue: wake a worker, be woken, know which workers live. Door: `wake_ups.wake`."""
