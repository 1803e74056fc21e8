"""Sentry and OpenTelemetry, both optional: a variable turns one on, and its packages have to be installed then.

What is sent contains no input: no bodies, no headers, no local variables, and of exceptions that may quote a value only
their kind.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from multiprocessing.util import Finalize
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from mlserve.observability import logs
from mlserve.observability.log_lines import causes_first, safely_said, without_secrets
from mlserve.observability.tracing import start_tracing

_FLUSH_SECONDS = 2.0
# The variable, the modules that it needs, and the packages that have them.
_EXTRAS = (
    ("SENTRY_DSN", ("sentry_sdk",), "sentry-sdk"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
        "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
    ),
)


def require_packages() -> None:
    """Raise ImproperlyConfigured when a variable needs what is not installed, which would otherwise show only later."""
    for variable, modules, packages in _EXTRAS:
        if getattr(settings, variable) and not all(map(_is_installed, modules)):
            raise ImproperlyConfigured(
                f"{variable} is set, but its packages are not installed. Run `pip install {packages}` beside "
                "requirements.txt, or unset it."
            )


def start_monitoring() -> None:
    """Call it in each process after the fork, because both send from threads of their own."""
    if settings.SENTRY_DSN:
        _start_sentry()
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        start_tracing()


def _start_sentry() -> None:
    import sentry_sdk

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=cast(Any, _without_inputs),
        shutdown_timeout=_FLUSH_SECONDS,
    )
    # Processes of multiprocessing do not run the exit handlers that the library relies on.
    Finalize(None, sentry_sdk.flush, args=(_FLUSH_SECONDS,), exitpriority=5)


def _without_inputs(event: dict[str, Any], hint: Mapping[str, Any]) -> dict[str, Any]:
    error = hint.get("exc_info", (None, None, None))[1]
    said = {type(each).__name__: safely_said(each) for each in causes_first(error)} if error else {}
    for value in event.get("exception", {}).get("values", ()):
        value["value"] = said.get(value.get("type", ""), "")
        for frame in (value.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    record = hint.get("log_record")
    if record is not None:
        event["logentry"] = {"message": without_secrets(record.getMessage())}
    request: dict[str, Any] = event.pop("request", None) or {}
    if request:
        event["request"] = {name: request[name] for name in ("method", "url") if name in request}
    for name in ("user", "extra", "breadcrumbs"):
        event.pop(name, None)
    known = {**logs.facts(), **getattr(record, "facts", {})}
    tags = {name: str(known[name]) for name in logs.FACTS if known.get(name)}
    event["tags"] = {**(event.get("tags") or {}), **tags, "process": logs.process_facts()["process"]}
    return event


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is not installed
        return False
