"""Spans for OpenTelemetry where OTEL_EXPORTER_OTLP_ENDPOINT is set; elsewhere nothing, at no cost.

The id of a request is made from its span, and the rows of its predictions contain that id: a worker continues the trace
by it, without a column for it. No span contains inputs, a query string or an exception's message.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from multiprocessing.util import Finalize
from typing import Any

from mlserve.observability import logs
from mlserve.observability.request_ids import OF_TRACE

# trace and span, as a request id names them.
_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
_MOST_LINKS = 100
_TRACE_HEADERS = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
_NO_SPAN: AbstractContextManager[Any] = nullcontext()

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _State:
    tracer: Any = None


def start_tracing() -> None:
    """Call it in each process after the fork, because a thread sends the spans. Raises ModuleNotFoundError."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    names = logs.process_facts()
    attributes = {"mlserve.process": names["process"], "host.name": names["host"], "process.pid": names["pid"]}
    resource = Resource.create(attributes)
    if str(resource.attributes["service.name"]).startswith("unknown_service"):  # no variable names another one
        resource = resource.merge(Resource({"service.name": "mlserve"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _State.tracer = provider.get_tracer("mlserve")
    Finalize(None, provider.shutdown, exitpriority=5)


def flush_spans() -> None:
    """Call it before a process may be frozen, as on Lambda after each answer."""
    if _State.tracer is not None:
        _State.tracer.span_processor.force_flush(1000)


def span(name: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A part of this thread's work."""
    if _State.tracer is None:
        return _NO_SPAN
    return _started(name, attributes=_named(attributes))


def batch_span(waits: Iterable[tuple[str, str, datetime, datetime]], **attributes: Any) -> AbstractContextManager[Any]:
    """A call for several requests, linked to each: (request id, prediction id, accepted at, begun at).

    How long each waited becomes a span of its own request's trace.
    """
    if _State.tracer is None:
        return _NO_SPAN
    from opentelemetry.trace import Link, SpanKind

    links = []
    for request_id, prediction_id, accepted_at, begun_at in waits:
        if (asked := _context_of(request_id)) is not None:
            _waited(asked, prediction_id, accepted_at, begun_at)
            links.append(Link(_span_of(asked), {"mlserve.prediction_id": prediction_id}))
    return _started("batch", kind=SpanKind.CONSUMER, attributes=_named(attributes), links=links[:_MOST_LINKS])


def traced(application: Wsgi) -> Wsgi:
    """The application with a span around each request, continuing the caller's trace (`traceparent`)."""
    if _State.tracer is None:
        return application
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD", "")
        attributes = {"http.request.method": method, "url.path": environ.get("PATH_INFO", "")[:300]}
        carrier = {name: environ[key] for name, key in _TRACE_HEADERS.items() if key in environ}
        caller = extract(carrier)
        with _started(method, context=caller, kind=SpanKind.SERVER, attributes=attributes) as request:
            ids = request.get_span_context()
            environ[OF_TRACE] = f"{ids.trace_id:032x}-{ids.span_id:016x}"

            def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                request.set_attribute("http.response.status_code", int(status[:3]))
                if status[:1] == "5":
                    request.set_status(Status(StatusCode.ERROR))
                for name, value in headers:
                    if name == "X-Request-ID":
                        request.set_attribute("mlserve.request_id", value)
                return start_response(status, headers, *more)

            return application(environ, start)

    return answer


@contextmanager
def _started(name: str, **options: Any) -> Iterator[Any]:
    """The library would record an exception's message, which may quote a value; this records only its kind."""
    from opentelemetry.trace import Status, StatusCode

    quiet = {"record_exception": False, "set_status_on_exception": False}
    with _State.tracer.start_as_current_span(name, **options, **quiet) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"mlserve.{name}": value for name, value in attributes.items()}


def _context_of(request_id: str) -> Any:
    """The parent for spans of the request's trace; None where the id does not come from a span."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    named = _NAME.fullmatch(request_id)
    if named is None:
        return None
    ids = SpanContext(int(named[1], 16), int(named[2], 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(ids)) if ids.is_valid else None


def _span_of(context: Any) -> Any:
    from opentelemetry.trace import get_current_span

    return get_current_span(context).get_span_context()


def _waited(asked: Any, prediction_id: str, accepted_at: datetime, begun_at: datetime) -> None:
    begin, end = (int(moment.timestamp() * 1e9) for moment in (accepted_at, begun_at))
    attributes = {"mlserve.prediction_id": prediction_id}
    _State.tracer.start_span("queue", asked, attributes=attributes, start_time=begin).end(max(begin, end))
