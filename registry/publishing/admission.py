"""The signature of what this service admitted: HMAC with SECRET_KEY, kept in the version's row.

Write access to the bucket or to the database is not enough to make one, and a copied one fits only the same bytes.
"""

from dataclasses import dataclass

from django.core.signing import BadSignature, Signer

from registry.storage.digest import Digest

# What stands before each signature. Another number when an admission begins to mean something else, such as a stricter
# list of names: what was admitted before must then be inspected again.
_RULES = "1"
_SALT = "registry.admission"


@dataclass(frozen=True)
class Admitted:
    """What was inspected: exactly these bytes, read as this format."""

    digest: Digest
    artifact_format: str


def admission_of(admitted: Admitted) -> str:
    """What the row of an artifact that passed its inspection keeps, at most 60 characters."""
    return f"{_RULES}:{_signer().signature(_facts(admitted))}"


def why_not_admitted(admitted: Admitted, admission: str) -> str:
    """Why the row's signature does not count, in words that follow "its signature"; '' when it is this service's.

    Keys in SECRET_KEY_FALLBACKS count as well.
    """
    if not admission:
        return "is missing"
    rules, _, signature = admission.partition(":")
    if rules != _RULES:
        return "was made by other rules"
    try:
        _signer().unsign(f"{_facts(admitted)}:{signature}")
    except BadSignature:
        return "is wrong: the row was changed, or it was signed with another SECRET_KEY"
    return ""


def is_by_an_old_key(admitted: Admitted, admission: str) -> bool:
    """Whether a signature that is right counts only as long as its key stands in SECRET_KEY_FALLBACKS."""
    return admission != admission_of(admitted) and not why_not_admitted(admitted, admission)


def _facts(admitted: Admitted) -> str:
    digest = admitted.digest
    return f"{_RULES} {digest.sha256} {digest.size_bytes} {admitted.artifact_format}"


def _signer() -> Signer:
    return Signer(salt=_SALT)
