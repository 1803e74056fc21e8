"""What is counted of predictions, in this process and in all together. Door: `counting` to count, `totals` to read."""
