"""Copies of exceptions, whatever their constructors ask for."""

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


def test_it_copies_no_traceback() -> None:
    original = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        raise original

    assert copy_of(original).__traceback__ is None
