"""Sizes and durations in words."""

import pytest

from mlserve.units import duration_text, size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"), (5 * 1024**2, "5.0 MiB"), (1024**3, "1.0 GiB"), (1024**5, "1,024.0 TiB"),
    ],
)  # fmt: skip
def test_it_writes_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0, "1 ms"), (0.0004, "1 ms"), (0.0123, "12 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"),
        (3.44, "3.4 s"), (99.94, "99.9 s"), (99.96, "100 s"), (12_345.6, "12,346 s"),
    ],
)  # fmt: skip
def test_it_writes_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
