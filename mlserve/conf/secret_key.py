"""What can be published about the SECRET_KEY: why it is weak, and a fingerprint. Pure."""

import hashlib
import hmac

# Django's own check of the key (security.W009) asks for these.
_LENGTH, _CHARACTERS = 50, 5


def fingerprint(secret_key: str) -> str:
    """Shows whether two keys are equal without revealing either."""
    return hmac.new(secret_key.encode(), b"mlserve deploy_check", hashlib.sha256).hexdigest()[:16]


def weakness(secret_key: str) -> str:
    """Why the key is too weak, or ""."""
    if len(secret_key) < _LENGTH:
        return f"it has {len(secret_key)} characters; {_LENGTH} are the least"
    if len(set(secret_key)) < _CHARACTERS:
        return f"it has fewer than {_CHARACTERS} different characters"
    if secret_key.startswith("django-insecure-"):
        return "it was generated for development, as its beginning says"
    return ""
