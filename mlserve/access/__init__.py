"""Who calls and how often: tokens, sign-in, throttles, the audit log.

Door: `tokens` and `throttling`, which settings.py names; `audit.log_action`.
"""
