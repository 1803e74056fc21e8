"""The facts that the checks compare: settings, the account, the functions, and the self_report of each function.

Each is fetched once, when it is first needed, and a failure to fetch it is remembered like an answer.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from deployment import stages
from deployment.account import Absent, Account, skew_seconds
from deployment.findings import NotKnown, NotYet
from deployment.policy import Place

WEB, WORKER = "web", "worker"
STAGES = (WEB, WORKER)
_SETTINGS_FILE = "zappa_settings.json"

T = TypeVar("T")


class Evidence:
    """`environment` is the deployer's, `here` gives the self_report of this process, `url` is the address for clients,
    when it is not API Gateway's own. With `is_planned` only what would be deployed is checked.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        root: Path,
        account: Account,
        url: str = "",
        here: Callable[[], Mapping[str, Any]] | None = None,
        is_planned: bool = False,
    ) -> None:
        self.environment = environment
        self.root = root
        self.account = account
        self._url = url.rstrip("/")
        self._here = here
        self._is_planned = is_planned
        self._remembered: dict[Any, Any] = {}

    # --- What is planned ---

    def settings(self, stage: str) -> Mapping[str, Any]:
        """The stage's part of zappa_settings.json over what it extends."""
        every: Mapping[str, Any] = self._once(_SETTINGS_FILE, self._read_settings)
        own = dict(every[stage])
        while parent := own.pop("extends", None):
            own = {**every[parent], **own}
        return own

    def function_name(self, stage: str) -> str:
        return f"{self.settings(stage)['project_name']}-{stage}"

    def _read_settings(self) -> Any:
        try:
            return json.loads((self.root / _SETTINGS_FILE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise NotKnown(f"{_SETTINGS_FILE} cannot be read: {error}") from error

    @property
    def package(self) -> Path:
        return self.root / (self.environment.get("PACKAGE") or "var/package.zip")

    # --- What is deployed ---

    def function(self, stage: str) -> Mapping[str, Any]:
        """Lambda's configuration of the function, with its environment."""
        name = self.function_name(stage)
        if self._is_planned:
            raise NotYet(f"{name} is looked at after the deploy")
        ask = partial(self.account.ask, "lambda", "get_function_configuration", FunctionName=name)
        return self._there(f"function {stage}", ask, f"there is no function {name}")

    def variables(self, stage: str) -> Mapping[str, str]:
        """The environment of the function where it is deployed, else the one that it would get."""
        try:
            found: Mapping[str, str] = self.function(stage).get("Environment", {}).get("Variables", {})
        except (NotYet, NotKnown):
            return self.environment
        return found

    def current(self, stage: str, name: str, planned_name: str, *, default: Any) -> Any:
        """Lambda's value where the function is deployed, else that of zappa_settings.json."""
        try:
            return self.function(stage)[name]
        except (NotYet, NotKnown):
            return self.settings(stage).get(planned_name, default)

    def mapping(self) -> Mapping[str, Any]:
        """The worker's event source mapping of the queue."""
        function, queue = self.function(WORKER)["FunctionArn"], self.place.arn("sqs", self.queue_name)
        ask = partial(self.account.ask, "lambda", "list_event_source_mappings", EventSourceArn=queue)
        found = self._there("mapping", ask, "the queue has no mapping")["EventSourceMappings"]
        ours = [each for each in found if str(each["FunctionArn"]).startswith(function)]
        if not ours:
            raise NotYet(f"no mapping leads from the queue {self.queue_name} to the function")
        return dict(ours[0])

    @property
    def queue_name(self) -> str:
        return stages.queue_name(self.variables(WORKER))

    @property
    def place(self) -> Place:
        identity = self.account.identity
        return Place(self.account.region, identity["Account"], identity["Arn"].split(":")[1])

    @property
    def bucket(self) -> str:
        name = self.variables(WORKER).get("MLSERVE_BUCKET", "")
        if not name:
            raise NotKnown("MLSERVE_BUCKET is not set")
        return name

    def api_id(self) -> str:
        """The REST API of the web function."""
        name = self.function_name(WEB)
        ask = partial(self.account.ask, "apigateway", "get_rest_apis", limit=500)
        found = self._there("apis", ask, "there is no API")["items"]
        ours = [api["id"] for api in found if api["name"] == name]
        if not ours:
            raise NotYet(f"there is no REST API named {name}")
        return str(ours[0])

    def url(self) -> str:
        if self._url:
            return self._url
        if domain := self.environment.get("MLSERVE_DOMAIN"):
            return f"https://{domain}"
        return f"https://{self.api_id()}.execute-api.{self.account.region}.amazonaws.com/{WEB}"

    def _there(self, key: str, ask: Callable[[], T], absent: str) -> T:
        def asked() -> T:
            try:
                return ask()
            except Absent as error:
                raise NotYet(absent) from error

        return self._once(key, asked)

    # --- What the inside says ---

    def self_report(self, stage: str) -> Mapping[str, Any]:
        return self._once(f"vitals {stage}", partial(self._ask_inside, stage))

    def inside(self, part: str) -> tuple[Mapping[str, Any], str]:
        """One part of the self_report, and its source: the worker, else the web function, else this machine."""
        for stage in (WORKER, WEB):
            try:
                return sound(self.self_report(stage), part), f"seen from the {stage} function"
            except NotYet:
                continue
        if self._here is None:
            raise NotYet("no function is there to ask")
        return sound(self._once("vitals here", self._here), part), "seen from here, not from a function"

    def _ask_inside(self, stage: str) -> Mapping[str, Any]:
        self.function(stage)
        before = datetime.now(UTC)
        told = self.account.invoke(self.function_name(stage), {"mlserve": "vitals"})
        if not isinstance(told, dict) or "now" not in told:
            raise NotKnown(f"the {stage} function has no self_report, because it runs other code: make deploy")
        now = datetime.fromisoformat(told["now"])
        return {**told, "skew_seconds": skew_seconds(now, before, datetime.now(UTC))}

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        if key not in self._remembered:
            try:
                self._remembered[key] = make()
            except (NotYet, NotKnown) as error:
                self._remembered[key] = error
        found: Any = self._remembered[key]
        if isinstance(found, NotYet | NotKnown):
            raise found
        return found  # type: ignore[no-any-return]


def sound(self_report: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """That part of the self_report. Raises NotKnown when the function says that it is down."""
    found: Mapping[str, Any] = self_report[part]
    if "error" in found:
        raise NotKnown(str(found["error"]))
    return found
