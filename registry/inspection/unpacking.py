"""From what a sender gives, which may be a folder or an archive, to the file that is inspected and stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from mlserve.errors import ArtifactRejected, BadUpload, Unavailable
from mlserve.processes.temporary_folders import temporary_folder
from registry.bundles.bundle import Bundle, unpack
from registry.bundles.errors import UnusableBundle
from registry.inspection.report import Check, Report, with_skipped
from registry.inspection.version_request import SchemaSource, VersionRequest


@contextmanager
def unpacked(path: Path, request: VersionRequest) -> Iterator[tuple[Path, VersionRequest]]:
    """The artifact, with the request for it; both as they are, unless `path` is a folder or an archive with a model.

    Then its own schema and sample complete the request, and the files are there until the block ends. Raises
    ArtifactRejected for one without a usable model, BadUpload or Unavailable when files cannot be read or written.
    """
    with temporary_folder("bundle") as folder:
        bundle = _bundle(path, folder, request)
        if bundle is None:
            yield path, request
            return
        schema = SchemaSource(bundle.schema, "json_schema") if bundle.schema else request.schema
        sample = bundle.sample or request.sample
        yield bundle.model, replace(request, schema=schema, sample=sample, origin=bundle.origin)


def _bundle(path: Path, folder: Path, request: VersionRequest) -> Bundle | None:
    try:
        return unpack(
            path,
            folder,
            max_bytes=settings.MLSERVE_MAX_ARTIFACT_BYTES,
            wants_schema=request.schema is None,
            wants_sample=request.sample is None,
        )
    except UnusableBundle as error:
        report = Report(with_skipped((Check("loads", "failed", error.detail, error.fix),)))
        raise ArtifactRejected(report.summary(), report=report.as_json()) from error
    except OSError as error:
        if error.filename is not None and Path(str(error.filename)).is_relative_to(folder):
            raise Unavailable(f"There is no room to unpack {path.name}: {error.strerror}.") from error
        raise BadUpload(f"{path} cannot be read: {error.strerror or error}.") from error
