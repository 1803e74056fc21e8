"""Publish, promote, roll back and retire: the flow of an upload, and the only writer of a version's status."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from mlserve.access.audit import log_action
from mlserve.errors import (
    ArtifactRejected,
    BadUpload,
    Conflict,
    DigestMismatch,
    NotFound,
    NothingToRetire,
    NothingToRollBack,
    TagTaken,
)
from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import Report, report_from_json
from registry.inspection.unpacking import unpacked
from registry.inspection.version_request import VersionRequest
from registry.models import GoldenCheck, Model, ModelVersion, Promotion, validate_name
from registry.publishing.admission import Admitted, admission_of
from registry.storage.artifacts import store
from registry.storage.digest import Digest, digest_of

_MAX_TITLE = Model._meta.get_field("title").max_length or 200


@dataclass(frozen=True)
class Published:
    """`created` is False when the same bytes were registered under this tag before.

    `model_changes` are sentences about a model that existed, for the admin's log.
    """

    version: ModelVersion
    report: Report
    created: bool
    model_changes: tuple[str, ...] = ()


def publish(
    artifact: Path,
    request: VersionRequest,
    *,
    by: str = "",
    expected: Digest | None = None,
    inspect: Callable[[Path, VersionRequest], Inspected] = inspect,
) -> Published:
    """Inspect, store and register an artifact; `expected` is the digest that its sender announced, if any.

    `artifact` may be a folder or an archive with a model: the file in it is what is stored, and what the tag names.

    1. digest   2. unpack   3. compare with the tag   4. inspect   5. refuse   6. store   7. register   8. promote

    Raises BadUpload, TooLarge, DigestMismatch, TagTaken, ArtifactRejected or Unavailable; then nothing was registered.
    """
    require_names(request.model, request.tag, title=request.title)
    arrived = None if artifact.is_dir() else digest_of(artifact)
    _require_expected(arrived, expected)
    with unpacked(artifact, request) as (file, completed):
        digest = arrived if arrived is not None and file == artifact else digest_of(file)
        return _publish(file, completed, digest, by=by, inspect=inspect)


def _publish(
    artifact: Path,
    request: VersionRequest,
    digest: Digest,
    *,
    by: str,
    inspect: Callable[[Path, VersionRequest], Inspected],
) -> Published:
    version = registered(request.model, request.tag, sha256=digest.sha256)
    created = version is None
    before = Model.objects.filter(name=request.model).first()
    if version is None:
        inspected = inspect(artifact, request)
        if not inspected.report.is_accepted:
            raise ArtifactRejected(inspected.report.summary(), report=inspected.report.as_json())
        store(artifact, digest)
        version = _register(request, digest, inspected, by)
    else:
        # Uploading again restores a lost or damaged artifact, and may change the model's title and visibility.
        store(artifact, digest)
        _update_model(version.model, request, is_new=False)
    if request.promote and not version.is_live:
        version = promote(version.model.name, version.tag, by=by)
    return Published(version, report_from_json(version.report), created, _changes(before, version.model))


def log_published(by: Any, published: Published, request: VersionRequest, *, how: str) -> None:
    """Write into the admin's log what an upload changed; `by` is as for `mlserve.access.audit.log_action`."""
    if published.created:
        log_action(by, published.version, f"{how}, {published.report.summary()}.", is_new=True)
    if request.promote:
        log_action(by, published.version, "Promoted with its upload.")
    for change in published.model_changes:
        log_action(by, published.version.model, change)


def promote(model_name: str, tag: str, *, by: str = "") -> ModelVersion:
    """Make a version live at once in every process. For the live version this changes nothing. Raises NotFound."""
    with transaction.atomic():
        model = _locked(model_name)
        version = _version(model, tag)
        if version.is_live:
            return version
        current = _served_before(version)
        _make_live(model, version)
        Promotion.objects.create(
            model=model, version=version, kind=Promotion.Kind.PROMOTE, replaced=current, promoted_by=by
        )
    return version


def _served_before(version: ModelVersion) -> Promotion | None:
    """What a rollback of the promotion of `version` goes to: the last one of another version that served."""
    current = version.model.promotions.select_related("replaced").first()
    while current is not None and (current.kind == Promotion.Kind.RETIRE or current.version_id == version.pk):
        current = current.replaced
    return current


def rollback(model_name: str, *, by: str = "") -> ModelVersion:
    """Make live the version before the current one; each call goes one step further back. Raises NothingToRollBack."""
    with transaction.atomic():
        model = _locked(model_name)
        current = model.promotions.select_related("replaced__version").first()
        if current is None or current.replaced is None:
            raise NothingToRollBack(f"The model {model_name!r} had no other live version before this one.")
        earlier = current.replaced
        _make_live(model, earlier.version)
        Promotion.objects.create(
            model=model,
            version=earlier.version,
            kind=Promotion.Kind.ROLLBACK,
            replaced=earlier.replaced,
            promoted_by=by,
        )
    return earlier.version


