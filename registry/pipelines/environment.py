"""The installed packages that answers depend on. Pure: reads metadata, imports none of the packages."""

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

# What a pipeline computes with. joblib only loads artifacts, but without it there are no answers either.
PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "joblib", "lightgbm", "xgboost")


def installed(name: str) -> str | None:
    """The version of a package, or of `python`; None when it is not there."""
    if name == "python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def installed_here() -> dict[str, str]:
    """Python and those of `PACKAGES` that are there, with their versions."""
    versions = {name: installed(name) for name in ("python", *PACKAGES)}
    return {name: text for name, text in versions.items() if text is not None}


@cache
def environment() -> Mapping[str, str]:
    """What distinguishes this environment from another one; read once, since a process keeps what it has imported.

    Without the micro version of Python: it changes no answer, and each environment has rows of its own.
    """
    minor = ".".join(platform.python_version_tuple()[:2])
    return {**installed_here(), "python": minor, "machine": f"{platform.system()} {platform.machine()}"}


def fingerprint() -> str:
    """The SHA-256 of `environment()`, in hexadecimal."""
    return hashlib.sha256(json.dumps(environment(), sort_keys=True).encode()).hexdigest()
