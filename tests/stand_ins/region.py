"""One region of AWS in this process: moto's server, and beside it what moto does not do, which is run anything.

Over HTTP like the real one: S3, SQS, SSM, IAM, Lambda, API Gateway, EventBridge, CloudFormation. Functions really run
(`functions`), queues call them (`pollers`), API Gateway's addresses answer (`front`), schedules fire by `tick`.
"""

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.apigateway.models import apigateway_backends
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sqs.models import sqs_backends
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.stand_ins import gateway
from tests.stand_ins.aws import StandIn
from tests.stand_ins.corrections import Corrections, json_response
from tests.stand_ins.environments import Function
from tests.stand_ins.functions import Functions, Interpreter
from tests.stand_ins.mappings import Pollers, SourceMapping
from tests.stand_ins.runtime_api import InvocationResult

ACCOUNT = "123456789012"
_FRONT = "/_apigw"
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_STAGE_PATH = re.compile(rf"{_FRONT}/([^/]+)/([^/]+)(/.*)?")
_INTEGRATED = re.compile(r"functions/(arn:[^/]+)/invocations")


class Region(StandIn):
    """Close it: it holds a server, threads and processes. `python` runs the functions, with `runtime` beside it."""

    def __init__(self, folder: Path, *, name: str, python: str, runtime: Path) -> None:
        self.name = name
        self._corrections = Corrections(lambda_backends[ACCOUNT][name], sqs_backends[ACCOUNT][name])
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True, request_handler=_QuietHandler)
        super().__init__(f"http://127.0.0.1:{self._server.server_port}", region=name)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.functions = Functions(folder, Interpreter(python, runtime, self.variables))
        self.pollers = Pollers(self.client("sqs"), self._mappings, self.invoke)

    @property
    def variables(self) -> dict[str, str]:
        """What Lambda sets, and the address of this stand-in."""
        return {
            "AWS_REGION": self.name,
            "AWS_DEFAULT_REGION": self.name,
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_SESSION_TOKEN": "stand-in",
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def front(self, api: str, stage: str) -> str:
        """Where https://API.execute-api.REGION.amazonaws.com/STAGE answers here; `api` is its id or its name."""
        return f"{self.endpoint_url}{_FRONT}/{api}/{stage}"

    def invoke(self, function: str, payload: bytes) -> InvocationResult:
        """By name or ARN."""
        return self._run(lambda_backends[ACCOUNT][self.name].get_function(function), payload)[0]

    def tick(self) -> int:
        """Let a minute pass: every enabled schedule calls its functions; how many."""
        events, called = self.client("events"), 0
        for rule in events.list_rules()["Rules"]:
            if rule["State"] != "ENABLED" or "ScheduleExpression" not in rule:
                continue
            event = {
                "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "account": ACCOUNT,
                "region": self.name, "resources": [rule["Arn"]],
            }  # fmt: skip
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                given = target.get("Input") or json.dumps(event)
                if not self.invoke(target["Arn"], given.encode()).is_error:
                    called += 1
        return called

    def close(self) -> None:
        self.pollers.close()
        self.functions.close()
        self._server.shutdown()
        self._server.server_close()
        super().close()

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        answered = self._answered(request)
        if answered is not None:
            return answered(environ, start_response)
        found: Iterable[bytes] = self._moto(environ, start_response)
        return found

    def _answered(self, request: Request) -> Response | None:
        """What is ours to answer, and not moto's."""
        if found := _STAGE_PATH.fullmatch(request.path):
            raw = request.environ.get("REQUEST_URI", request.path).partition("?")[0]
            path = "/" + raw.removeprefix(_FRONT + "/").partition("/")[2].partition("/")[2]
            return self._through_gateway(found[1], found[2], request, path)
        if found := _INVOKE.fullmatch(request.path):
            return self._invoked(unquote(found[1]), request)
        return self._corrections.answer(request)

    def _through_gateway(self, name: str, stage: str, request: Request, path: str) -> Response:
        apis = apigateway_backends[ACCOUNT][self.name].apis.values()
        found = next((each for each in apis if name in (each.id, each.name) and stage in each.stages), None)
        if found is None:
            return json_response({"message": "Forbidden"}, 403)
        function = next((each for each in map(_integrated, found.resources.values()) if each), None)
        if function is None:
            return json_response({"message": "Missing Authentication Token"}, 403)
        api = gateway.Api(found.id, self.name, stage, "*/*" in found.binaryMediaTypes)
        return gateway.answer(api, request, path, lambda payload: self.invoke(function, payload))

    def _invoked(self, function: str, request: Request) -> Response:
        try:
            found = lambda_backends[ACCOUNT][self.name].get_function(function)
        except UnknownFunctionException as error:
            return json_response({"Message": str(error)}, 404, {"X-Amzn-ErrorType": "ResourceNotFoundException"})
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind != "RequestResponse":
            return json_response({}, 204 if kind == "DryRun" else 501)
        result, log = self._run(found, request.get_data())
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if result.is_error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = b64encode(log).decode()
        return Response(result.body, 200, headers, content_type="application/json")

    def _run(self, function: LambdaFunction, payload: bytes) -> tuple[InvocationResult, bytes]:
        deployed = Function(
            name=function.function_name,
            arn=function.function_arn,
            handler=str(function.handler),
            timeout_seconds=int(function.timeout),
            memory_mb=int(function.memory_size),
            tmp_mib=int(function.ephemeral_storage),
            code_sha256=function.code_sha_256,
            variables=dict(function.environment_vars or {}),
        )
        return self.functions.invoke(deployed, payload, lambda: function.code_bytes)

    def _mappings(self) -> list[SourceMapping]:
        found = list(lambda_backends[ACCOUNT][self.name]._event_source_mappings.values())
        return [
            SourceMapping(
                identifier=each.uuid,
                queue_arn=each.event_source_arn,
                function_arn=each.function_arn,
                is_enabled=bool(each.enabled),
                batch_size=each.batch_size or 10,
                responses=tuple(each.function_response_types or ()),
                concurrency=(each.scaling_config or {}).get("MaximumConcurrency"),
            )
            for each in found
            if ":sqs:" in each.event_source_arn
        ]


class _QuietHandler(MotoRequestHandler):
    def log(self, *_: Any) -> None:
        """The tests' output is long enough."""


def _integrated(resource: Any) -> str | None:
    """The ARN of the function behind a resource of an API."""
    for method in (resource.resource_methods or {}).values():
        uri = getattr(method.method_integration, "uri", None) or ""
        if found := _INTEGRATED.search(uri):
            return str(found[1])
    return None
