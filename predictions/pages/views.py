"""The HTML pages: the list of models, the form of each, and a permalink for each prediction."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_safe

from mlserve.access.audit import note_inputs_seen
from mlserve.errors import InvalidRows, NoLiveVersion, NotFound
from mlserve.permissions import sees_everything
from mlserve.units import duration_text
from predictions.models import Prediction, queue_seconds
from predictions.pages.answers import answers_of
from predictions.pages.forms import RecordForm
from predictions.pages.questions import offered_texts, sections_of, text_of
from predictions.pages.snippets import Snippet, snippets
from predictions.pages.suggestions import Suggestions
from predictions.serving.submission import Target, resolve, submit
from predictions.status import Status
from predictions.store.reading import find_readable, may_see_inputs, shown_error
from registry.models import Model, ModelVersion
from registry.schema.options import shown
from registry.schema.privacy import Mark, shown_text, without_marked
from registry.schema.record import Row

if TYPE_CHECKING:
    from registry.schema.form_config import FormConfig

# After this the permalink is shown, which updates itself, instead of a page that keeps loading.
_MOST_WAIT_SECONDS = 10
_SHOWN_ROWS = 100
_MOST_SUGGESTIONS, _SUGGESTIONS_SECONDS = 50, 3600
_MOST_COLUMNS_KEPT = 16
_WANTED_OUTPUTS = ("predict", "predict_proba")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The models that the visitor may use."""
    return render(request, "home.html", {"models": Model.objects.visible_to(request.user).with_live_versions()})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def model_page(request: HttpRequest, model: str) -> HttpResponse:
    """The form of a model's live version; posted, the result on the same page, which has an address of its own."""
    try:
        version = resolve(Target(model), request.user)
    except NoLiveVersion:
        if asked := request.GET.get("prediction"):  # the page was there before, and may be reloaded
            return redirect("prediction-page", pk=_id(asked))
        return render(request, "model.html", {"model": Model.objects.get(name=model)})
    if request.method == "POST":
        return _predict(request, version)
    if asked := request.GET.get("prediction"):
        return _page_with_result(request, version, _of_model(request, asked, version))
    row = _prefill(request, version)
    return _render_model(request, version, RecordForm(version.record_schema, _config(version), row=row), row=row)


@cache_control(private=True, max_age=_SUGGESTIONS_SECONDS)
@require_safe
def suggestions(request: HttpRequest, model: str) -> HttpResponse:
    """The values of a column (`?column=`) that a person may mean who typed `?text=`, as a JSON list of texts."""
    version = resolve(Target(model, request.GET.get("version")), request.user)
    column = request.GET.get("column", "")
    if column not in version.record_schema.properties:
        raise NotFound(f"The model {model!r} has no column {shown(column)}.")
    texts = _suggestions_of(version, column).matching(request.GET.get("text", ""), most=_MOST_SUGGESTIONS)
    return HttpResponse(orjson.dumps(texts), content_type="application/json")


@never_cache
@require_safe
def prediction_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The permalink of a prediction."""
    prediction = _readable(request, pk)
    live = prediction.version.model.versions.live().only("tag").first()
    is_shown = _inputs_are_shown(prediction, request)
    shown = _shown(prediction, with_inputs=is_shown)
    context = {"live": live, "model": prediction.version.model, "inputs_are_hidden": not is_shown, **shown}
    return render(request, "prediction.html", context)


def _predict(request: HttpRequest, version: ModelVersion) -> HttpResponse:
    """Redirects to a page that can be reloaded, and left and come back to, without predicting again."""
    form = RecordForm(version.record_schema, _config(version), data=request.POST)
    try:
        wait_seconds = min(_MOST_WAIT_SECONDS, settings.MLSERVE_MAX_WAIT)
        prediction = submit(
            version, form.record(), outputs=_outputs(version), user=request.user, wait_seconds=wait_seconds
        )
    except InvalidRows as error:
        form.show_errors(error.errors)
        return _render_model(request, version, form, status=422)
    if not prediction.has_ended:
        return redirect("prediction-page", pk=prediction.pk)
    address = reverse("model-page", kwargs={"model": version.model.name})
    return redirect(f"{address}?{urlencode({'prediction': str(prediction.pk)})}#result")


def _page_with_result(request: HttpRequest, version: ModelVersion, prediction: Prediction) -> HttpResponse:
    """The form filled with the prediction's input, and the result beside it.

    What the form could not have asked, or its reader may not see, is shown at its permalink: many rows, another version
    than the live one, what has not ended, hidden inputs.
    """
    is_of_form = prediction.has_ended and prediction.row_count == 1 and prediction.version_id == version.pk
    if not (is_of_form and _inputs_are_shown(prediction, request)):
        return redirect("prediction-page", pk=prediction.pk)
    row = without_marked(prediction.rows[0], version.record_schema.marks)
    form = RecordForm(version.record_schema, _config(version), row=row)
    return _render_model(request, version, form, row=row, prediction=prediction)


def _render_model(
    request: HttpRequest,
    version: ModelVersion,
    form: RecordForm,
    *,
    row: Row | None = None,
    prediction: Prediction | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "model": version.model,
        "version": version,
        "config": _config(version),
        "form": form,
        "asked_again": _asked_again(request, form),
        "snippets": _snippets(request, version, row),
        "is_example": row is None,
        **(_shown(prediction) if prediction else {}),
    }
    return render(request, "model.html", context, status=status)


def _prefill(request: HttpRequest, version: ModelVersion) -> Row | None:
    """The record to start from: an earlier prediction's first (`?from=`), an example (`?example=`), or none."""
    asked: QueryDict = request.GET
    if earlier := asked.get("from"):
        prediction = _of_model(request, earlier, version)
        if not _inputs_are_shown(prediction, request):
            return None
        return without_marked(prediction.rows[0], version.record_schema.marks)
    return version.example() if "example" in asked else None


