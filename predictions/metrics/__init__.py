"""What is counted of predictions, in this process and in all together. Door: `counters` to count, `totals` to read."""
