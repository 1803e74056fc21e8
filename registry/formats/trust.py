"""Which names an artifact may refer to: the list of this release, and MLSERVE_TRUSTED_MODULES. Pure."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from types import MappingProxyType

from registry.formats import allowlist


class Use(IntEnum):
    """How a file uses a name; each use includes those before it."""

    MENTIONED = 0
    INSTANTIATED = 1
    CALLED = 2


@dataclass(frozen=True)
class Reference:
    """One class or function that a file would import, and what it would do with it."""

    module: str
    name: str
    use: Use

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Contents:
    """What a file would import, and the versions of scikit-learn that its estimators say they were written by."""

    names: tuple[Reference, ...]
    trained_with: tuple[str, ...] = ()


# Packages of which no whole module can be trusted: they read files, execute text or call back. The same holds for
# Python's standard library.
_NEVER_WHOLE = {
    "numpy", "scipy", "pandas", "sklearn", "joblib", "skops", "cloudpickle", "dill", "threadpoolctl",
    "lightgbm", "xgboost", "catboost", "torch", "tensorflow", "keras", "polars", "pyarrow", "numba",
    "matplotlib", "IPython", "django", "rest_framework", "django_q", "mlserve", "registry", "predictions",
    "boto3", "botocore", "requests", "urllib3", "yaml", "jinja2", "pip", "setuptools", "pkg_resources", "wheel",
    "pytest", "_pytest",
}  # fmt: skip
_PYTHON = sys.stdlib_module_names | {"__main__", "__builtin__"}


@cache
def listed() -> Mapping[tuple[str, str], Use]:
    """(module, name) → what may be done with it."""
    texts = {
        Use.MENTIONED: allowlist.MENTIONED,
        Use.INSTANTIATED: allowlist.INSTANTIATED,
        Use.CALLED: allowlist.CALLED,
    }
    uses: dict[tuple[str, str], Use] = {}
    for use, text in texts.items():
        module = ""
        for word in text.split():
            if word.endswith(":"):
                module = word[:-1]
            else:
                uses[module, word] = use
    return MappingProxyType(uses)


def problem_of(entry: str) -> str:
    """Why an entry of MLSERVE_TRUSTED_MODULES trusts nothing; '' for one that does."""
    module, colon, name = entry.partition(":")
    parts = [*module.split("."), *(name.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        return f"{entry!r} is no name. Give package.module, or package.module:Name for one class or function."
    root = parts[0]
    if root in _PYTHON:
        return f"{entry!r} belongs to Python itself, with which a file can do anything."
    if root in _NEVER_WHOLE and not colon:
        return f"{entry!r} belongs to {root}, which can run anything. Give exact names: {module}:Name."
    return ""


@dataclass(frozen=True)
class Trust:
    """What an artifact may refer to: all that `modules` define, and exactly these `names`."""

    modules: frozenset[str] = frozenset()
    names: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Trust":
        """From MLSERVE_TRUSTED_MODULES; an entry with a problem trusts nothing (a system check says so)."""
        modules, names = set(), set()
        for entry in entries:
            module, colon, name = entry.partition(":")
            if problem_of(entry):
                continue
            if colon:
                names.add((module, name))
            else:
                modules.add(module)
                names.add((module.rpartition(".")[0], module.rpartition(".")[2]))
        return cls(frozenset(modules), frozenset(names))

    def use_of(self, module: str, name: str) -> Use | None:
        """The most that may be done with a name; None if it must not be imported."""
        if self.is_exact(module, name):
            return listed().get((module, name), Use.CALLED)
        return Use.CALLED if self.package_of(module, name) else None

    def is_exact(self, module: str, name: str) -> bool:
        return (module, name) in listed() or (module, name) in self.names

    def package_of(self, module: str, name: str) -> str:
        """The trusted module that must define the name, or ''. Never for a name with a part that begins with __."""
        if any(part.startswith("__") for part in name.split(".")):
            return ""
        return next((each for each in self.modules if module == each or module.startswith(f"{each}.")), "")

    def allows(self, module: str, name: str, use: Use) -> bool:
        allowed = self.use_of(module, name)
        return allowed is not None and allowed >= use
