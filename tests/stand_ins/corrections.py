"""Where moto's answers differ from those of AWS in what Zappa and mlserve ask for. Each one is corrected on its way."""

import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from moto.awslambda.models import LambdaBackend
from moto.sqs.models import SQSBackend
from werkzeug.wrappers import Request, Response

_FUNCTION_URLS = re.compile(r"/2021-10-31/functions/[^/]+/urls")
_MAPPINGS = "/2015-03-31/event-source-mappings"
_REST_API = re.compile(r"/restapis/[^/]+")
_MEDIA_TYPE = "/binaryMediaTypes/"


class Corrections:
    """`answer` gives what moto should have answered, and otherwise leaves the request as moto should have read it."""

    def __init__(self, functions: LambdaBackend, queues: SQSBackend) -> None:
        self._functions, self._queues = functions, queues

    def answer(self, request: Request) -> Response | None:
        self._keep_from_delivering()
        path = request.path.rstrip("/")
        if request.method == "GET" and _FUNCTION_URLS.fullmatch(path):
            return json_response({"FunctionUrlConfigs": []})  # there is no such address in moto
        if request.method == "POST" and path == _MAPPINGS:
            return self._refused_mapping(request)
        if request.method == "GET" and path == _MAPPINGS:
            self._take_names_for_arns(request)
        if request.method == "PATCH" and _REST_API.fullmatch(path):
            _rewrite(request, _with_media_types)
        return None

    def _keep_from_delivering(self) -> None:
        """Moto would call a function by Docker while the sender of the message waits; `mappings.py` does it."""
        for queue in list(self._queues.queues.values()):
            queue.lambda_event_source_mappings.clear()

    def _refused_mapping(self, request: Request) -> Response | None:
        """AWS wants messages to stay unseen for at least as long as the function may take."""
        asked = _rewrite(request, lambda body: body)
        queue = self._queues.queues.get(asked["EventSourceArn"].rpartition(":")[2])
        function = self._functions.get_function(asked["FunctionName"])
        if queue is None or int(getattr(queue, "visibility_timeout", 0)) >= int(function.timeout):
            return None
        message = f"Queue visibility timeout is less than Function timeout: {function.timeout} seconds"
        headers = {"X-Amzn-ErrorType": "InvalidParameterValueException"}
        return json_response({"Type": "User", "message": message}, 400, headers)

    def _take_names_for_arns(self, request: Request) -> None:
        """AWS finds a function's mappings by its name and by its ARN, moto only by what the mapping was made with."""
        for mapping in self._functions._event_source_mappings.values():
            mapping.function_name = _name(mapping.function_name)
        query = [
            (key, _name(value) if key == "FunctionName" else value)
            for key, value in parse_qsl(request.query_string.decode())
        ]
        request.environ["QUERY_STRING"] = urlencode(query)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, content_type="application/json")


def _name(function: str) -> str:
    return function.rpartition(":")[2]


def _with_media_types(body: Any) -> Any:
    """AWS reads a media type from the operation's path, moto from its value."""
    for operation in body.get("patchOperations", ()):
        if operation["path"].startswith(_MEDIA_TYPE):
            operation.setdefault("value", operation["path"].removeprefix(_MEDIA_TYPE).replace("~1", "/"))
    return body


def _rewrite(request: Request, change: Callable[[Any], Any]) -> Any:
    """The body as JSON, changed, for its next reader."""
    changed = change(json.loads(request.get_data()))
    body = json.dumps(changed).encode()
    request.environ["wsgi.input"], request.environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    return changed
