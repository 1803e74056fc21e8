"""What a client of the model host meets beside answers. Pure."""

from typing import ClassVar


class ModelRaised(Exception):
    """The pipeline raised it for rows of a call: the name of the exception's class, and its message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WrongAnswers(Exception):
    """A call that did not give one JSON value for each row, so that no answer can be told to belong to a row."""

    # The name under which a model process tells it.
    RAISED_AS: ClassVar[str] = "WrongAnswerCount"


class ModelEnded(BaseException):
    """A model process that hung or ended in a call or while it loaded, and that is gone.

    `kind` is one of registry.models.incident.Kind, `detail` says what was seen, with the frames that the process wrote
    itself. Of all that are told of one end, one is `is_first`. Not an Exception, so that the search for bad rows does
    not take it for theirs.
    """

    def __init__(self, kind: str, detail: str, *, is_first: bool = True) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.is_first = kind, detail, is_first


class ModelRefused(Exception):
    """An artifact that its model process did not load. `untrusted` is the name that this host does not trust, or ""."""

    def __init__(self, detail: str, untrusted: str = "") -> None:
        super().__init__(detail)
        self.detail, self.untrusted = detail, untrusted


class HostUnavailable(Exception):
    """The host does not answer, cannot start a process, or is too busy: not the model's fault, and it may pass."""


def described(error: BaseException) -> tuple[str, str]:
    """The kind and the words of an error that a row met, for its caller."""
    return (error.kind if isinstance(error, ModelRaised) else type(error).__name__), str(error)
