"""The signature of an admitted artifact: HMAC with SECRET_KEY, stored in the version's row.

Write access to the bucket or to the database is not enough to make one, and a copied one is valid for the same bytes
only.
"""

from dataclasses import dataclass

from django.core.signing import BadSignature, Signer

from registry.storage.digest import Digest

# The prefix of each signature. It must change with the meaning of an admission, such as with a stricter list of names:
# artifacts that were admitted before are then inspected again.
_RULES = "1"
_SALT = "registry.admission"


@dataclass(frozen=True)
class Admitted:
    """An artifact that passed its inspection: exactly these bytes, read as this format."""

    digest: Digest
    artifact_format: str


def admission_of(admitted: Admitted) -> str:
    """The signature for the version's row, at most 60 characters."""
    return f"{_RULES}:{_signer().signature(_facts(admitted))}"


def why_not_admitted(admitted: Admitted, admission: str) -> str:
    """Why the row's signature is not valid, in words that follow "its signature"; '' when it is valid.

    Signatures with keys in SECRET_KEY_FALLBACKS are valid, too.
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
    """Whether a signature is valid only as long as its key is in SECRET_KEY_FALLBACKS."""
    return admission != admission_of(admitted) and not why_not_admitted(admitted, admission)


def _facts(admitted: Admitted) -> str:
    digest = admitted.digest
    return f"{_RULES} {digest.sha256} {digest.size_bytes} {admitted.artifact_format}"


def _signer() -> Signer:
    return Signer(salt=_SALT)
