"""Copies of exceptions, whatever their constructors ask for."""

from typing import Self

import pytest
from django.db import IntegrityError

from mlserve.errors import FieldError, InvalidRows, PredictionFailed, Unavailable
from predictions.batching.shared_errors import copy_of

ERRORS = [
    PredictionFailed("no", [FieldError("/0", "bad")]),
    InvalidRows([FieldError("/0", "bad")], 1),
    Unavailable("no storage", retry_after_seconds=3),
    IntegrityError("UNIQUE constraint failed"),
    OSError(28, "No space left on device"),
    SystemExit(1),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_it_copies_class_words_and_attributes(error: BaseException) -> None:
    own = copy_of(error)

    assert own is not error
    assert type(own) is type(error)
    assert (str(own), own.args, vars(own)) == (str(error), error.args, vars(error))


def test_it_copies_what_pythons_own_exceptions_keep() -> None:
    encoding = UnicodeEncodeError("ascii", "é", 0, 1, "no")

    assert copy_of(SystemExit(3)).code == 3
    assert copy_of(OSError(28, "No space left on device")).errno == 28
    assert copy_of(encoding).reason == "no"


class Particular(Exception):
    """It cannot be made from its words."""

    def __new__(cls, *, code: int) -> Self:
        return super().__new__(cls)

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


def test_it_shares_what_cannot_be_copied() -> None:
    error = Particular(code=3)

    assert copy_of(error) is error


def test_it_copies_no_traceback() -> None:
    original = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        raise original

    assert copy_of(original).__traceback__ is None
