"""Everything mlserve refuses, as one table of exceptions.

Pure: neither Django nor HTTP is imported. `mlserve/http/problems.py` turns a row into `application/problem+json`,
commands turn it into one line on stderr and exit status 1. `slug` names the page `/problems/<slug>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the input: a JSON Pointer as URI fragment (`#/3/age`) and what to do."""

    pointer: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


class MlserveError(Exception):
    """The base of the table. `detail` says what was wrong with what, and what to do."""

    slug: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    meaning: ClassVar[str] = "An unexpected error."

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    def extra(self) -> dict[str, Any]:
        """Members that this problem adds to the RFC 9457 object."""
        return {}


class NotJson(MlserveError):
    slug, status, title = "not-json", 400, "The body is not JSON"
    meaning = "The request body could not be read as JSON (RFC 8259, UTF-8, no NaN, no repeated names)."


class NotCsv(MlserveError):
    slug, status, title = "not-csv", 400, "The body is not CSV"
    meaning = "The request body could not be read as a table: a line that names the columns, then a line for each row."


class BadParameter(MlserveError):
    slug, status, title = "bad-parameter", 400, "A parameter of the request is wrong"
    meaning = "A query parameter or header has a value that it cannot have."


class BadRequest(MlserveError):
    slug, status, title = "bad-request", 400, "The request cannot be read"
    meaning = "The request is malformed, or a field of it has a value that it cannot have."


class NotAuthenticated(MlserveError):
    slug, status, title = "not-authenticated", 401, "Sign in first"
    meaning = "This needs an account: send an API token (Authorization: Bearer …), or a name and password, or sign in."


class Forbidden(MlserveError):
    slug, status, title = "forbidden", 403, "Your account may not do this"
    meaning = (
        "The account lacks the permission, which an administrator can give, or the token the scope: make another one."
    )


class HttpsRequired(Forbidden):
    slug, title = "https-required", "This needs HTTPS"
    meaning = (
        "The request came over plain HTTP, where others can read it. A redirect would lose its body, so it is refused. "
        "Behind a proxy that ends TLS, the proxy has to send the header X-Forwarded-Proto: https."
    )


class NotFound(MlserveError):
    slug, status, title = "not-found", 404, "Not found"
    meaning = "There is nothing under this address, or it is not yours to see."


class MethodNotAllowed(MlserveError):
    slug, status, title = "method-not-allowed", 405, "This address does not support the method"
    meaning = "The header Allow lists the methods that it does support."


class NotAcceptable(MlserveError):
    slug, status, title = "not-acceptable", 406, "No representation fits the Accept header"
    meaning = "The API answers application/json, text/html for browsers, and text/csv for the results of predictions."


class Conflict(MlserveError):
    slug, status, title = "conflict", 409, "The current state does not allow this"
    meaning = "The request was understood, but what it wants to change has moved on."


class AlreadyEnded(Conflict):
    slug, title = "already-ended", "The prediction has already ended"
    meaning = "Only a queued prediction can be canceled."


class TagTaken(Conflict):
    slug, title = "tag-taken", "This tag holds another artifact"
    meaning = "A version never changes. Upload the new artifact under a new tag."


class NothingToRollBack(Conflict):
    slug, title = "nothing-to-roll-back", "There is no earlier live version"
    meaning = "Rollback goes to the version that was live before; there was none."


class NothingToRetire(Conflict):
    slug, title = "nothing-to-retire", "The version is not live"
    meaning = "Only the live version of a model can be retired."


class UploadIncomplete(Conflict):
    slug, title = "upload-incomplete", "Parts of the upload are missing"
    meaning = "An upload can be submitted once all its parts have arrived. Send the missing ones, then submit again."

    def __init__(self, detail: str, *, missing: Sequence[int] = ()) -> None:
        super().__init__(detail)
        self.missing = tuple(missing)

    def extra(self) -> dict[str, Any]:
        """At most as many numbers as one request for addresses takes."""
        return {"missing_parts": list(self.missing[:100])}


class LengthRequired(MlserveError):
    slug, status, title = "length-required", 411, "The request does not say how long it is"
    meaning = "JSON and CSV may come in chunks. Send files and forms with a Content-Length."


class TooLarge(MlserveError):
    slug, status, title = "too-large", 413, "The request is too large"
    meaning = "The body or its number of rows exceeds this server's limit."


class UnsupportedMediaType(MlserveError):
    slug, status, title = "unsupported-media-type", 415, "The Content-Type is not supported"
    meaning = (
        "Send JSON with the header Content-Type: application/json, rows also as text/csv, files as multipart/form-data."
    )


class UnsupportedEncoding(UnsupportedMediaType):
    slug, title = "unsupported-encoding", "The Content-Encoding is not supported"
    meaning = "The header Accept-Encoding of the answer lists the compressions that this address reads."

    def __init__(self, detail: str, *, accepted: str = "identity") -> None:
        super().__init__(detail)
        self.accepted = accepted


