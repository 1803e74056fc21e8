"""Predictions in the admin: those that are queued, those that failed and why; queued ones can be canceled there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import PermissionsMixin, User
from django.core.paginator import InvalidPage, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q import admin as queue_admin
from django_q.models import Failure, OrmQ, Schedule, Success

from mlserve.access.audit import note_inputs_seen
from mlserve.models import DeletedAccount
from mlserve.units import duration_text
from predictions.admin.sweep import ScheduleAdmin
from predictions.models import PendingWakeUp, Prediction, Worker
from predictions.queue.heartbeat import SEEN_WITHIN
from predictions.status import Status
from predictions.store.listing import Page, listing_of_model
from predictions.store.reading import may_see_inputs, shown_error
from registry.schema.privacy import Mark, shown_text

# Success and Failure are always empty, for we keep none of django-q2's own records (save_limit -1), and OrmQ holds
# wake-ups that name no prediction: they would be read as our queue and results. Importing its admin first makes
# sure that there is something to take back.
for _theirs in (Success, Failure, OrmQ, Schedule):
    if queue_admin.admin.site.is_registered(_theirs):
        admin.site.unregister(_theirs)
admin.site.register(Schedule, ScheduleAdmin)

_SYMBOLS = {"queued": "…", "running": "▶", "succeeded": "✓", "failed": "✗", "canceled": "–", "expired": "⌛"}
_SHOWN_ROWS = 50
_FILTERS = ("status__exact", "version__model__id__exact")
_PAGES_AHEAD = 10
_MOST_PAGES = 200
_MOST_COUNTED = 1000


class LookAheadPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first ids of a listing; `is_cut` when it goes on behind them."""

    is_cut = False


class LookAheadList(ChangeList):
    """Looks some pages ahead along an index, instead of searching and counting a table of millions."""

    def get_results(self, request: HttpRequest) -> None:
        """Raises IncorrectLookupParameters, which leads back to the first page."""
        found = self._look_ahead(request)
        paginator = LookAheadPaginator(found.ids, self.list_per_page)
        paginator.is_cut = found.next is not None
        try:
            shown = paginator.page(self.page_num).object_list
        except InvalidPage as error:
            raise IncorrectLookupParameters from error
        self.result_list = self.root_queryset.filter(pk__in=shown).order_by("-pk")
        self.result_count = paginator.count
        self.full_result_count = None
        self.show_full_result_count, self.can_show_all, self.show_admin_actions = False, False, True
        self.multi_page = paginator.num_pages > 1
        self.paginator = paginator

    def _look_ahead(self, request: HttpRequest) -> Page:
        if self.query:
            return Page(list(self.queryset.values_list("pk", flat=True)[:1]), None)  # ids are searched for, whole ones
        status, model = (request.GET.get(name) for name in _FILTERS)
        if (status and status not in Status.values) or (model and not model.isdecimal()):
            raise IncorrectLookupParameters
        reach = min(self.page_num + _PAGES_AHEAD, _MOST_PAGES) * self.list_per_page
        return listing_of_model(int(model) if model else None, status or None).page(reach)


