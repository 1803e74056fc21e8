"""What zappa_settings.json leaves open, from the deployer's environment: account, addresses, secrets. Pure."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployment.policy import Needs, Place, parameters_in, policy

REQUIRED = {
    "SECRET_KEY": "50 or more random characters, or ssm:/name of a parameter",
    "DATABASE_URL": "postgres://user:password@host/name, or ssm:/name of a parameter",
    "MLSERVE_BUCKET": "the bucket for artifacts: .venv/bin/python manage.py create_bucket NAME",
}
REGION_MISSING = "AWS_DEFAULT_REGION: where to deploy, such as eu-central-1"
DEFAULT_QUEUE_NAME = "mlserve"
# Each worker holds a connection to the database, of which a small one has some dozens.
DEFAULT_WORKER_CONCURRENCY = 5
# What SQS allows for one mapping.
CONCURRENCIES = range(2, 1001)

# Settings of the service beside those that begin with MLSERVE_.
_ALSO_PASSED_ON = ("SECRET_KEY", "DATABASE_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
# Settings of the deployment or of this machine, not of a function. Functions always use SQS.
_NOT_PASSED_ON = {
    "MLSERVE_DEPLOY_BUCKET", "MLSERVE_SUBNETS", "MLSERVE_SECURITY_GROUPS", "MLSERVE_WORKER_CONCURRENCY",
    "MLSERVE_DOMAIN", "MLSERVE_DATA_DIR", "MLSERVE_CACHE_DIR", "MLSERVE_TOKEN", "MLSERVE_REQUIRE_ALL",
    "MLSERVE_WORKERS", "MLSERVE_WEB_THREADS", "MLSERVE_QUEUE",
}  # fmt: skip


class NotReady(Exception):
    """The environment lacks or contradicts something; the message lists everything at once."""


@dataclass(frozen=True)
class Stage:
    """`variables` and `events` are those of zappa_settings.json."""

    name: str
    function: str
    variables: Mapping[str, str]
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What Zappa gets in addition to its settings file."""

    variables: dict[str, str]
    deploy_bucket: str
    vpc: dict[str, list[str]]
    events: list[dict[str, Any]]
    policy: dict[str, Any]


def plan(stage: Stage, environment: Mapping[str, str], place: Place) -> Plan:
    """Raises NotReady."""
    environment = {name: value.strip() for name, value in environment.items() if value.strip()}
    if problems := list(_problems(environment)):
        raise NotReady("The environment is not ready to deploy:\n" + "\n".join(f"  {each}" for each in problems))
    variables, vpc = _variables(stage, environment, place), _vpc(environment)
    needs = Needs(
        stage=stage.name,
        function=stage.function,
        bucket=environment["MLSERVE_BUCKET"],
        queue=queue_name(environment),
        parameters=parameters_in(variables),
        in_vpc=bool(vpc),
    )
    return Plan(
        variables=variables,
        deploy_bucket=environment.get("MLSERVE_DEPLOY_BUCKET", environment["MLSERVE_BUCKET"]),
        vpc=vpc,
        events=events(stage, environment, place),
        policy=policy(place, needs),
    )


def events(stage: Stage, environment: Mapping[str, str], place: Place) -> list[dict[str, Any]]:
    """The stage's, with the address of its queue."""
    found = copy.deepcopy(stage.events)
    for event in found:
        if "event_source" in event:
            event["event_source"]["arn"] = queue_arn(environment, place)
    return found


def queue_name(environment: Mapping[str, str]) -> str:
    return environment.get("MLSERVE_QUEUE_NAME") or DEFAULT_QUEUE_NAME


def queue_arn(environment: Mapping[str, str], place: Place) -> str:
    return place.arn("sqs", queue_name(environment))


def worker_concurrency(environment: Mapping[str, str]) -> int:
    """How many workers may run at once. Raises NotReady."""
    text = environment.get("MLSERVE_WORKER_CONCURRENCY") or str(DEFAULT_WORKER_CONCURRENCY)
    if not text.isdecimal() or int(text) not in CONCURRENCIES:
        raise NotReady(f"MLSERVE_WORKER_CONCURRENCY is {text!r}; allowed is a whole number from 2 to 1000.")
    return int(text)


def _problems(environment: Mapping[str, str]) -> Iterator[str]:
    for name, how in REQUIRED.items():
        if name not in environment:
            yield f"{name} is not set: {how}"
    url = environment.get("DATABASE_URL", "")
    if url and not url.startswith(("postgres://", "postgresql://", "ssm:")):
        yield f"DATABASE_URL begins with {url.partition(':')[0]!r}; functions share no disk: {REQUIRED['DATABASE_URL']}"
    if ("MLSERVE_SUBNETS" in environment) != ("MLSERVE_SECURITY_GROUPS" in environment):
        yield "MLSERVE_SUBNETS and MLSERVE_SECURITY_GROUPS belong together: set both, or none to stay outside of a VPC"
    try:
        worker_concurrency(environment)
    except NotReady as error:
        yield str(error)


def _variables(stage: Stage, environment: Mapping[str, str], place: Place) -> dict[str, str]:
    domain = environment.get("MLSERVE_DOMAIN")
    # API Gateway's own addresses begin with the stage; those of a domain do not.
    addresses = {"ALLOWED_HOSTS": domain} if domain else {
        "ALLOWED_HOSTS": f".execute-api.{place.region}.amazonaws.com",
        "MLSERVE_BASE_PATH": "/web",
    }  # fmt: skip
    passed_on = {
        name: value
        for name, value in environment.items()
        if name in _ALSO_PASSED_ON or (name.startswith("MLSERVE_") and name not in _NOT_PASSED_ON)
    }
    return {"MLSERVE_QUEUE_NAME": DEFAULT_QUEUE_NAME, **addresses, **stage.variables, **passed_on}


def _vpc(environment: Mapping[str, str]) -> dict[str, list[str]]:
    if "MLSERVE_SUBNETS" not in environment:
        return {}
    return {
        "SubnetIds": _listed(environment["MLSERVE_SUBNETS"]),
        "SecurityGroupIds": _listed(environment["MLSERVE_SECURITY_GROUPS"]),
    }


def _listed(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