class InvalidRows(MlserveError):
    slug, status, title = "invalid-rows", 422, "The rows do not fit the model's schema"
    meaning = "Every error is listed by JSON Pointer (the first 100, with the total). Nothing was stored."

    def __init__(self, errors: Sequence[FieldError], total: int, example: Mapping[str, Any] | None = None) -> None:
        """`example` is a record as it should be sent, for rows whose layout is wrong."""
        what = "error" if total == 1 else "errors"
        super().__init__(f"{total} {what} in the rows. Nothing was accepted: mend them and send again.")
        self.errors, self.total, self.example = tuple(errors), total, example

    def extra(self) -> dict[str, Any]:
        example = {} if self.example is None else {"example": [self.example]}
        return {"errors": [error.as_json() for error in self.errors], "total_errors": self.total, **example}


class NoLiveVersion(MlserveError):
    slug, status, title = "no-live-version", 422, "The model has no live version"
    meaning = "A version serves only after it was promoted."


class BadUpload(MlserveError):
    slug, status, title = "bad-upload", 422, "The upload cannot be used"
    meaning = "A file of the upload cannot be read, or its parts contradict each other."


class DigestMismatch(BadUpload):
    slug, title = "digest-mismatch", "The file is not the one that was announced"
    meaning = "The bytes that arrived have another size or SHA-256 than the sender says. Nothing was stored."


class ArtifactRejected(MlserveError):
    slug, status, title = "artifact-rejected", 422, "The artifact did not pass the inspection"
    meaning = "The report names each failed check and how to mend it. Nothing was stored."

    def __init__(self, detail: str, *, report: dict[str, Any]) -> None:
        super().__init__(detail)
        self.report = report

    def extra(self) -> dict[str, Any]:
        return {"report": self.report}


class TooManyRequests(MlserveError):
    slug, status, title = "too-many-requests", 429, "Too many requests"
    meaning = "Wait as long as the header Retry-After says."


class Unavailable(MlserveError):
    slug, status, title = "unavailable", 503, "A part of the service is unavailable"
    meaning = "The database, the queue or the storage did not answer. Nothing was accepted; try again."
    # Whether the cause may end by itself, so that accepted predictions wait for that instead of failing.
    may_pass: ClassVar[bool] = True

    def __init__(self, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class Overloaded(Unavailable):
    slug, title = "overloaded", "Too many requests wait already"
    meaning = "The server works at its limit. Nothing was stored; try again after the time in Retry-After."


class QueueMissing(Unavailable):
    slug, title = "queue-missing", "The queue does not exist"
    meaning = (
        "The service is configured for a queue that does not exist yet. "
        "Its operator runs `.venv/bin/python manage.py create_queue`."
    )


class ArtifactUnavailable(Unavailable):
    slug, title = "artifact-unavailable", "The model's artifact cannot be loaded"
    meaning = "The stored artifact is missing, damaged or does not load in this environment."
    may_pass = False


class PayloadLost(Unavailable):
    slug, title = "payload-lost", "The stored rows or result are gone"
    meaning = "Large inputs and results are kept in the storage, from which those of this prediction were deleted."
    may_pass = False


class NotAdmitted(ArtifactUnavailable):
    slug, title = "not-admitted", "The model's artifact was not admitted by this service"
    meaning = (
        "Each artifact is signed when it has passed its inspection, and the signature is checked before each load. "
        "Here it is missing or wrong, so nothing was loaded. "
        "An operator runs `.venv/bin/python manage.py admit_models`."
    )


class RemoteRefusal(MlserveError):
    slug, status, title = "remote-refusal", 502, "Another server refused"
    meaning = "A command asked another server, which refused. The detail quotes its answer."

    def __init__(self, detail: str, *, answered: int | None = None) -> None:
        """`answered` is the status of the other server's answer, where it gave one."""
        super().__init__(detail)
        self.answered = answered


class AnswerTooLarge(MlserveError):
    slug, title = "answer-too-large", "The answer is too large"
    meaning = "The service runs where answers have a limit. The result is stored; ask for it compressed."


class PredictionFailed(MlserveError):
    slug, status, title = "prediction-failed", 500, "The model raised an error"
    meaning = "The pipeline itself failed on these rows; the rows at fault are named where they are known."

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)

    def extra(self) -> dict[str, Any]:
        return {"errors": [error.as_json() for error in self.errors]} if self.errors else {}


class GivenUp(PredictionFailed):
    slug, title = "given-up", "The prediction was given up"
    meaning = "The worker died or ran out of time on this prediction every time it was tried."


def problem_object(error: MlserveError, *, type_prefix: str = "/problems/") -> dict[str, Any]:
    """The RFC 9457 members of an error, without `instance`."""
    return {
        "type": f"{type_prefix}{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **error.extra(),
    }


def all_kinds() -> list[type[MlserveError]]:
    """Every class of the table, parents before children."""
    found: list[type[MlserveError]] = []
    pending = [MlserveError]
    while pending:
        kind = pending.pop(0)
        found.append(kind)
        pending.extend(kind.__subclasses__())
    return found
