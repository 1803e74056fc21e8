"""`/metrics`: figures in the text format of Prometheus, from the database, so that any process answers the same."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NoReturn

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.views import APIView

from mlserve.errors import Unavailable
from mlserve.observability.counters import BUCKETS, INFINITE, SUM, Series
from predictions.metrics import counting
from predictions.metrics import totals as figures
from predictions.metrics.totals import Moment

_VERSION = ("model", "version")
# The names of labels, and what /metrics says of each counter and histogram, by what it is counted under.
_COUNTERS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    counting.PREDICTIONS: (
        "mlserve_predictions",
        (*_VERSION, "status"),
        "Predictions that ended: succeeded, failed, canceled or expired.",
    ),
    counting.REFUSED: (
        "mlserve_validation_errors",
        ("model",),
        "Requests that were refused because their rows do not fit the model's schema.",
    ),
    "requests": ("mlserve_http_requests", ("method", "status"), "Answered HTTP requests, health probes included."),
}
_HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    counting.DURATION: ("mlserve_prediction_duration_seconds", "From the request to the end of its prediction."),
    counting.QUEUED: ("mlserve_prediction_queue_seconds", "From the request to the beginning of its prediction."),
    counting.LOADED: ("mlserve_model_load_seconds", "Time to load an artifact into a process, fetching it included."),
}


class _MetricsForStaff(APIView):
    """Whoever has no token of the scraper: signed in as staff, or with an API token of theirs that has `admin`."""

    permission_classes = [IsAdminUser]
    schema = None

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if not request.user.is_authenticated:
            raise NotAuthenticated("Send MLSERVE_METRICS_TOKEN as a bearer token, or sign in as staff.")
        super().permission_denied(request, message, code)

    def get(self, _request: Request) -> HttpResponse:
        return _answer()


_for_staff = _MetricsForStaff.as_view()


@require_safe
def metrics(request: HttpRequest) -> HttpResponseBase:
    """Names of private models stand there, so it is open on a laptop only. 503 when the database does not answer."""
    return _answer() if settings.ON_LAPTOP or _is_scraper(request) else _for_staff(request)


def _is_scraper(request: HttpRequest) -> bool:
    """In the same time for each wrong token; nobody has an unset one."""
    expected: str = settings.MLSERVE_METRICS_TOKEN
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return bool(expected) and secrets.compare_digest(given, f"Bearer {expected}".encode())


def _answer() -> HttpResponse:
    try:
        figures.flush()  # what this process counted since the last second
        families = list(metric_families(figures.totals(), figures.this_moment(timezone.now())))
    except AnyDatabaseError as error:
        raise Unavailable("The figures are in the database, which did not answer.") from error
    return HttpResponse(generate_latest(_Collected(families)), content_type=CONTENT_TYPE_LATEST)


def metric_families(totals: Mapping[Series, float], moment: Moment) -> Iterator[Metric]:
    """Everything under its name; the same names whether or not there is anything to tell."""
    for metric, (name, labels, help_text) in _COUNTERS.items():
        family = CounterMetricFamily(name, help_text, labels=labels)
        for series, value in _of(metric, totals):
            family.add_metric(_label_values(metric, series), value)
        yield family
    for metric, (name, help_text) in _HISTOGRAMS.items():
        yield _histogram(HistogramMetricFamily(name, help_text, labels=_VERSION), _of(metric, totals))
    yield from _gauges(moment)


class _Collected(Collector):
    """What prometheus-client makes text of."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of(metric: str, totals: Mapping[Series, float]) -> list[tuple[Series, float]]:
    return sorted(
        ((series, value) for series, value in totals.items() if series.metric == metric),
        key=lambda item: (item[0].model, item[0].version, item[0].label),
    )


def _label_values(metric: str, series: Series) -> list[str]:
    if metric == "requests":
        return series.label.split(" ")
    if metric == counting.REFUSED:
        return [series.model]
    return [series.model, series.version, series.label]


def _histogram(family: HistogramMetricFamily, found: Iterable[tuple[Series, float]]) -> HistogramMetricFamily:
    """Each bucket holds all that took no longer than its edge, so the smaller ones are added to it."""
    by_version: dict[tuple[str, str], dict[str, float]] = {}
    for series, value in found:
        by_version.setdefault((series.model, series.version), {})[series.label] = value
    for labels, numbers in by_version.items():
        edges = [*(f"{edge:g}" for edge in BUCKETS), INFINITE]
        below = accumulate(numbers.get(edge, 0.0) for edge in edges)
        family.add_metric(labels, list(zip(edges, below, strict=True)), numbers.get(SUM, 0.0))
    return family


def _gauges(moment: Moment) -> Iterator[Metric]:
    for name, help_text, value in (
        ("mlserve_queue_depth", "Predictions that wait for a worker.", moment.queued),
        ("mlserve_queue_oldest_age_seconds", "How long the oldest of them has waited.", moment.oldest_queued_seconds),
        ("mlserve_predictions_running", "Predictions that a worker has begun.", moment.running),
        ("mlserve_workers", "Workers that were seen lately, on any host.", moment.workers),
    ):
        yield GaugeMetricFamily(name, help_text, value=value)
    info = GaugeMetricFamily(
        "mlserve_model_info", "Each model's live version.", labels=(*_VERSION, "sklearn_version", "sha256")
    )
    for live in moment.live:
        info.add_metric([live.model, live.tag, live.sklearn_version, live.sha256], 1)
    yield info
    incidents = GaugeMetricFamily("mlserve_open_incidents", "Calls that hung or crashed, uncleared.", labels=_VERSION)
    for model, version, count in moment.open_incidents:
        incidents.add_metric([model, version], count)
    yield incidents
