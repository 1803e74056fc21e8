"""What may not be deleted, and why; and the page that deletes a model with its versions."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from mlserve.errors import MlserveError
from registry.admin.forms import has_permission
from registry.admin.rows import page
from registry.models import Model, ModelVersion
from registry.publishing.deletion import Deleted, delete_model, is_referred_to, predictions_of, retention_sentence

_DELETE_VERSIONS, _DELETE_PREDICTIONS = "registry.delete_modelversion", "predictions.delete_prediction"
_MOST_COUNTED, _MOST_TAGS = 1000, 20


def why_kept(row: models.Model) -> str:
    """Why `row` must not be deleted; '' when it may be. Checked before Django collects the related rows."""
    if isinstance(row, Model):
        return f"{row} has versions. Its own page deletes it with them." if row.versions.exists() else ""
    if not isinstance(row, ModelVersion):
        return ""
    if row.is_live:
        return f"{row} is live. Promote another version first, or retire it."
    if is_referred_to(row):
        return (
            f"{row} has made predictions, which name it as their source. They are deleted "
            f"{retention_sentence(row.model)}; then it can be, too."
        )
    return ""


class DeletionForm(forms.Form):
    """The choice that is asked where there are predictions."""

    predictions = forms.ChoiceField(
        label="Its predictions",
        choices=[
            ("keep", "Keep them. The versions that they name stay, retired, and with them the model."),
            ("delete", "Delete them for good, with their inputs and results."),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what becomes of its predictions."},
    )


def deletion_view(site: Any, request: HttpRequest, model: Model) -> HttpResponse:
    """Say what is deleted, ask once, delete. For a model with versions."""
    if not site.has_delete_permission(request, model):
        raise PermissionDenied
    if not has_permission(request.user, _DELETE_VERSIONS):
        raise PermissionDenied(f"{model} has versions, and your account lacks the permission {_DELETE_VERSIONS}.")
    count = predictions_of(model.versions.all(), most=_MOST_COUNTED)
    form = DeletionForm(request.POST if "post" in request.POST else None)
    if not count:
        del form.fields["predictions"]
    if request.method == "POST" and form.is_valid():
        return _deleted(site, request, model, wants_none=form.cleaned_data.get("predictions") == "delete")
    tags = list(model.versions.values_list("tag", flat=True))
    context = {
        "title": f"Delete: {model}",
        "original": model,
        "form": form,
        "tags": ", ".join(tags[:_MOST_TAGS]) + (" …" if len(tags) > _MOST_TAGS else ""),
        "version_count": len(tags),
        "live": model.versions.live().without_bulk().first(),
        "prediction_count": f"more than {_MOST_COUNTED}" if count > _MOST_COUNTED else count,
        "retention": retention_sentence(model),
    }
    return page(site, request, "delete_model", context)


def _deleted(site: Any, request: HttpRequest, model: Model, *, wants_none: bool) -> HttpResponse:
    if wants_none and not has_permission(request.user, _DELETE_PREDICTIONS):
        raise PermissionDenied(f"Your account lacks the permission {_DELETE_PREDICTIONS}.")
    name, pk = model.name, model.pk
    try:
        deleted = delete_model(model, with_predictions=wants_none, by=request.user.get_username())
    except MlserveError as error:
        site.message_user(request, f"Not everything was deleted. {error.detail}", messages.ERROR)
        return redirect("admin:registry_model_change", pk)
    model.pk = pk  # Django takes it from what it deletes
    if not deleted.kept:
        site.log_deletions(request, [model])
        site.message_user(request, f"{name} is deleted, with {_in_words(deleted)}.", messages.SUCCESS)
        return redirect("admin:registry_model_changelist")
    sentence = f"Retired and deleted as far as predictions allow: {_in_words(deleted)}."
    site.log_change(request, model, sentence)
    again = "They came or were running meanwhile, or time was too short: delete it again." if wants_none else ""
    stays = f"{', '.join(deleted.kept[:_MOST_TAGS])} of {name} stays for the predictions that name it. {again}".strip()
    site.message_user(request, f"{sentence} {stays}", messages.WARNING)
    return redirect("admin:registry_model_change", pk)


def _in_words(deleted: Deleted) -> str:
    versions, predictions = len(deleted.versions), deleted.predictions
    return (
        f"{versions} {'version' if versions == 1 else 'versions'} and "
        f"{predictions} {'prediction' if predictions == 1 else 'predictions'}"
    )
