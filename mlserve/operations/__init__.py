"""What operators and monitors ask: health, metrics, what a deployed function knows of itself.

Door: `health`, `metrics`, `self_report`.
"""