def _of_model(request: HttpRequest, asked: str, version: ModelVersion) -> Prediction:
    """The prediction with this id, of any version of the model."""
    prediction = _readable(request, _id(asked))
    if prediction.version.model_id != version.model_id:
        raise NotFound(f"The prediction {asked} is not one of this model's.")
    return prediction


def _id(text: str) -> UUID:
    """Raises NotFound."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"{shown(text)} is not the id of a prediction.") from error


def _asked_again(request: HttpRequest, form: RecordForm) -> list[str]:
    """The labels of the columns that an earlier prediction cannot fill in."""
    return [str(column.label) for column in form.unkept_columns()] if {"from", "prediction"} & set(request.GET) else []


def _readable(request: HttpRequest, pk: UUID) -> Prediction:
    prediction = find_readable(pk, request.user)
    if prediction is None:
        raise NotFound(f"There is no prediction {pk}, or it is not yours to see.")
    return prediction


def _config(version: ModelVersion) -> "FormConfig":
    from registry.schema.form_config import (
        FormConfig,  # pydantic costs a process that shows no page a tenth of a second
    )

    return FormConfig.model_validate(version.form_config or {})


def _suggestions_of(version: ModelVersion, column: str) -> Suggestions:
    key = (version.pk, version.uploaded_at, column)
    found = _suggestions.get(key)
    if found is None:
        found = Suggestions(offered_texts(version.record_schema, _config(version), column))
        _suggestions[key] = found
        while len(_suggestions) > _MOST_COLUMNS_KEPT:
            _suggestions.popitem(last=False)
    return found


# A version never changes, and 100,000 values of a column take a tenth of a second to be prepared.
_suggestions: OrderedDict[tuple[int, datetime, str], Suggestions] = OrderedDict()


def _inputs_are_shown(prediction: Prediction, request: HttpRequest) -> bool:
    """Whether the reader may see the input. That staff look at another account's input is recorded."""
    if not may_see_inputs(prediction, request.user):
        return False
    if sees_everything(request.user) and prediction.owner_id != request.user.pk:
        note_inputs_seen(request.user, prediction)
    return True


def _shown(prediction: Prediction, *, with_inputs: bool = True) -> dict[str, Any]:
    """The context of the templates that show a prediction."""
    version = prediction.version
    config = _config(version)
    rows = prediction.rows[:_SHOWN_ROWS]
    result = orjson.loads(prediction.result_json or '{"predictions": []}')
    questions = [question for section in sections_of(version.record_schema, config) for question in section.questions]
    labels = {question.name: question.label for question in questions}
    columns = labels if with_inputs else {}
    return {
        "prediction": prediction,
        "version": version,
        "config": config,
        "was_predicted": prediction.status == Status.SUCCEEDED,
        "labels": columns.values(),
        "rows": _table(
            rows, columns, version.record_schema.marks, answers_of(result, config.result.labels, limit=_SHOWN_ROWS)
        ),
        "warnings": [_named(warning, labels) for warning in orjson.loads(prediction.warnings)],
        "error": shown_error(prediction, with_inputs=with_inputs),
        "queue_time": duration_text(queue_seconds(prediction)),
        "predict_time": duration_text(prediction.predict_seconds),
    }


def _table(
    rows: list[Row], labels: Mapping[str, str], marks: Mapping[str, Mark], answers: list[Any]
) -> list[dict[str, Any]]:
    """The rows as the page shows them: their number, the cells in the order of `labels`, and their answers."""
    return [
        {
            "number": number,
            "cells": [
                (label, shown_text(row, name, marks) or text_of(row.get(name))) for name, label in labels.items()
            ],
            "answers": answers[number - 1] if answers else [],
        }
        for number, row in enumerate(rows, start=1)
    ]


def _named(warning: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    column = warning["column"]
    return {"number": warning["row"] + 1, "label": labels.get(column, column), "detail": warning["detail"]}


def _outputs(version: ModelVersion) -> list[str]:
    """What the pages show."""
    return [name for name in _WANTED_OUTPUTS if name in version.outputs]


def _snippets(request: HttpRequest, version: ModelVersion, row: Row | None) -> list[Snippet]:
    """The request that this page makes for the row; for an example where there is none."""
    url = request.build_absolute_uri(reverse("model-predict", kwargs={"model": version.model.name}))
    example, schema = version.example(), version.record_schema
    # A page never shows the values of redacted columns, and one of an earlier version may have other columns.
    given = example if row is None else {**{name: example.get(name) for name in schema.marks}, **row}
    record = {name: given[name] for name in schema.names if name in given}
    return snippets(url, record, _outputs(version), needs_account=not version.model.is_public)
