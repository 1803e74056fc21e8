"""Accept a request for predictions: from a model and parsed JSON to a stored row, ended already or queued."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import DataError, IntegrityError
from django.utils import timezone

from mlserve.errors import BadParameter, InvalidRows, MlserveError, NoLiveVersion, NotFound, TooLarge
from mlserve.http.renderers import dump_json
from mlserve.observability import logs
from mlserve.permissions import token_id_of
from predictions.metrics.counters import count_refused
from predictions.models import Prediction
from predictions.models.payloads import discard, inline_or_store
from predictions.serving.in_place import fits_in_place, note_pace_of_worker, predict_in_place, shared_calls
from predictions.serving.recording import record
from predictions.store.reading import find_readable
from predictions.store.waiting import wait_until_ended
from registry.models import Model, ModelVersion
from registry.publishing.lookup import find_version
from registry.schema.options import shown
from registry.schema.record import RowWarning

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True)
class Target:
    """Which version is asked for: of a model or of the default one, live or by tag."""

    model: str | None = None
    tag: str | None = None


def resolve(target: Target, user: User) -> ModelVersion:
    """The version that serves `target` at this moment. Raises NotFound or NoLiveVersion.

    A model that `user` may not see is not found, exactly as one that does not exist.
    """
    version = find_version(target.model, target.tag, only_public=not user.is_authenticated)
    if version is None:
        raise _unresolved(target, user)
    return version


def submit(
    version: ModelVersion,
    payload: Any,
    *,
    outputs: Sequence[str],
    user: User,
    wait_seconds: float = 0,
    ignores_unknown: bool = False,
) -> Prediction:
    """Validate and store; with its result, if that can be had within `wait_seconds`.

    1. check outputs and size    2. validate; with `ignores_unknown` without columns that the model lacks, with warnings
    3. predict here while the caller waits    4. else store as queued, wake a worker    5. wait for it in what is left

    Raises InvalidRows, TooLarge, BadParameter, Overloaded or Unavailable; then nothing was accepted.
    """
    deadline = time.monotonic() + wait_seconds
    require_outputs(version, outputs)
    _require_size(payload)
    rows, warnings = _validated(version, payload, ignores_unknown=ignores_unknown)
    prediction = Prediction(
        version=version,
        owner_id=user.pk if user.is_authenticated else None,
        outputs=",".join(outputs),
        row_count=len(rows),
        token_id=token_id_of(user),
        request_id=logs.current_request_id(),
        warnings=dump_json([warning.as_json() for warning in warnings]).decode(),
        is_raw=bool(version.record_schema.marks),
        created_at=timezone.now(),
    )
    logs.add_facts(prediction_id=str(prediction.pk), model=version.model.name, version=version.tag)
    prediction.inputs = inline_or_store(dump_json(rows), prediction.pk, "inputs")
    with _discarded_if_refused(prediction):
        is_ended = bool(
            wait_seconds
            and fits_in_place(version, rows)
            and predict_in_place(prediction, rows, timeout_seconds=wait_seconds)
        )
        if not is_ended:
            record([prediction])
    if is_ended:
        if prediction.is_raw:
            Prediction.objects.redact_ended([prediction.pk])
        return prediction
    shared_calls.turn_away()
    return _ended_by_worker(prediction, user, deadline) if wait_seconds else prediction


def _ended_by_worker(prediction: Prediction, user: User, deadline: float) -> Prediction:
    """The prediction with its result, or as it is when the time is up."""
    if not wait_until_ended(prediction.pk, deadline - time.monotonic()):
        return prediction
    ended = find_readable(prediction.pk, user) or prediction
    note_pace_of_worker(ended)
    return ended


@contextmanager
def _discarded_if_refused(prediction: Prediction) -> Iterator[None]:
    """What lies in the storage for a row that is not stored would stay there until the sweep finds it.

    A database that does not answer may have stored the row all the same, so then the objects stay.
    """
    try:
        yield
    except (MlserveError, DataError, IntegrityError):
        discard([prediction.inputs, prediction.result])
        raise


def parse_outputs(text: str | None) -> list[str]:
    """`?outputs=predict,predict_proba` as a list without repetitions; `predict` when absent."""
    if text is None:
        return ["predict"]
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise BadParameter("outputs is empty. Give a comma-separated list as outputs=predict,predict_proba.")
    return names


def parse_unknown(text: str | None) -> bool:
    """`?unknown=ignore`: whether columns that the model does not have are left out. Raises BadParameter."""
    if text not in (None, "ignore"):
        raise BadParameter(
            f"unknown is {shown(text)}; the only value is `ignore`. Without it such columns are refused."
        )
    return text is not None


def require_outputs(version: ModelVersion, outputs: Sequence[str]) -> None:
    """Raise BadParameter unless the version offers each of `outputs`."""
    missing = [name for name in outputs if name not in version.outputs]
    if missing:
        raise BadParameter(
            f"outputs: {', '.join(missing)} is not among what {version} offers: {', '.join(version.outputs)}."
        )


def _validated(
    version: ModelVersion, payload: Any, *, ignores_unknown: bool
) -> tuple[list[dict[str, Any]], list[RowWarning]]:
    schema, warnings = version.record_schema, list[RowWarning]()
    try:
        if ignores_unknown or schema.ignores_unknown:
            payload, warnings = schema.without_unknown(payload, example=version.example)
        return schema.validated(payload, example=version.example), warnings
    except InvalidRows:
        count_refused(version)
        raise


def _require_size(payload: Any) -> None:
    if isinstance(payload, list) and len(payload) > settings.MLSERVE_MAX_ROWS:
        raise TooLarge(
            f"{len(payload)} rows; at most {settings.MLSERVE_MAX_ROWS} fit into one request (MLSERVE_MAX_ROWS). "
            "Send them in several requests."
        )


def _unresolved(target: Target, user: User) -> NotFound | NoLiveVersion:
    """Why there is no version, told only to those who may see the model."""
    visible = Model.objects.visible_to(user)
    # One statement, whether there is no such model or it is hidden.
    model = visible.filter(name=target.model).first() if target.model else _visible_default(user)
    if model is None:
        what = f"model {target.model!r}" if target.model else "default model that you may use"
        return NotFound(f"There is no {what}. GET /api/models lists the models.")
    if target.tag is not None:
        return NotFound(
            f"The model {model.name!r} has no version {target.tag!r}. GET /api/models/{model.name}/versions lists them."
        )
    return NoLiveVersion(
        f"The model {model.name!r} has no live version. "
        f"Promote one: `.venv/bin/python manage.py promote_model {model.name} TAG`, or in the admin."
    )


def _visible_default(user: User) -> Model | None:
    """The model that serves POST /api/predict, if `user` may see it."""
    model = Model.objects.default()
    return model if model is not None and (model.is_public or user.is_authenticated) else None