@admin.register(Prediction)
class PredictionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "short_id", "model_name", "tag", "status_text", "rows", "created", "queue_seconds", "predicted_in",
        "error_title",
    )  # fmt: skip
    list_filter = ("status", "version__model")
    search_fields = ("id",)
    search_help_text = "A whole prediction id"
    sortable_by = ()
    fields = (
        "status_text", "model_name", "tag", "asked_by", "outputs", "rows", "created_at", "started_at", "finished_at",
        "queue_seconds", "predicted_in", "attempts", "lease_holder", "lease_expires_at",
    )  # fmt: skip
    actions = ("cancel_queued",)
    # “Select all” would show a number of predictions, which is not counted.
    actions_selection_counter = False
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Prediction.objects.select_related("version__model").only(
            "status", "row_count", "created_at", "started_at", "predict_seconds", "error", "version__tag",
            "version__model__name",
        )  # fmt: skip

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LookAheadList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """The filters offered and no others, which would search the whole table."""
        return lookup in _FILTERS

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By primary key, which has an index, instead of by text."""
        if not search_term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return queryset.none(), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Predictions are not edited; the permission to change one is used for canceling it."""
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, PermissionsMixin) and request.user.has_perm("predictions.change_prediction")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"title": "Predictions", "queue": queue_summary(timezone.now()), **(extra_context or {})}
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        prediction = self.get_object(request, object_id)
        if prediction is None or not self.has_view_permission(request, prediction):
            return super().change_view(request, object_id, form_url, extra_context)
        is_shown = may_see_inputs(prediction, request.user)
        if is_shown and prediction.owner_id != request.user.pk:
            note_inputs_seen(request.user, prediction)
        details = _details(prediction, with_inputs=is_shown)
        return super().change_view(request, object_id, form_url, details | (extra_context or {}))

    @admin.action(description="Cancel selected queued predictions", permissions=["cancel"])
    def cancel_queued(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        now = timezone.now()
        canceled = [each for each in queryset if Prediction.objects.cancel(each.pk, now=now)]
        for prediction in canceled:
            self.log_change(request, prediction, "Canceled.")
        others = len(queryset) - len(canceled)
        message = f"{len(canceled)} canceled." + (f" {others} were no longer queued." if others else "")
        self.message_user(request, message, messages.WARNING if others else messages.SUCCESS)

    @admin.display(description="prediction")
    def short_id(self, prediction: Prediction) -> str:
        """The end of the id: its beginning is the time, which neighbours share."""
        return f"…{str(prediction.pk)[-8:]}"

    @admin.display
    def rows(self, prediction: Prediction) -> int:
        return prediction.row_count

    @admin.display
    def created(self, prediction: Prediction) -> str:
        return f"{timezone.localtime(prediction.created_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="model")
    def model_name(self, prediction: Prediction) -> str:
        return prediction.version.model.name

    @admin.display(description="version")
    def tag(self, prediction: Prediction) -> str:
        return prediction.version.tag

    @admin.display(description="owner")
    def asked_by(self, prediction: Prediction) -> str | None:
        """None without an account; of a deleted one its name is kept, and its id in any case."""
        if prediction.owner_id is None:
            return None
        for accounts in (User.objects, DeletedAccount.objects):
            if account := accounts.filter(pk=prediction.owner_id).first():
                return str(account)
        return f"a deleted account (id {prediction.owner_id})"

    @admin.display(description="status")
    def status_text(self, prediction: Prediction) -> SafeString:
        symbol, label = _SYMBOLS[prediction.status], prediction.get_status_display()
        return format_html('<span class="mlserve-status mlserve-{}">{} {}</span>', prediction.status, symbol, label)

    @admin.display(description="queued for")
    def queue_seconds(self, prediction: Prediction) -> str | None:
        if prediction.started_at is None:
            return None
        return duration_text((prediction.started_at - prediction.created_at).total_seconds())

    @admin.display(description="predicted in")
    def predicted_in(self, prediction: Prediction) -> str | None:
        return duration_text(prediction.predict_seconds) or None

    @admin.display(description="error")
    def error_title(self, prediction: Prediction) -> str | None:
        return orjson.loads(prediction.error).get("title") if prediction.error else None


def queue_summary(now: datetime) -> dict[str, Any]:
    """The queue and who works on it, without counting past `_MOST_COUNTED`."""
    oldest = Prediction.objects.queued().order_by("pk").values_list("created_at", flat=True).first()
    workers = list(Worker.objects.filter(seen_at__gt=now - SEEN_WITHIN).order_by("-seen_at")[:_MOST_COUNTED])
    return {
        "queued": _counted(Prediction.objects.queued()),
        "running": _counted(Prediction.objects.running()),
        "oldest": None if oldest is None else duration_text((now - oldest).total_seconds()),
        "workers": workers,
        "sent_at": PendingWakeUp.objects.filter(queue=settings.Q_CLUSTER["name"])
        .values_list("sent_at", flat=True)
        .first(),
    }


def _counted(predictions: QuerySet[Any]) -> str:
    count = len(predictions.values_list("pk")[: _MOST_COUNTED + 1])
    return f"more than {_MOST_COUNTED}" if count > _MOST_COUNTED else str(count)


def _details(prediction: Prediction, *, with_inputs: bool) -> dict[str, Any]:
    """The first rows of a prediction with what each gave, and what went wrong."""
    result: dict[str, Any] = orjson.loads(prediction.result_json or "{}")
    answers = {name: values for name, values in result.items() if values}
    rows = prediction.rows[:_SHOWN_ROWS]
    schema = prediction.version.record_schema
    names, marks = schema.names if with_inputs else [], schema.marks
    return {
        "names": names,
        "answer_names": list(answers),
        "table": [
            _cells(row, names, marks, [values[index] for values in answers.values()]) for index, row in enumerate(rows)
        ],
        "shown_rows": len(rows),
        "inputs_are_hidden": not with_inputs,
        "prediction_warnings": [
            {**warning, "row": warning["row"] + 1} for warning in orjson.loads(prediction.warnings)[:_SHOWN_ROWS]
        ],
        "error": shown_error(prediction, with_inputs=with_inputs),
    }


def _cells(row: dict[str, Any], names: Sequence[str], marks: Mapping[str, Mark], answers: Sequence[Any]) -> list[str]:
    shown = [shown_text(row, name, marks) or _text(row.get(name)) for name in names]
    return shown + [_text(answer) for answer in answers]


def _text(value: Any) -> str:
    """A JSON value in full, unlike on the pages, where floats are rounded."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(part)}" for name, part in value.items())
    if value is None:
        return "–"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
