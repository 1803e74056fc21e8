"""The pages that change the live version: promote, roll back, retire. Each asks once, and says what follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from mlserve.errors import MlserveError
from registry.admin.forms import PROMOTE, has_permission
from registry.admin.rows import confirm, row_or_404
from registry.models import ModelVersion
from registry.publishing.publish import promote, retire, rollback


@dataclass(frozen=True)
class _Move:
    """A change of the live version: one row for each button. `run` returns the version that it is about."""

    title: str
    consequence: Callable[[ModelVersion], str]
    run: Callable[[ModelVersion, str], ModelVersion]
    done: str
    message: str


_MOVES: Mapping[str, _Move] = {
    "promote": _Move(
        "Promote",
        lambda version: f"{version} will answer every request from the next one on. {_live_sentence(version)}",
        lambda version, by: promote(version.model.name, version.tag, by=by),
        "Promoted",
        "{} is live.",
    ),
    "rollback": _Move(
        "Roll back",
        lambda version: f"{version} will be retired, and {earlier(version)} answers every request again.",
        lambda version, by: rollback(version.model.name, by=by),
        "Live again after a rollback",
        "{} is live.",
    ),
    "retire": _Move(
        "Retire",
        lambda version: (
            f"{version} will be retired, and no version takes its place: requests to {version.model} that name no "
            "version are refused (422) until one is promoted. What is queued is still predicted."
        ),
        lambda version, by: retire(version.model.name, version.tag, by=by),
        "Retired",
        "{} is retired; its model has no live version now.",
    ),
}


def move_view(site: Any, request: HttpRequest, pk: int, move: str) -> HttpResponse:
    """Confirm, then do it."""
    if not has_permission(request.user, PROMOTE):
        raise PermissionDenied
    version, change = row_or_404(site, request, pk), _MOVES[move]
    refusal = _refusal(version, move)
    if request.method != "POST" and not refusal:
        return confirm(site, request, version, title=change.title, consequence=change.consequence(version))
    page = "admin:registry_modelversion_change"
    if refusal:
        site.message_user(request, refusal, messages.WARNING)
        return redirect(page, version.pk)
    try:
        moved = change.run(version, request.user.get_username())
    except MlserveError as error:
        site.message_user(request, error.detail, messages.ERROR)
        return redirect(page, version.pk)
    site.log_change(request, moved, f"{change.done}.")
    site.message_user(request, change.message.format(moved), messages.SUCCESS)
    return redirect(page, moved.pk)


def earlier(version: ModelVersion) -> ModelVersion | None:
    """The version that a rollback of the model would make live."""
    current = version.model.promotions.select_related("replaced__version__model").first()
    return current.replaced.version if current is not None and current.replaced is not None else None


def _live_sentence(version: ModelVersion) -> str:
    live = version.model.versions.live().without_bulk().first()
    return f"{live.tag} is retired by it; a rollback brings it back." if live else "No version is live yet."


def _refusal(version: ModelVersion, move: str) -> str:
    """Why it cannot be done, such as from a page that is out of date; '' if it can."""
    if move == "promote":
        return f"{version} is live already." if version.is_live else ""
    if not version.is_live:
        what = "roll back from it" if move == "rollback" else "retire"
        return f"{version} is not live, so there is nothing to {what}."
    if move == "rollback" and not earlier(version):
        return f"{version.model} had no other live version before this one."
    return ""
