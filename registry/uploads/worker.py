"""Uploads of any size, the worker's side: fetched, compared with what was announced, inspected and published.

| what happens | outcome |
|---|---|
| another worker inspects already | nothing; that one calls for the next when it has ended |
| other bytes than announced, a failed check, a taken tag | refused, with the reason; nothing stored |
| the worker is killed, or out of time | its lease runs out, or the host's next worker sees that it is gone; again |
| that, MLSERVE_MAX_ATTEMPTS times | failed |
| storage does not answer | back in the queue, for an hour; the sweep calls an inspector every minute |
| killed after the version was registered | tried again: the same bytes under the same tag are published already |
| the lease was lost, but the worker goes on | what it finds out is not written down; it stops at the next step |
| killed before the bytes were deleted | the sweep deletes them |
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from mlserve.errors import ArtifactRejected, MlserveError, Unavailable
from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import Check
from registry.inspection.version_request import VersionRequest, version_request
from registry.models.direct_upload import DirectUpload, Status, problem_of
from registry.multipart.destination import current_transfer
from registry.publishing.publish import Published, log_published, publish
from registry.storage import artifacts
from registry.storage.cache import ArtifactCache
from registry.storage.digest import Digest
from registry.uploads.sender import discard_bytes

log = logging.getLogger(__name__)

# How long an upload waits for a storage that does not answer.
_LONGEST_WAIT = timedelta(hours=1)


def inspect_next(*, holder: str, inspect: Callable[..., Inspected] = inspect) -> bool:
    """Inspect and publish the upload that waited longest; whether another one may be asked for at once.

    False when there was none, another worker inspects one, or the storage does not answer.

    1. claim    2. fetch    3. verify, inspect, store, register: `publish`    4. write down how it ended    5. clean up

    Takes as long as the artifact needs to be fetched, inspected and stored. The caller sets the limit.
    """
    upload = DirectUpload.objects.claim(holder=holder, now=timezone.now())
    if upload is None:
        return False
    try:
        published, request = _publish(upload, inspect)
    except _LeaseLost:
        log.warning("Upload %s was given to another worker; this one leaves it alone", upload.pk)
    except Unavailable as error:
        return _postpone(upload, error)
    except MlserveError as error:
        report = error.report if isinstance(error, ArtifactRejected) else None
        _end(upload, Status.REFUSED, problem=problem_of(error), report=report)
    else:
        # An account that was deleted meanwhile has no entries in the admin's log.
        log_published(upload.owner_id or upload.uploaded_by, published, request, how="Uploaded in parts")
        _end(upload, Status.PUBLISHED, version=published.version, report=published.report.as_json())
    return True


class _LeaseLost(Exception):
    """Another worker has the upload now."""


class _Progress:
    """Writes into the upload's row how far its inspection is."""

    def __init__(self, upload: DirectUpload) -> None:
        self._upload = upload
        self._step = "fetching"

    def at(self, step: str) -> None:
        """Raises _LeaseLost."""
        self._step = step
        self.checked(())

    def checked(self, checks: Sequence[Check]) -> None:
        """Raises _LeaseLost."""
        shown = [{"name": check.name, "status": check.status} for check in checks]
        if not DirectUpload.objects.record_progress(self._upload, {"step": self._step, "checks": shown}):
            raise _LeaseLost


def _publish(upload: DirectUpload, inspect: Callable[..., Inspected]) -> tuple[Published, VersionRequest]:
    progress = _Progress(upload)

    def inspect_visibly(artifact: Path, request: VersionRequest) -> Inspected:
        progress.at("inspecting")
        inspected = inspect(artifact, request, on_check=progress.checked)
        progress.at("storing")
        return inspected

    with _scratch(upload.size_bytes) as folder:
        artifact, request = _fetch(upload, folder)
        progress.at("verifying")
        expected = Digest(upload.sha256, upload.size_bytes)
        published = publish(artifact, request, by=upload.uploaded_by, expected=expected, inspect=inspect_visibly)
        return published, request


def _fetch(upload: DirectUpload, folder: Path) -> tuple[Path, VersionRequest]:
    """The artifact in `folder`, with the request to publish it. Raises BadUpload or Unavailable."""
    paths = {}
    for name, key in upload.asked["files"].items():
        path = folder / name
        path.write_bytes(artifacts.get(key))
        paths[path.stem] = path
    artifact = folder / "artifact"
    current_transfer().fetch(upload.staging, artifact)
    return artifact, version_request({**upload.asked, "model": upload.model_name, "tag": upload.tag}, paths)


def _postpone(upload: DirectUpload, error: Unavailable) -> bool:
    """Queue it again, or end it as failed after an hour without storage; whether it was ended."""
    since = upload.submitted_at or upload.created_at
    if timezone.now() - since < _LONGEST_WAIT:
        log.warning("Upload %s waits for the storage: %s", upload.pk, error.detail)
        DirectUpload.objects.requeue_claimed(upload)
        return False
    _end(upload, Status.FAILED, problem=problem_of(error))
    return True


def _end(upload: DirectUpload, status: Status, **outcome: Any) -> None:
    kept = {name: _storable(value) for name, value in outcome.items()}
    if DirectUpload.objects.finish(upload, status, now=timezone.now(), **kept):
        log.info("Upload %s (%s) is %s", upload.pk, upload, status.value)
        discard_bytes(upload)


def _storable(value: Any) -> Any:
    """Without what PostgreSQL takes in no text: NUL and halves of surrogate pairs. An artifact may say anything."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(name): _storable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable(part) for part in value]
    return value


@contextmanager
def _scratch(size_bytes: int) -> Iterator[Path]:
    """A folder for one upload, beside the cached artifacts, some of which are deleted for it: Lambda's disk is small.

    What a killed worker left there is deleted first: one upload is inspected at a time, so no other process uses it.
    """
    cache = ArtifactCache(Path(settings.MLSERVE_CACHE_DIR), settings.MLSERVE_CACHE_BYTES)
    folder = cache.root / "uploads"
    cache.make_way(size_bytes)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise Unavailable(f"The folder {folder} cannot be made: {error.strerror}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
