"""The checks of the artifact itself: its names, loading it, what it holds, and by which versions it was trained."""

import time
from dataclasses import asdict
from pathlib import Path

from mlserve.units import duration_text
from registry.formats import loading
from registry.inspection import versions
from registry.inspection.inspection import Failed, Inspection
from registry.inspection.report import Check
from registry.pipelines import calls
from registry.pipelines.errors import Unusable
from registry.pipelines.parameters import parameters_of
from registry.pipelines.wrappers import as_pipeline

_SHOWN_NAMES = 20


def check_names(inspection: Inspection) -> Check:
    """Runs before the file is loaded. An unreadable file is reported as a failure of the next check, `loads`."""
    path, trusted = Path(inspection.request["artifact"]), inspection.request["trusted_modules"]
    try:
        contents = loading.read_contents(path, max_bytes=inspection.request["memory_bytes"])
    except loading.Refused as error:
        raise Failed(Check("names", "failed", error.detail, error.fix)) from error
    except loading.CannotLoad as error:
        raise Failed(Check("loads", "failed", error.detail, error.fix)) from error
    inspection.trained_with = tuple(each for each in contents.trained_with if each != inspection.here["scikit-learn"])
    if refused := loading.refused(contents.names, trusted):
        raise Failed(_refused_names(inspection, refused))
    return Check("names", "passed", f"{len(contents.names)} names, all of them trusted.")


def check_loads(inspection: Inspection) -> Check:
    started = time.monotonic()
    try:
        loaded = loading.load(
            Path(inspection.request["artifact"]),
            trusted=inspection.request["trusted_modules"],
            max_bytes=inspection.request["memory_bytes"],
        )
    except loading.CannotLoad as error:
        inspection.is_by_version = not isinstance(error, loading.Refused)
        raise Failed(Check("loads", "failed", error.detail, error.fix)) from error
    inspection.pipeline = as_pipeline(loaded.pipeline)
    seconds = time.monotonic() - started
    inspection.version_fields["artifact_format"] = loaded.format
    inspection.version_fields["load_seconds"] = round(seconds, 3)
    inspection.version_fields["mismatches"] = [asdict(mismatch) for mismatch in loaded.mismatches]
    return Check("loads", "passed", f"A {loaded.format} file, loaded in {duration_text(seconds)}.")


def check_pipeline(inspection: Inspection) -> Check:
    try:
        calls.require_fitted_pipeline(inspection.pipeline)
    except Unusable as error:
        raise Failed(Check("pipeline", "failed", error.detail, error.fix)) from error
    inspection.version_fields["parameters"] = parameters_of(inspection.pipeline)  # before one of them is changed
    calls.use_one_thread(inspection.pipeline)
    inspection.version_fields["outputs"] = calls.available_outputs(inspection.pipeline)
    inspection.version_fields["class_labels"] = calls.class_labels(inspection.pipeline)
    steps = " → ".join(f"{name} ({type(step).__name__})" for name, step in inspection.pipeline.steps)
    return Check("pipeline", "passed", f"{steps}; it can {', '.join(inspection.version_fields['outputs'])}.")


def check_environment(inspection: Inspection) -> Check:
    mismatches = inspection.version_fields.pop("mismatches")
    trained = sorted({mismatch["trained_with"] for mismatch in mismatches})
    # scikit-learn is the only package that writes its version into a pickle.
    inspection.version_fields["environment"] = {
        "inspected_with": inspection.here,
        "trained_with": {"scikit-learn": ", ".join(trained) or inspection.here["scikit-learn"]},
    }
    if not mismatches:
        return Check(
            "environment", "passed", f"Trained with scikit-learn {inspection.here['scikit-learn']}, as is here."
        )
    names = ", ".join(dict.fromkeys(mismatch["estimator"] for mismatch in mismatches))
    detail = (
        f"{versions.trained(trained, inspection.here['scikit-learn'])} ({names}). "
        "Loading across versions is not supported by scikit-learn and may change answers."
    )
    fix = versions.mend(trained, inspection.here["scikit-learn"])
    if inspection.request["allow_other_versions"]:
        return Check("environment", "warning", f"{detail} It was allowed.", fix)
    # The other checks still run: a user who may allow it needs their results for the decision.
    return Check("environment", "failed", detail, f"{fix}{versions.ALLOW}")


def explained(inspection: Inspection, check: Check) -> Check:
    """A failed check, with the versions said first where another scikit-learn trained the artifact."""
    if not inspection.trained_with or (check.name == "loads" and not inspection.is_by_version):
        return check
    return versions.explained(
        check, inspection.trained_with, inspection.here["scikit-learn"], is_cause=inspection.is_by_version
    )


def _refused_names(inspection: Inspection, refused: list[loading.Refusal]) -> Check:
    """Names that would be run come first, then those that would only be referred to."""
    inspection.is_by_version = all(each.reference.module.partition(".")[0] == "sklearn" for each in refused)
    if inspection.trained_with and inspection.is_by_version:
        missing = ", ".join(str(each.reference) for each in refused[:_SHOWN_NAMES])
        return Check("names", "failed", f"it refers to {missing}.")
    shown = "; ".join(f"{each.does} {each.reference}" for each in refused[:_SHOWN_NAMES])
    more = f" (and {len(refused) - _SHOWN_NAMES} more)" if len(refused) > _SHOWN_NAMES else ""
    fix = loading.how_to_fix(refused, inspection.request["trusted_modules"])
    return Check("names", "failed", f"This file would {shown}{more}.", fix)
