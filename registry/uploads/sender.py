"""Uploads of any size, the sender's side: opened, sent in parts, submitted for a worker's inspection, or abandoned.

 1. open      a row and room in the storage        3. submit    every part is there → queued, a worker is called
 2. send      parts, in any order, again at will   4. inspect   registry/uploads/worker.py

What may happen in between, and why nothing is lost or kept for ever:

| what happens | outcome |
|---|---|
| the sender dies, or its network | the parts that arrived stay for a day; it asks which, and sends the rest |
| killed between storage and row | room without a row: empty on a disk, aborted by the bucket's lifecycle |
| a part is sent twice, or by two at once | the later one counts; each is complete or absent |
| killed while submitting | still open; submitting again finds the parts put together already |
| submitted twice at once | one row changes; a request for the same gets the same answer, any other 409 |
| submitted and abandoned at once | one of both changes the row, the other gets 409 |
| killed between the commit and the call | the sweep calls a worker |
| the storage does not answer when bytes are deleted | the row remembers `has_bytes`; the sweep tries again |
"""

import logging
import time
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import IO
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from mlserve.errors import BadUpload, Conflict, NotFound, TooLarge, Unavailable
from registry.bundles.members import is_named_as_archive
from registry.inspection.version_request import VersionRequest
from registry.models.direct_upload import OPEN_FOR, DirectUpload, Status
from registry.multipart.destination import current_transfer
from registry.multipart.parts import part_bytes_for
from registry.publishing.publish import registered, require_names
from registry.storage import artifacts
from registry.uploads.signals import inspection_wanted

log = logging.getLogger(__name__)

# Each may hold MLSERVE_MAX_ARTIFACT_BYTES for a day. A few more slip through when many are opened at the same moment.
MOST_OPEN = 20
# A sweep makes room for predictions again after so long; what is left is the next one's, a minute later.
_SWEEP_SECONDS = 5.0

User = AbstractBaseUser | AnonymousUser


def open_upload(user: User, *, size_bytes: int, file_name: str = "") -> DirectUpload:
    """Raises BadUpload, TooLarge, Conflict when too many are open, or Unavailable."""
    if size_bytes < 1:
        raise BadUpload("The file is empty. Give size_bytes, the size of the whole file in bytes.")
    if size_bytes > settings.MLSERVE_MAX_ARTIFACT_BYTES:
        raise TooLarge(
            f"The file has {size_bytes} bytes; this server takes {settings.MLSERVE_MAX_ARTIFACT_BYTES} "
            "(MLSERVE_MAX_ARTIFACT_BYTES)."
        )
    _require_few_open(user)
    upload = DirectUpload(
        id=uuid7(),
        owner_id=user.pk,
        uploaded_by=user.get_username(),
        file_name=PurePosixPath(file_name.replace("\\", "/")).name[:255],
        size_bytes=size_bytes,
        part_bytes=part_bytes_for(size_bytes),
        created_at=timezone.now(),
    )
    upload.transfer_id = current_transfer().begin(upload.staging)
    upload.save(force_insert=True)
    return upload


def own_upload(user: User, upload_id: UUID) -> DirectUpload:
    """Raises NotFound, also for one of another account."""
    upload = DirectUpload.objects.select_related("version__model").filter(pk=upload_id, owner_id=user.pk).first()
    if upload is None or user.pk is None:
        raise NotFound(f"There is no upload {upload_id}, or it is not yours to see.")
    return upload


def arrived_parts(upload: DirectUpload) -> list[int]:
    """The numbers of the parts that need not be sent again; [] once it was submitted. Raises Unavailable."""
    return current_transfer().arrived(upload.staging) if upload.status == Status.OPEN else []


def part_addresses(upload: DirectUpload, numbers: list[int]) -> dict[int, str | None]:
    """Where to PUT each part; None: to this server. Raises BadUpload, Conflict or Unavailable."""
    _require_open(upload)
    for number in numbers:
        _require_part(upload, number)
    transfer = current_transfer()
    return {number: transfer.address_of(upload.staging, number) for number in numbers}


def receive_part(upload: DirectUpload, number: int, stream: IO[bytes]) -> None:
    """Take a part from a request to this server. Raises BadUpload, BadRequest, Conflict or Unavailable."""
    _require_open(upload)
    _require_part(upload, number)
    current_transfer().receive(upload.staging, number, stream)


