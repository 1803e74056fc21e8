"""Find one prediction by its id, in one statement that also checks whether the reader may see it."""

from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q, QuerySet

from mlserve.errors import PredictionFailed
from mlserve.permissions import may, sees_everything
from mlserve.prepared import Parameter, PreparedQuery
from predictions.models import Prediction
from registry.publishing.lookup import Identity, version_of

VIEW_INPUTS = "predictions.view_inputs"
_UNSAID = "The model raised an error. Its words may repeat what was put in, which your account may not see."
# All but the input, which can be large and is fetched where it is shown.
_FIELDS = tuple(field.attname for field in Prediction._meta.concrete_fields if field.attname != "inputs")


def find_readable(prediction_id: UUID, user: AbstractBaseUser | AnonymousUser) -> Prediction | None:
    """The prediction with its version, or None: there is none, or `user` may not see it."""
    # The user of a page is looked up lazily; here always, or the time taken would tell whether there is a prediction.
    owner = user.pk if user.is_authenticated else None
    row = _ANY.first(pk=prediction_id) if sees_everything(user) else _SHOWN_TO.first(pk=prediction_id, owner=owner)
    if row is None:
        return None
    prediction = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row[: len(_FIELDS)])
    prediction.version = version_of(Identity._make(row[len(_FIELDS) :]))
    return prediction


def may_see_inputs(prediction: Prediction, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether `user`, who may read the prediction, may also see its input.

    Its owner may, and every holder of the id of a prediction on a public model. Staff see all ids in a list, so that
    they need the permission for inputs of others.
    """
    if user.is_authenticated and prediction.owner_id == user.pk:
        return True
    return not sees_everything(user) or may(user, VIEW_INPUTS)


def shown_error(prediction: Prediction, *, with_inputs: bool) -> dict[str, Any] | None:
    """The problem of a prediction that failed, without the model's message for readers who may not see inputs.

    Such a message repeats values: “could not convert string to float: 'Smith'”.
    """
    error: dict[str, Any] | None = orjson.loads(prediction.error) if prediction.error else None
    if error is None or with_inputs or not error.get("type", "").endswith(f"/{PredictionFailed.slug}"):
        return error
    rows = [{**row, "detail": _UNSAID} for row in error.get("errors", ())]
    return {**error, "detail": _UNSAID, **({"errors": rows} if rows else {})}


def _by_id(*which: Q) -> "QuerySet[Any, Any]":
    identity = [f"version__{name}" for name in Identity._fields]
    found = Prediction.objects.filter(*which, pk=Parameter("pk", Prediction._meta.get_field("id"))).order_by()
    return found.values_list(*_FIELDS, *identity)


def _shown_to() -> "QuerySet[Any, Any]":
    """For readers who are not staff: predictions on a public model, and those that they own. Strangers own none.

    The database decides, so that nothing is fetched of a hidden row: the time for a large result would reveal it.
    """
    return _by_id(Q(version__model__is_public=True) | Q(owner=Parameter("owner", _OWNER)))


_OWNER = Prediction._meta.get_field("owner").target_field
_ANY, _SHOWN_TO = PreparedQuery(_by_id), PreparedQuery(_shown_to)
