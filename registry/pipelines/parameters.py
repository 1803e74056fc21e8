"""The classes of a pipeline's parts and their parameters as texts, by which two versions can be compared. Pure.

Values are the artifact's and may be anything; each is shortened to a text with a fingerprint of the whole.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

MAX_PARAMETERS, MAX_NAME, MAX_TEXT = 1_000, 200, 400
_MOST_CHARACTERS, _MOST_ENTRIES, _MOST_LEVELS = 300, 100, 5
# Where an object lies in memory differs each time it is loaded.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def parameters_of(pipeline: Any) -> dict[str, dict[str, str]]:
    """`estimators`: the class of each part by its name in scikit-learn's notation (`prepare__scale`), the whole as “”;
    `values`: the text of each other parameter. Empty for what does not tell its parameters.
    """
    found: dict[str, dict[str, str]] = {"estimators": {"": type(pipeline).__name__[:MAX_NAME]}, "values": {}}
    try:
        parameters = pipeline.get_params(deep=True)
    # The uploader's code may raise anything, and a comparison is no reason to refuse it.
    except Exception:  # noqa: BLE001
        return found
    for name in sorted(parameters)[:MAX_PARAMETERS]:
        value = parameters[name]
        if _is_estimator(value):
            found["estimators"][name[:MAX_NAME]] = type(value).__name__[:MAX_NAME]
            chosen = getattr(value, "best_params_", None)
            if isinstance(chosen, dict):
                found["values"][f"{name}.best_params_"[:MAX_NAME]] = _shortened(_text(chosen))
        elif name.rpartition("__")[2] != "steps":  # each step is an entry of its own
            found["values"][name[:MAX_NAME]] = _shortened(_text(value))
    return found


def is_parameters(value: Any) -> bool:
    """Whether it is what `parameters_of` gives, within its limits."""
    return (
        isinstance(value, dict)
        and set(value) == {"estimators", "values"}
        and all(isinstance(each, dict) and len(each) <= MAX_PARAMETERS + 1 for each in value.values())
        and all(
            isinstance(name, str) and isinstance(text, str) and len(name) <= MAX_NAME and len(text) <= MAX_TEXT
            for each in value.values()
            for name, text in each.items()
        )
    )


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and not isinstance(value, type)


def _text(value: Any, level: int = 0) -> str:
    """Of collections the first entries; of estimators within them the class."""
    if _is_estimator(value):
        return type(value).__name__
    if isinstance(value, type):
        return value.__name__
    if level < _MOST_LEVELS and type(value) in (list, tuple, dict):
        entries = list(value.items() if isinstance(value, Mapping) else value)[:_MOST_ENTRIES]
        if isinstance(value, Mapping):
            texts = [f"{_text(key, level + 1)}: {_text(each, level + 1)}" for key, each in entries]
        else:
            texts = [_text(each, level + 1) for each in entries]
        more = [f"… ({len(value):,} in all)"] if len(value) > len(entries) else []
        return f"({', '.join([*texts, *more])})"
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 - as above
        text = f"a {type(value).__name__}"
    return text


def _shortened(text: str) -> str:
    """In characters that can be stored, and not longer than MAX_TEXT."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    if len(text) <= _MOST_CHARACTERS:
        return text
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters, fingerprint {fingerprint})"
