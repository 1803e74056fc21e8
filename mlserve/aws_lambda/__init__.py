"""HTTP, messages of the queue and the schedule as AWS Lambda brings them. Door: `mlserve/lambda_entry.py`."""
