"""Names that are not trusted: what the file would do with them, and what to do about it. Pure."""

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions

from registry.formats.errors import OF_A_NOTEBOOK
from registry.formats.next_steps import NAMED_FUNCTION, step_for
from registry.formats.rules import CODE_WRITERS, GETATTR
from registry.formats.trust import Reference, Trust, Use, problem_of

_DOES = {Use.MENTIONED: "refer to", Use.INSTANTIATED: "make an object of", Use.CALLED: "run"}
# Where a library is installed by another name than it is imported by.
_DISTRIBUTIONS = {"imblearn": "imbalanced-learn", "skopt": "scikit-optimize", "sklego": "scikit-lego"}
# Where it is not known to be something that people train with.
_PYTHON = (
    "With functions of Python's own a file can do anything that the process that loads it may do. Do not load it "
    "anywhere, unless you know that the model needs this. Then: " + NAMED_FUNCTION
)
_HARMLESS_PYTHON = "mlserve takes no functions of Python's own from a file, for some of them can do anything. "
_SHOWN_FIXES = 3


@dataclass(frozen=True)
class Refusal:
    """A name that is not trusted: what the file would do with it (`does`), and how to fix that.

    `entry` is what MLSERVE_TRUSTED_MODULES would have to name, '' where `fix` is another step.
    """

    reference: Reference
    does: str
    fix: str
    entry: str = ""


def refused(references: Iterable[Reference], trusted: Iterable[str] = ()) -> list[Refusal]:
    """Which of the names are not trusted, the most dangerous first. `trusted`: MLSERVE_TRUSTED_MODULES."""
    entries = tuple(trusted)
    trust = Trust.of(entries)
    names = [each for each in references if not trust.allows(each.module, each.name, each.use)]
    if any("." in each.name for each in names):
        # Where it only looks up another name, that one says more.
        names = [each for each in names if (each.module, each.name) != GETATTR]
    return [_refusal(each, trust, entries) for each in sorted(names, key=lambda each: -each.use)]


def how_to_fix(refused: Sequence[Refusal], trusted: Iterable[str] = ()) -> str:
    """The steps for all names together, and one line that trusts those that may be trusted."""
    own = list(dict.fromkeys(each.fix for each in refused if not each.entry))
    if entries := list(dict.fromkeys(each.entry for each in refused if each.entry)):
        own.insert(0, _trusting(entries, tuple(trusted)))
    return " ".join(own[:_SHOWN_FIXES])


def _refusal(reference: Reference, trust: Trust, trusted: tuple[str, ...]) -> Refusal:
    root, does, step = reference.module.partition(".")[0], _DOES[reference.use], step_for(str(reference))
    if root == "__main__" or root in CODE_WRITERS:
        return Refusal(reference, does, OF_A_NOTEBOOK)
    if trust.use_of(reference.module, reference.name) is not None:
        less = step or "joblib.dump does not write that: save with it, or do not load this file anywhere."
        return Refusal(reference, does, f"A file may refer to {reference}, but not {does} it. {less}")
    if root in sys.stdlib_module_names:
        return Refusal(reference, does, f"{_HARMLESS_PYTHON}{step}" if step else _PYTHON)
    if problem_of(root):
        return Refusal(reference, does, step or _of_library(reference, root))
    entry = _entry(reference)
    return Refusal(reference, does, step or _trusting([entry], trusted), "" if step else entry)


def _of_library(reference: Reference, root: str) -> str:
    return (
        f"mlserve does not trust this part of {root}. Train without it, or with the versions that are installed here. "
        f"An operator who knows what it does may add {reference.module}:{reference.name} to MLSERVE_TRUSTED_MODULES."
    )


def _entry(reference: Reference) -> str:
    """A library as a whole, because its classes refer to each other; of one's own code only the module."""
    root = reference.module.partition(".")[0]
    return root if root in _libraries() or not _is_here(root) else reference.module


def _trusting(entries: Sequence[str], trusted: Sequence[str]) -> str:
    roots = dict.fromkeys(each.partition(".")[0] for each in entries)
    absent = [_DISTRIBUTIONS.get(root, root) for root in roots if not _is_here(root)]
    install = f"Install {', '.join(absent)} where mlserve runs: not installed here. " if absent else ""
    line = ",".join(dict.fromkeys((*trusted, *entries)))
    return (
        f"{install}To trust {', '.join(entries)}, restart mlserve with MLSERVE_TRUSTED_MODULES={line} in its "
        "environment: a model file may then call everything that is defined there, with the rights of the service. "
        "Or train without."
    )


def _is_here(root: str) -> bool:
    return importlib.util.find_spec(root) is not None


@cache
def _libraries() -> frozenset[str]:
    """The top-level modules that were installed as packages."""
    return frozenset(packages_distributions())
