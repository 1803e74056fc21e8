"""The function's entry, called as Lambda's runtime calls it; tests/flows/test_lambda.py runs it in its package."""

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings

from mlserve.aws_lambda import http
from mlserve.lambda_entry import CommandFailed, UnknownEvent, lambda_handler
from predictions.models import Prediction
from registry.models import ModelVersion
from tests.paths import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """A request must not close the connection that holds the test's transaction; Django's client sees to it, too."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def request(method: str, path: str, body: bytes = b"", **more: Any) -> dict[str, Any]:
    """An event of API Gateway. `headers` replaces the usual ones, `query` maps names to lists."""
    headers: Mapping[str, list[str]] = more.get("headers", {})
    every = {"Host": ["localhost"], "X-Forwarded-Proto": ["https"], "Accept": ["application/json"], **headers}
    return {
        "httpMethod": method,
        "path": path,
        "headers": {name: values[-1] for name, values in every.items()},
        "multiValueHeaders": every,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": more.get("query"),
        "requestContext": {"identity": {"sourceIp": "203.0.113.7"}},
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def answer(event: Mapping[str, Any]) -> Any:
    return lambda_handler(event, Context())


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc: run the suite on Linux")
def test_it_keeps_no_secret_in_its_environment() -> None:
    secret = "s" * 60
    code = (
        "import os, mlserve.lambda_entry; from django.conf import settings; print(settings.SECRET_KEY); "
        "print(dict(os.environ)); print(open('/proc/self/environ').read())"
    )
    own = {"AWS_LAMBDA_FUNCTION_NAME": "mlserve-web", "SECRET_KEY": secret, "MLSERVE_DATA_DIR": "/nowhere"}
    own |= {"DATABASE_URL": f"postgres://mlserve:{secret}@db.example/mlserve", "PATH": os.environ["PATH"]}

    told = subprocess.run([sys.executable, "-c", code], env=own, cwd=ROOT, capture_output=True, text=True, check=True)

    settings_one, *environments = told.stdout.splitlines()
    assert settings_one == secret
    assert "mlserve-web" in environments[0]
    assert secret not in "".join(environments)


def test_it_answers_http(penguins: ModelVersion) -> None:
    answered = answer(request("GET", "/api/models/penguins"))

    assert (answered["statusCode"], answered["isBase64Encoded"]) == (200, False)
    assert json.loads(answered["body"])["name"] == "penguins"


def test_it_accepts_a_prediction(penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    headers = {"Content-Type": ["application/json"]}

    answered = answer(request("POST", "/api/predict", json.dumps(penguin).encode(), headers=headers))

    assert answered["statusCode"] == 202, answered["body"]
    assert Prediction.objects.get(pk=json.loads(answered["body"])["prediction_id"]).status == "queued"
    assert answered["multiValueHeaders"]["Location"] != []


def test_it_repeats_names_of_a_query(penguins: ModelVersion) -> None:
    answered = answer(request("GET", "/api/predict", query={"status": ["queued", "nonsense"]}))

    assert answered["statusCode"] == 400
    assert "nonsense" in answered["body"]


@pytest.mark.parametrize("path", ["/models/%E2%98%83", "/models/☃"])
def test_it_reads_a_path_encoded_or_not(path: str) -> None:
    answered = answer(request("GET", path, headers={"Accept": ["text/html"]}))

    assert answered["statusCode"] == 404
    assert "☃" in answered["body"]


def test_it_joins_cookies_that_came_one_by_one(owner: User) -> None:
    form = answer(request("GET", "/login"))
    (cookie,) = form["multiValueHeaders"]["Set-Cookie"]
    token = cookie.partition(";")[0].partition("=")[2]
    headers = {
        "Cookie": ["other=1", f"csrftoken={token}"],
        "Content-Type": ["application/x-www-form-urlencoded"],
        "Origin": ["https://localhost"],
        "X-Csrftoken": [token],
    }

    body = b"username=owner&password=owner-password"
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        answered = answer(request("POST", "/login", body, headers=headers))

    assert answered["statusCode"] == 302, answered["body"]
    assert len(answered["multiValueHeaders"]["Set-Cookie"]) == 2


def test_it_believes_api_gateway_and_not_the_client_about_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["REMOTE_ADDR"])
        start_response("204 No Content", [])
        return []

    monkeypatch.setattr(http, "application", application)
    answer(request("GET", "/healthz", headers={"X-Forwarded-For": ["198.51.100.1, 203.0.113.7"]}))

    assert seen == ["203.0.113.7"]


@pytest.fixture
def large_answer(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What every request is answered with: more than Lambda takes."""
    content = json.dumps(["<=50K"] * 1_000_000).encode()

    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    monkeypatch.setattr(http, "application", application)
    return content


def test_it_packs_what_would_be_too_large(large_answer: bytes) -> None:
    answered = answer(request("GET", "/api/predict", headers={"Accept-Encoding": ["gzip, br"]}))

    assert gzip.decompress(base64.b64decode(answered["body"])) == large_answer
    assert answered["multiValueHeaders"]["Content-Encoding"] == ["gzip"]
    assert "Content-Length" not in answered["multiValueHeaders"]


def test_it_says_so_where_that_is_not_wanted(large_answer: bytes) -> None:
    answered = answer(request("GET", "/api/predict"))

    assert answered["statusCode"] == 500
    assert json.loads(answered["body"])["title"] == "The answer is too large"


def test_it_reports_messages_by_their_ids() -> None:
    records = [{"eventSource": "aws:sqs", "messageId": name, "body": "of no sender"} for name in ("a", "b")]

    assert answer({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}


def test_it_reports_all_when_the_worker_cannot_even_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlserve.aws_lambda.deliveries", None)

    answered = answer({"Records": [{"eventSource": "aws:sqs", "messageId": "a", "body": ""}]})

    assert answered == {"batchItemFailures": [{"itemIdentifier": "a"}]}


def test_it_sweeps_by_the_schedule(penguins: ModelVersion) -> None:
    assert answer({"source": "aws.events", "detail-type": "Scheduled Event", "resources": []}) is None


def test_it_reports_on_itself() -> None:
    assert answer({"mlserve": "vitals"})["migrations"] == {"missing": []}


@pytest.mark.parametrize("words", ["list_models --json", ["list_models", "--json"]])
def test_it_runs_commands(words: Any, penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer({"manage": words})["output"]

    assert json.loads(told)[0]["model"] == "penguins"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("shell -c print(1)", "shell does not run in a function"),
        ("", "no command does not run"),
        ("promote_model nobody 1.0", "nobody"),
        ("no_such_command", "Unknown command"),
    ],
)
def test_it_says_why_a_command_failed(words: str, reason: str) -> None:
    with pytest.raises(CommandFailed, match=reason):
        answer({"manage": words})


@pytest.mark.parametrize(
    "event",
    [{}, {"raw_command": "1 / 0"}, {"command": "os.getcwd"}, {"Records": [{"eventSource": "aws:s3", "s3": {}}]}],
)
def test_it_refuses_other_events(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEvent):
        answer(event)
