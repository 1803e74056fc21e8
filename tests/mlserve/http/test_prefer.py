import pytest

from mlserve.http.prefer import read_preference


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=10", 10),
        ("WAIT=10", 10),
        ("  wait = 10 ", 10),
        ('wait="10"', 10),
        ("wait", 25),
        ("wait=", 25),
        ('wait=""', 25),
        ("wait=0", 0),
        ("wait=007", 7),
        ("wait=0000000000012", 12),
        ("wait=9999999999", 25),
        ("wait=" + "9" * 5000, 25),
        ("respond-async", None),
        ("respond-async, wait=10", 10),
        ("wait=10,respond-async", 10),
        ("wait=10; foo=bar, respond-async", 10),
        ("wait=3, wait=10", 3),
        ("wait=3, Wait=10", 3),
        ("wait=soon, wait=10", None),
        ('foo="a, wait=3", wait=7', 7),
        (r'foo="a \", wait=3", wait=7', 7),
        ('foo="never closed, wait=3', None),
        ("handling=lenient, , ,wait=4", 4),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=ten", None),
        ("wait=٣", None),
        ("await=5", None),
        ("wait-longer=5", None),
        (";;;===", None),
        (",,,", None),
        ("\x00\xff", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_it_reads_how_long_to_wait(header: str | None, seconds: int | None) -> None:
    assert read_preference(header, max_wait_seconds=25).wait_seconds == seconds


@pytest.mark.parametrize(
    ("header", "applied"), [("wait=10", "wait=10"), ("wait=99", "wait=25"), ("wait=0", "wait=0"), ("foo", None)]
)
def test_it_says_what_was_applied(header: str, applied: str | None) -> None:
    assert read_preference(header, max_wait_seconds=25).applied == applied


def test_it_never_waits_where_waiting_is_switched_off() -> None:
    assert read_preference("wait", max_wait_seconds=0).wait_seconds == 0


def test_it_reads_a_hostile_header_in_linear_time() -> None:
    """A pattern with backtracking would need minutes for a megabyte."""
    assert read_preference('x="' + '\\"' * 500_000 + ", wait=3", max_wait_seconds=25).wait_seconds is None
