"""Sentry and OpenTelemetry as their servers see them: real requests to a server of our own, and no input in any."""

import gzip
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.flows.service import ROOT

# What no receiver may see, wherever it was put in.
INPUT = "Maria-4711"


class Receiver:
    """Takes whatever is posted; `bodies` by path, unpacked."""

    def __init__(self) -> None:
        receiver = self
        self.bodies: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                elif self.headers.get("Content-Encoding") == "deflate":
                    body = zlib.decompress(body)
                receiver.bodies.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def run(folder: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SENTRY_"))},
        "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "mlserve.settings", "DEBUG": "0", "SECRET_KEY": "x" * 60,
        "ALLOWED_HOSTS": "localhost", "MLSERVE_DATA_DIR": str(folder), "DATABASE_URL": "sqlite://:memory:", **variables,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


_FAIL = f"""
import django
django.setup()
import io, logging
from wsgiref.util import setup_testing_defaults
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from mlserve import urls
from mlserve.observability import logs
from mlserve.processes.children import fork
from mlserve.observability.monitoring import start_monitoring

@csrf_exempt
def broken(request):
    secret = request.body.decode()
    try:
        float(secret)
    except ValueError as error:
        raise RuntimeError("the outer one") from error

urls.urlpatterns.insert(0, path("api/broken", broken))

def main():
    logs.name_process("web")
    start_monitoring()
    from mlserve.http.handlers import Application
    body = b"{INPUT}"
    environ = {{
        "PATH_INFO": "/api/broken", "REQUEST_METHOD": "POST", "HTTP_HOST": "localhost", "HTTP_X_REQUEST_ID": "afar",
        "QUERY_STRING": "name={INPUT}", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
        "HTTP_AUTHORIZATION": "Basic {INPUT}", "HTTP_COOKIE": "sessionid={INPUT}", "HTTP_X_FORWARDED_PROTO": "https",
    }}
    setup_testing_defaults(environ)
    answers = []
    list(Application()(environ, lambda status, headers: answers.append(status)))
    assert answers == ["500 Internal Server Error"], answers

child = fork("web", main)
import time
while child.poll() is None:
    time.sleep(0.05)
assert child.poll() == 0, child.poll()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_it_tells_sentry_of_an_error_without_inputs(tmp_path: Path, receiver: Receiver) -> None:
    done = run(tmp_path, _FAIL, SENTRY_DSN=f"http://key@{receiver.address}/1")

    assert done.returncode == 0, done.stderr
    [envelope] = [body for path, body in receiver.bodies if b'"type":"event"' in body]
    event = json.loads(envelope.split(b"\n")[2])
    assert [each["type"] for each in event["exception"]["values"]] == ["ValueError", "RuntimeError"]
    assert event["exception"]["values"][1]["value"] == "the outer one"
    assert event["tags"]["request_id"] == "afar"
    assert event["tags"]["process"] == "web"
    assert "broken" in envelope.decode()
    assert INPUT.encode() not in envelope
    assert INPUT not in done.stderr


_TRACE = f"""
import django
django.setup()
import io, time
from datetime import UTC, datetime, timedelta
from wsgiref.util import setup_testing_defaults
from mlserve.observability import logs
from mlserve.processes.children import fork
from mlserve.observability.monitoring import start_monitoring
from mlserve.observability.tracing import batch_span, span, traced

def ask(named=""):
    from mlserve.http.handlers import Application
    environ = {{
        "PATH_INFO": "/healthz", "HTTP_HOST": "localhost", "QUERY_STRING": "name={INPUT}",
        "HTTP_AUTHORIZATION": "Basic {INPUT}", "HTTP_TRACEPARENT": f"00-{{'a' * 32}}-{{'b' * 16}}-01",
    }}
    if named:
        environ["HTTP_X_REQUEST_ID"] = named
    setup_testing_defaults(environ)
    answers = []
    list(traced(Application())(environ, lambda status, headers: answers.append(dict(headers))))
    return answers[0]["X-Request-ID"]

def work(request_ids):
    now = datetime.now(UTC)
    waits = [(each, "a-prediction", now - timedelta(seconds=2), now) for each in request_ids]
    try:
        with batch_span(waits, model="census", version="1.0"), span("predict", rows=2):
            raise ValueError("{INPUT}")
    except ValueError:
        pass

def main():
    logs.name_process("worker")
    start_monitoring()
    assert ask("of-its-own") == "of-its-own"
    work([ask(), "of-its-own"])

child = fork("worker", main)
while child.poll() is None:
    time.sleep(0.05)
assert child.poll() == 0, child.poll()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_it_carries_a_trace_from_the_caller_to_the_worker(tmp_path: Path, receiver: Receiver) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    done = run(tmp_path, _TRACE, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.address}")

    assert done.returncode == 0, done.stderr
    assert {path for path, _ in receiver.bodies} == {"/v1/traces"}
    exported = [ExportTraceServiceRequest.FromString(body) for _, body in receiver.bodies]
    spans = [
        span for each in exported for resource in each.resource_spans for scope in resource.scope_spans
        for span in scope.spans
    ]  # fmt: skip
    named = {name: [span for span in spans if span.name == name] for name in ("GET", "queue", "batch", "predict")}
    requests, [queue], [batch], [predict] = named.values()
    assert len(requests) == 2
    assert {span.trace_id.hex() for span in [*requests, queue]} == {"a" * 32}
    assert {span.parent_span_id.hex() for span in requests} == {"b" * 16}
    assert queue.parent_span_id in {span.span_id for span in requests}
    assert queue.end_time_unix_nano - queue.start_time_unix_nano == pytest.approx(2e9, rel=0.01)
    assert [link.span_id for link in batch.links] == [queue.parent_span_id]
    assert (predict.status.code, predict.status.message) == (2, "ValueError")
    assert (predict.trace_id, predict.parent_span_id) == (batch.trace_id, batch.span_id)
    assert not [body for _, body in receiver.bodies if INPUT.encode() in body]


@pytest.mark.parametrize(
    ("variable", "module", "package"),
    [
        ("SENTRY_DSN", "sentry_sdk", "sentry-sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry.sdk", "opentelemetry-sdk"),
    ],
)
def test_it_does_not_start_without_what_a_variable_asks_for(
    tmp_path: Path, variable: str, module: str, package: str
) -> None:
    program = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}" or name.startswith("{module}."):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
sys.argv = ["manage.py", "serve"]
import runpy
runpy.run_path("{ROOT / "manage.py"}", run_name="__main__")
"""
    done = run(tmp_path, program, **{variable: "http://key@127.0.0.1:9/1"})

    assert done.returncode == 1
    assert variable in done.stderr
    assert f"pip install {package}" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_costs_nothing_where_it_is_not_configured(tmp_path: Path) -> None:
    program = """
import django, sys
django.setup()
from mlserve.observability.monitoring import require_packages, start_monitoring
from mlserve.observability.tracing import batch_span, flush_spans, span, traced
require_packages()
start_monitoring()
flush_spans()
with span("a"), batch_span([]):
    assert traced(print) is print
assert not {name.partition(".")[0] for name in sys.modules} & {"sentry_sdk", "opentelemetry"}
"""
    assert run(tmp_path, program).returncode == 0
