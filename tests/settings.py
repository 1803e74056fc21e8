"""Settings of the suite, also of the child processes and services that it starts: those of the product, with a password
hash that takes microseconds instead of half a second.

A real hasher is slow on purpose, and tests sign in some hundred times. Which one the product uses is Django's default,
which a test of tests/mlserve/test_settings.py holds.
"""

from mlserve.settings import *  # noqa: F403 - all of it

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
