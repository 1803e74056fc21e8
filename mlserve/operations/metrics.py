"""`/metrics`: totals of all processes, and what the tables hold now, in Prometheus' text format.

All of it is read from the database, so each host and each function gives the same answer.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from typing import NoReturn

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db.models import Count
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
from mlserve.observability.counters import BUCKET_LABELS, SUM, Series
from mlserve.observability.database_errors import UNREACHABLE, trouble_of
from predictions.metrics import counters, totals
from predictions.models import Prediction
from predictions.queue import heartbeat
from registry.models import Incident, ModelVersion

# /api/models lists all versions; a scrape with more than this would be too large to be useful.
_MOST_VERSIONS = 2_000
_VERSION = ("model", "version")
# By the name under which each is counted: its name in /metrics, its labels, and its description.
_COUNTERS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    counters.PREDICTIONS: (
        "mlserve_predictions",
        (*_VERSION, "status"),
        "Predictions that ended: succeeded, failed, canceled or expired.",
    ),
    counters.REFUSED: (
        "mlserve_validation_errors",
        ("model",),
        "Requests that were refused because their rows do not fit the model's schema.",
    ),
    "requests": ("mlserve_http_requests", ("method", "status"), "Answered HTTP requests, health probes included."),
}
_HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    counters.DURATION: ("mlserve_prediction_duration_seconds", "From the request to the end of its prediction."),
    counters.QUEUED: ("mlserve_prediction_queue_seconds", "From the request to the beginning of its prediction."),
    counters.LOADED: ("mlserve_model_load_seconds", "Time to load an artifact into a process, fetching it included."),
}


class _MetricsForStaff(APIView):
    """For requests without the scraper's token: of staff who signed in, or whose API token has the scope `admin`."""

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
    """Open to anyone on a laptop only, because it names private models. 503 while the database does not answer."""
    return _answer() if settings.ON_LAPTOP or _is_scraper(request) else _for_staff(request)


def _is_scraper(request: HttpRequest) -> bool:
    """Takes the same time for each wrong token. An empty setting matches no token."""
    expected: str = settings.MLSERVE_METRICS_TOKEN
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return bool(expected) and secrets.compare_digest(given, f"Bearer {expected}".encode())


def _answer() -> HttpResponse:
    try:
        totals.flush()  # what this process counted since the last second
        return HttpResponse(generate_latest(_Everything()), content_type=CONTENT_TYPE_LATEST)
    except AnyDatabaseError as error:
        trouble = trouble_of(error) or UNREACHABLE
        raise Unavailable(f"The metrics are in the database. {trouble.for_clients()}") from error


class _Everything(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from counted(totals.read_totals())
        yield from gauges(timezone.now())


def counted(totals: Mapping[Series, float]) -> Iterator[Metric]:
    """Counters and histograms; each is there from the beginning, if without samples."""
    by_metric: dict[str, list[tuple[Series, float]]] = {}
    for series, value in sorted(totals.items()):
        by_metric.setdefault(series.metric, []).append((series, value))
    for metric, (name, labels, help_text) in _COUNTERS.items():
        family = CounterMetricFamily(name, help_text, labels=labels)
        for series, value in by_metric.get(metric, ()):
            family.add_metric(_label_values(series), value)
        yield family
    for metric, (name, help_text) in _HISTOGRAMS.items():
        yield _histogram(HistogramMetricFamily(name, help_text, labels=_VERSION), by_metric.get(metric, ()))


def _label_values(series: Series) -> list[str]:
    if series.metric == "requests":
        return series.label.split(" ")
    if series.metric == counters.REFUSED:
        return [series.model]
    return [series.model, series.version, series.label]


def _histogram(family: HistogramMetricFamily, found: Iterable[tuple[Series, float]]) -> HistogramMetricFamily:
    """Prometheus counts in each bucket all durations up to its edge, so the smaller buckets are added to it."""
    by_version: dict[tuple[str, str], dict[str, float]] = {}
    for series, value in found:
        by_version.setdefault((series.model, series.version), {})[series.label] = value
    for labels, numbers in by_version.items():
        below = accumulate(numbers.get(edge, 0.0) for edge in BUCKET_LABELS)
        family.add_metric(labels, list(zip(BUCKET_LABELS, below, strict=True)), numbers.get(SUM, 0.0))
    return family


def gauges(now: datetime) -> Iterator[Metric]:
    """What the tables hold now. Raises django.db.Error. Each statement reads few rows, or an index of what waits."""
    waiting = Prediction.objects.queued()
    for name, help_text, value in (
        ("mlserve_queue_depth", "Predictions that wait for a worker.", waiting.count()),
        (
            "mlserve_queue_oldest_age_seconds",
            "How long the oldest of them has waited.",
            Prediction.objects.oldest_queued_seconds(now=now),
        ),
        ("mlserve_predictions_running", "Predictions that a worker has begun.", Prediction.objects.running().count()),
        ("mlserve_workers", "Workers that were seen lately, on any host.", heartbeat.count_seen()),
    ):
        yield GaugeMetricFamily(name, help_text, value=value)
    yield _live_versions()
    yield _open_incidents()


def _live_versions() -> Metric:
    """With the scikit-learn that trained each or, if that is unknown, the one that inspected it."""
    labels = (*_VERSION, "sklearn_version", "sha256")
    family = GaugeMetricFamily("mlserve_model_info", "Each model's live version.", labels=labels)
    live = ModelVersion.objects.live().order_by("pk").values_list("model__name", "tag", "environment", "sha256")
    for name, tag, environment, sha256 in live[:_MOST_VERSIONS]:
        known = {**environment.get("inspected_with", {}), **environment.get("trained_with", {})}
        family.add_metric([name, tag, str(known.get("scikit-learn", "")), sha256], 1)
    return family


def _open_incidents() -> Metric:
    family = GaugeMetricFamily("mlserve_open_incidents", "Calls that hung or crashed, uncleared.", labels=_VERSION)
    by_version = Incident.objects.open().values_list("version__model__name", "version__tag")
    counts = by_version.annotate(count=Count("pk")).order_by("version__model__name", "version__tag")
    for name, tag, count in counts[:_MOST_VERSIONS]:
        family.add_metric([name, tag], count)
    return family
