"""Runs in the clean process of deployment/trial.py, which has the standard library, the package and Lambda's runtime:

    python -I -S trial_inside.py PACKAGE RUNTIME STEP [arguments]

The last line of its output is what the step found, as JSON. Nothing of the deployment is there to import.
"""

import base64
import importlib
import json
import os
import pkgutil
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

# The packages of pipelines, whose public classes and functions may be in an artifact.
_LIBRARIES = ("numpy", "scipy", "pandas", "sklearn", "joblib", "threadpoolctl")
# Run something when they are imported, or ask for a terminal.
_NOT_TO_IMPORT = ("__main__", "conftest", "setup", "numpy.f2py")
# The web function must start without them.
_HEAVY = ("sklearn", "scipy", "pandas", "numpy", "joblib", "pydantic", "rich", "granian")
_HOST = "trial.execute-api.us-east-1.amazonaws.com"


class Context:
    """Lambda's context object, as far as it is used."""

    aws_request_id = "trial"
    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return 290_000


def main(package: str, runtime: str, step: str, *arguments: str) -> None:
    library = [path for path in sys.path if "site-packages" not in path and path]
    sys.path[:] = [package, runtime, *library[1:]]  # without the folder of this file
    os.chdir(package)
    found = _STEPS[step](*arguments)
    print(f"\n{json.dumps(found)}")


def prepare(artifact: str, example: str) -> Any:
    """Tables, and the example's model, inspected, stored and promoted."""
    _django()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    told = [
        "--model",
        "penguins",
        "--tag",
        "1.0",
        "--public",
        "--promote",
        "--schema",
        f"{example}/validation.py:RawData",
    ]
    rows = ["--sample", f"{example}/sample.csv", "--expected", f"{example}/expected.csv"]
    files = [*rows, "--form", f"{example}/form.json"]
    call_command("upload_model", artifact, *told, *files, verbosity=0)
    return "prepared"


def ask(*requests: str) -> Any:
    """The web function's answers to requests, each JSON of [method, path, body, headers], and how long it all took."""
    handler, started = _handler()
    answers = [_answered(handler, *json.loads(request)) for request in requests]
    heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(_HEAVY))
    return {"start_seconds": started, "answers": answers, "heavy": heavy, **_used()}


def work() -> Any:
    """The worker function predicts what is queued, called as the queue calls it."""
    handler, started = _handler()
    from django_q.models import OrmQ

    body = OrmQ.objects.latest("pk").payload
    record = {"messageId": "1", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:x:1:mlserve", "body": body}
    begun = time.perf_counter()
    answer = handler({"Records": [record]}, Context())
    seconds = time.perf_counter() - begun
    return {"start_seconds": started, "answer": answer, "seconds": seconds, **_used()}


def import_all() -> Any:
    """Every public module of the libraries: what could not be imported, and how many could."""
    warnings.simplefilter("ignore")
    failed, count = {}, 0
    for name in _LIBRARIES:
        for module in (name, *_modules_in(importlib.import_module(name))):
            try:
                importlib.import_module(module)
            except Exception as error:  # noqa: BLE001 - the error is the result
                failed[module] = f"{type(error).__name__}: {error}"
            count += 1
    return {"count": count, "failed": failed}


def _modules_in(package: ModuleType) -> Iterator[str]:
    for found in pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}."):
        last = found.name.rpartition(".")[2]
        if last.startswith("_") or last in _NOT_TO_IMPORT or found.name in _NOT_TO_IMPORT:
            continue
        yield found.name
        if found.ispkg and found.name in sys.modules:
            yield from _modules_in(sys.modules[found.name])


def _handler() -> tuple[Callable[..., Any], float]:
    """The function's entry, and the seconds that its import took: Lambda's init phase."""
    begun = time.perf_counter()
    module = importlib.import_module("mlserve.lambda_entry")
    return module.lambda_handler, time.perf_counter() - begun


def _django() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "mlserve.settings"
    django.setup()


def _answered(
    handler: Callable[..., Any],
    method: str,
    path: str,
    body: Any = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    begun = time.perf_counter()
    answer = handler(_event(method, path, body, more), Context())
    seconds = time.perf_counter() - begun
    content = answer.get("body") or ""
    raw = base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode()
    headers = {name.lower(): values[0] for name, values in (answer.get("multiValueHeaders") or {}).items()}
    headers |= {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
    text = raw.decode("utf-8", "replace")
    return {"status": answer["statusCode"], "headers": headers, "body": text, "seconds": seconds}


def _event(method: str, path: str, body: Any, more: Mapping[str, str]) -> dict[str, Any]:
    """As API Gateway's REST API sends it to a function (payload version 1.0)."""
    headers = {"Host": _HOST, "Accept": "*/*", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    headers |= more
    if body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "stage": "web", "httpMethod": method, "path": f"/web{path}", "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }  # fmt: skip


def _used() -> dict[str, float]:
    """CPU seconds and memory of the whole process, with its start but without its children."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "memory_mb": usage.ru_maxrss / 1024}


_STEPS: dict[str, Callable[..., Any]] = {"prepare": prepare, "ask": ask, "work": work, "import": import_all}

if __name__ == "__main__":
    main(*sys.argv[1:])
