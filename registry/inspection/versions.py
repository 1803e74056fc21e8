"""What a report says of an artifact that another scikit-learn trained. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from registry.inspection.report import Check

# What admits such an artifact; taken away again where it would not help.
ALLOW = (
    " To admit it nevertheless, with its golden answers as they are here: `allow_other_versions` "
    "(permission registry.allow_other_versions)."
)
_PREDICTING = {"predicts", "json", "batching"}


def trained(versions: Sequence[str], here: str) -> str:
    return f"Trained with scikit-learn {', '.join(versions)}, here is {here}"


def mend(versions: Sequence[str], here: str) -> str:
    return f"Train with scikit-learn {here}, or install {versions[0]} where mlserve runs."


def explained(check: Check, versions: Sequence[str], here: str, *, is_cause: bool) -> Check:
    """A failed check with the versions said first. `is_cause`: nothing but the versions can be the reason."""
    if check.name not in {"names", "loads", *_PREDICTING}:
        return check
    what = "predict" if check.name in _PREDICTING else "be loaded"
    detail = f"{trained(versions, here)}, and it cannot {what} here: {check.detail}"
    fix = f"{mend(versions, here)} `allow_other_versions` does not help: it admits only what loads and predicts here."
    if is_cause:
        return Check("environment", "failed", detail, fix)
    return replace(check, detail=detail, fix=f"{fix} {check.fix}" if check.name == "names" else fix)


def without_vain_allowance(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks without the advice to allow other versions where the artifact does not predict in any case."""
    is_vain = any(check.status == "failed" and check.name in _PREDICTING for check in checks)
    return tuple(replace(check, fix=check.fix.removesuffix(ALLOW)) if is_vain else check for check in checks)
