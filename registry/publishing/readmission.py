"""Admit registered versions again: for a lost SECRET_KEY, or rows without a signature.

The inspection takes artifact, schema and sample rows from the row, because the files of the upload were not kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlserve.errors import MlserveError
from registry.inspection.inspect import Inspected, StoredRecord, inspect
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.pipelines.golden_comparison import same_answer
from registry.publishing.admission import Admitted, admission_of, is_by_an_old_key
from registry.storage.artifacts import local_copy
from registry.storage.digest import Digest


@dataclass(frozen=True)
class Readmission:
    """The result for a version; `refusal` says why it was not signed, `note` is a remark on one that was."""

    version: ModelVersion
    refusal: str = ""
    note: str = ""


def readmit(
    version: ModelVersion,
    *,
    by: str,
    allow_other_versions: bool = False,
    inspect: Callable[..., Inspected] = inspect,
) -> Readmission:
    """Inspect the version as at its upload, and sign it when every check passes and its golden answers are the same.

    Raises Unavailable when the storage does not answer; an artifact that is missing or damaged is a refusal. Takes as
    long as an inspection.
    """
    is_allowed = allow_other_versions or bool(version.other_versions_allowed_by)
    digest = Digest(version.sha256, version.size_bytes)
    request = VersionRequest(
        version.model.name, version.tag, form_config=version.form_config, allow_other_versions=is_allowed
    )
    record = StoredRecord(version.ordered_schema(), version.columns, version.container, version.sample_rows)
    try:
        with local_copy(digest) as path:
            inspected = inspect(path, request, stored=record)
    except MlserveError as error:
        if getattr(error, "may_pass", False):
            raise
        return Readmission(version, refusal=error.detail)
    if not inspected.report.is_accepted:
        return Readmission(version, refusal=inspected.report.summary())
    if other := _rows_with_other_answers(version, inspected):
        return Readmission(
            version,
            refusal=f"{len(other)} of {len(version.sample_rows)} sample rows get another answer than at its upload, "
            f"the first is row {other[0] + 1}. If the new answers are right, upload the artifact under a new tag.",
        )
    return _sign(version, digest, inspected, by)


def renew(version: ModelVersion) -> Readmission | None:
    """Sign a version anew that was signed with a fallback of SECRET_KEY, without an inspection; None for others."""
    admitted = Admitted(Digest(version.sha256, version.size_bytes), version.artifact_format)
    if not is_by_an_old_key(admitted, version.admission):
        return None
    version.admission = admission_of(admitted)
    version.save(update_fields=["admission"])
    return Readmission(version, note="signed with the present SECRET_KEY; it was inspected under the one before")


def _rows_with_other_answers(version: ModelVersion, inspected: Inspected) -> list[int]:
    then, now = version.golden_outputs, inspected.version_fields["golden_outputs"]
    if then.keys() != now.keys():
        return list(range(len(version.sample_rows)))
    return [
        row
        for row in range(len(version.sample_rows))
        if not all(same_answer(now[name][row : row + 1], then[name][row : row + 1]) for name in then)
    ]


def _sign(version: ModelVersion, digest: Digest, inspected: Inspected, by: str) -> Readmission:
    version.artifact_format = inspected.version_fields["artifact_format"]
    version.parameters = inspected.version_fields["parameters"]
    version.admission = admission_of(Admitted(digest, version.artifact_format))
    is_exception = inspected.report.is_trained_elsewhere
    if is_exception and not version.other_versions_allowed_by:
        version.other_versions_allowed_by = by
    version.save(update_fields=["artifact_format", "parameters", "admission", "other_versions_allowed_by"])
    return Readmission(version, note="although another scikit-learn trained it" if is_exception else "")
