"""What a process tells about itself: log lines, traces, errors, counts.

Door: `logs` to say what lines are about, `counters` to count, `tracing` for spans.
"""
