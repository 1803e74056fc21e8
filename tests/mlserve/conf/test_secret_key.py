"""What may be said about the key."""

import pytest

from mlserve.conf.secret_key import fingerprint, weakness


@pytest.mark.parametrize(
    ("key", "why"),
    [("short", "5 characters"), ("a" * 60, "different"), ("django-insecure-" + "abcdefgh" * 8, "development")],
)
def test_it_says_why_a_key_is_weak(key: str, why: str) -> None:
    assert why in weakness(key)


def test_it_accepts_a_strong_key() -> None:
    assert weakness("abcdefghijklmnopqrstuvwxyz" * 2) == ""


def test_it_tells_keys_apart_without_showing_them() -> None:
    key = "abcdefghijklmnopqrstuvwxyz" * 2

    assert fingerprint(key) == fingerprint(key) != fingerprint(key + "x")
    assert fingerprint(key) not in key