def retire(model_name: str, tag: str | None = None, *, by: str = "") -> ModelVersion:
    """Let no version of the model be live, at once in every process; the one that was (which must be `tag`, if given).

    It is recorded as a promotion is, and a rollback undoes it. Raises NotFound or NothingToRetire.
    """
    with transaction.atomic():
        model = _locked(model_name)
        live = model.versions.live().first()
        if tag is not None and (live is None or live.tag != tag):
            other = f"{live.tag} is" if live else "No version is"
            status = _version(model, tag).status
            raise NothingToRetire(f"{model_name} {tag} is {status}, so it cannot be retired. {other} live.")
        if live is None:
            raise NothingToRetire(f"The model {model_name!r} has no live version, so there is nothing to retire.")
        live.status = ModelVersion.Status.RETIRED
        live.save(update_fields=["status"])
        Promotion.objects.create(
            model=model, version=live, kind=Promotion.Kind.RETIRE, replaced=model.promotions.first(), promoted_by=by
        )
    return live


def mark_default(model: Model) -> None:
    """Let `model` serve POST /api/predict."""
    with transaction.atomic():
        Model.objects.filter(is_default=True).exclude(pk=model.pk).update(is_default=False)
        Model.objects.filter(pk=model.pk).update(is_default=True)


def _make_live(model: Model, version: ModelVersion) -> None:
    """The caller holds the lock of the model's row; a unique constraint also ensures one live version."""
    model.versions.live().update(status=ModelVersion.Status.RETIRED)
    version.status = ModelVersion.Status.LIVE
    version.save(update_fields=["status"])


def _locked(model_name: str) -> Model:
    model = Model.objects.select_for_update().filter(name=model_name).first()
    if model is None:
        raise NotFound(
            f"There is no model {model_name!r}. `.venv/bin/python manage.py list_models` shows which there are."
        )
    return model


def _version(model: Model, tag: str) -> ModelVersion:
    version = model.versions.filter(tag=tag).first()
    if version is None:
        tags = ", ".join(model.versions.values_list("tag", flat=True)[:10])
        known = f"It has {tags}." if tags else "It has no version yet."
        raise NotFound(f"The model {model.name!r} has no version {tag!r}. {known}")
    return version


def require_names(model: str, tag: str, *, title: str | None = None) -> None:
    """Raise BadUpload unless the names can be parts of an address, and the title is short enough."""
    for value, what in ((model, "model name"), (tag, "tag")):
        try:
            validate_name(value, what)
        except ValidationError as error:
            raise BadUpload(error.messages[0]) from error
    if title is not None and len(title) > _MAX_TITLE:
        raise BadUpload(f"The title is longer than {_MAX_TITLE} characters.")


def registered(model: str, tag: str, *, sha256: str) -> ModelVersion | None:
    """The version under this tag when it holds the same bytes. Raises TagTaken when it holds others."""
    version = ModelVersion.objects.filter(model__name=model, tag=tag).select_related("model").first()
    if version is not None and version.sha256 != sha256:
        raise TagTaken(
            f"{model} {tag} is another artifact (SHA-256 {version.sha256[:12]}…, this one {sha256[:12]}…). A version "
            "never changes: upload under a new tag."
        )
    return version


def _require_expected(arrived: Digest | None, expected: Digest | None) -> None:
    if arrived is None or expected is None or arrived == expected:
        return
    raise DigestMismatch(
        f"The bytes that arrived are {arrived.size_bytes} with the SHA-256 {arrived.sha256[:12]}…; announced were "
        f"{expected.size_bytes} with {expected.sha256[:12]}…. The file was damaged on its way, or changed while it was "
        "sent: upload it again."
    )


def _register(request: VersionRequest, digest: Digest, inspected: Inspected, by: str) -> ModelVersion:
    """Create the signed row and its golden check, for the inspection has run in this environment."""
    fields = inspected.version_fields
    is_exception = inspected.report.is_trained_elsewhere
    try:
        with transaction.atomic():
            model, is_new = Model.objects.get_or_create(
                name=request.model, defaults={"is_public": settings.MLSERVE_NEW_MODELS == "public"}
            )
            _update_model(model, request, is_new=is_new)
            version = ModelVersion.objects.create(
                model=model,
                tag=request.tag,
                artifact_key=digest.key,
                sha256=digest.sha256,
                size_bytes=digest.size_bytes,
                form_config=request.form_config,
                uploaded_by=by,
                admission=admission_of(Admitted(digest, fields["artifact_format"])),
                other_versions_allowed_by=(by or "an unnamed user") if is_exception else "",
                **fields,
            )
            GoldenCheck.objects.record(version, GoldenCheck.Verdict.SAME, now=version.uploaded_at)
            return version
    except IntegrityError as error:
        raise Conflict(f"{request.model} {request.tag} was registered by another request just now.") from error


def _update_model(model: Model, request: VersionRequest, *, is_new: bool) -> None:
    changes: dict[str, Any] = {}
    if request.title is not None:
        changes["title"] = request.title
    elif is_new and request.form_config:
        # A form may have a longer title than a model.
        changes["title"] = (request.form_config.get("title") or "")[:_MAX_TITLE]
        changes["description"] = request.form_config.get("description") or ""
    if request.is_public is not None:
        changes["is_public"] = request.is_public
    for name, value in changes.items():
        setattr(model, name, value)
    if changes:
        model.save(update_fields=list(changes))


def _changes(before: Model | None, after: Model) -> tuple[str, ...]:
    if before is None:
        return ()
    visibility = "Made public" if after.is_public else "Made private"
    return (
        *([f"{visibility} with an upload."] if after.is_public != before.is_public else []),
        *(["Title changed with an upload."] if after.title != before.title else []),
    )