def submit_upload(upload: DirectUpload, request: VersionRequest, *, sha256: str) -> DirectUpload:
    """Queue it for a worker, which is called on commit; the changed row.

    1. refuse what cannot be published    2. complete the parts    3. keep the small files    4. queue

    Submitting the same again changes nothing. Raises BadUpload, TagTaken, UploadIncomplete, Conflict or Unavailable;
    then it is still open.
    """
    if _is_submitted_as(upload, request, sha256):
        return upload
    _require_open(upload)
    require_names(request.model, request.tag, title=request.title)
    if not is_named_as_archive(upload.file_name):  # else the tag names the file in it, whose digest is not known yet
        registered(request.model, request.tag, sha256=sha256)
    files = dict(request.files().values())
    current_transfer().complete(upload.staging)
    # Each request to publish it has keys of its own, so that two at once do not mix.
    keys = {name: f"{upload.staging.prefix}/{uuid7()}-{name}" for name in files}
    for name, content in files.items():
        artifacts.put(keys[name], content)
    upload.sha256, upload.model_name, upload.tag = sha256, request.model, request.tag
    upload.asked = {**request.options(), "files": keys}
    with transaction.atomic():
        is_ours = DirectUpload.objects.submit(upload, now=timezone.now())
        transaction.on_commit(lambda: inspection_wanted.send(sender=DirectUpload))
    if not is_ours:
        artifacts.remove(list(keys.values()))
    found = DirectUpload.objects.select_related("version__model").get(pk=upload.pk)
    if not _is_submitted_as(found, request, sha256):
        _require_open(found)
    return found


def abandon(upload: DirectUpload) -> None:
    """open → canceled, and what arrived is deleted. Raises Conflict once it was submitted."""
    if not DirectUpload.objects.cancel(upload.pk, now=timezone.now()):
        upload.refresh_from_db(fields=["status"])
        if upload.status == Status.CANCELED:
            return
        _require_open(upload)
    discard_bytes(upload)


def discard_bytes(upload: DirectUpload) -> None:
    """Delete the parts and files of an upload that has ended, now or at a later sweep."""
    try:
        current_transfer().discard(upload.staging)
    except Unavailable as error:
        log.warning("The parts of upload %s stay until the next sweep: %s", upload.pk, error.detail)
        return
    artifacts.remove(list(upload.asked.get("files", {}).values()))
    DirectUpload.objects.filter(pk=upload.pk).update(has_bytes=False)


def sweep_uploads(*, now: datetime) -> int:
    """Take back what dead workers held, cancel what was never submitted, delete leftovers; how many it changed.

    For about five seconds at most: the next sweep goes on.
    """
    deadline = time.monotonic() + _SWEEP_SECONDS
    uploads = DirectUpload.objects
    changed = uploads.requeue_expired(now=now)
    for upload_id in uploads.open().filter(created_at__lt=now - OPEN_FOR).values_list("pk", flat=True)[:100]:
        changed += uploads.cancel(upload_id, now=now)
    for upload in uploads.ended().filter(has_bytes=True).order_by("finished_at")[:100]:
        if time.monotonic() > deadline:
            break
        discard_bytes(upload)
    old = now - timedelta(days=settings.MLSERVE_RETENTION_DAYS)
    uploads.ended().filter(finished_at__lt=old).delete()
    if changed:
        log.info("Sweep: %d uploads taken back or canceled", changed)
    return changed


def _require_few_open(user: User) -> None:
    own = DirectUpload.objects.open().filter(owner_id=user.pk).order_by("pk")
    if own.count() >= MOST_OPEN:
        raise Conflict(
            f"You have {MOST_OPEN} open uploads already. Submit or abandon one first; the oldest is abandoned by "
            f"DELETE /api/uploads/{own.values_list('pk', flat=True)[0]}."
        )


def _require_open(upload: DirectUpload) -> None:
    if upload.status != Status.OPEN:
        raise Conflict(f"The upload is {upload.status}, not open any more. Open a new one: POST /api/uploads.")


def _require_part(upload: DirectUpload, number: int) -> None:
    if not 1 <= number <= upload.staging.part_count:
        raise BadUpload(f"There is no part {number}: this upload has the parts 1 to {upload.staging.part_count}.")


def _is_submitted_as(upload: DirectUpload, request: VersionRequest, sha256: str) -> bool:
    same = (upload.model_name, upload.tag, upload.sha256) == (request.model, request.tag, sha256)
    return same and upload.status not in (Status.OPEN, Status.CANCELED)
