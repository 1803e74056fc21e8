"""The name of a request: whose it is, and that it is on every answer."""

import io
import json
import logging
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from mlserve.http.handlers import Application
from mlserve.observability.request_ids import request_id_of
from predictions.models import Prediction
from registry.models import ModelVersion


def ask(path: str = "/healthz", **more: Any) -> tuple[str, dict[str, str]]:
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_HOST": "localhost", **more}
    setup_testing_defaults(environ)
    answers: list[tuple[str, dict[str, str]]] = []
    b"".join(Application()(environ, lambda status, headers: answers.append((status, dict(headers)))))
    return answers[0]


@pytest.mark.parametrize("given", ["a", "0193a0c2-7e1f-7a", "Root=1-67891233-abcdef", "a.b:c/d+e@f=_-", "x" * 100])
def test_it_takes_a_sane_name(given: str) -> None:
    assert request_id_of({"HTTP_X_REQUEST_ID": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 101, "a b", "a\nb", "a\r\nSet-Cookie: x", 'a"b', "ä", "a{b}", "a%0a"])
def test_it_makes_one_instead_of_an_insane_name(given: str) -> None:
    made = request_id_of({"HTTP_X_REQUEST_ID": given})

    assert made != given
    assert len(made) == 24
    assert made != request_id_of({"HTTP_X_REQUEST_ID": given})


def test_it_takes_the_name_that_api_gateway_gave() -> None:
    assert request_id_of({"apig_wsgi.request_context": {"requestId": "c6af9ac6"}}) == "c6af9ac6"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/healthz", {}),
        ("/nothing", {}),
        ("/api/models", {}),
        ("/api/nothing", {}),
        ("/api/models", {"HTTP_COOKIE": "a=b", "HTTP_ACCEPT": "text/html"}),
        ("/api/predict", {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain"}),
        ("/api/predict", {"REQUEST_METHOD": "POST", "HTTP_TRANSFER_ENCODING": "chunked"}),
        ("/healthz", {"HTTP_HOST": "a stranger's"}),
    ],
)
def test_it_is_on_every_answer(path: str, more: dict[str, Any]) -> None:
    _, headers = ask(path, HTTP_X_REQUEST_ID="my-id", **more)

    assert headers["X-Request-ID"] == "my-id"


@pytest.mark.django_db(transaction=True)
def test_it_goes_into_the_row(penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    body = json.dumps(penguin).encode()
    status, _ = ask(
        "/api/predict", REQUEST_METHOD="POST", CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)),
        HTTP_X_REQUEST_ID="from-afar", **{"wsgi.input": io.BytesIO(body)},
    )  # fmt: skip

    assert status == "202 Accepted"
    assert Prediction.objects.get().request_id == "from-afar"


def test_it_notes_a_request_down_without_its_query(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.MLSERVE_ACCESS_LOG = True
    with caplog.at_level(logging.INFO, "mlserve.access"):
        ask("/nothing", QUERY_STRING="name=Maria", HTTP_AUTHORIZATION="Basic TWFyaWE6")

    [line] = caplog.records
    facts: dict[str, Any] = line.__dict__["facts"]
    assert (facts["method"], facts["path"], facts["status"]) == ("GET", "/nothing", 404)
    assert facts["bytes"] > 0
    assert "Maria" not in str(line.__dict__)


@pytest.mark.parametrize(("path", "lines"), [("/healthz", 0), ("/nothing", 1)])
def test_it_notes_no_probe_that_went_well(
    settings: Any, caplog: pytest.LogCaptureFixture, path: str, lines: int
) -> None:
    settings.MLSERVE_ACCESS_LOG = True
    with caplog.at_level(logging.INFO, "mlserve.access"):
        ask(path)

    assert len(caplog.records) == lines
