"""The functions' roles must allow what the stage needs, and nothing more."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from deployment.account import Absent
from deployment.evidence import Evidence
from deployment.findings import Finding, NotYet, failed, ok, warning
from deployment.policy import Needs, parameters_in, policy

# A network interface has no name before it is made: AWS knows no narrower resource for these.
_WITHOUT_RESOURCE = "ec2:"
_MOST_NAMED = 4


def least_privilege(evidence: Evidence, stage: str) -> Finding:
    role = str(evidence.function(stage)["Role"]).rpartition("/")[2]
    try:
        statements = list(_statements(evidence, role))
        # All managed policies are wider than needed.
        attached = evidence.account.ask("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]
    except Absent as error:
        raise NotYet(f"there is no role {role}") from error
    fix = "make deploy writes the role's policy as deployment/policy.py makes it"
    managed = [f"the managed policy {policy['PolicyName']}" for policy in attached]
    if too_wide := [*(found for statement in statements for found in _too_wide(statement)), *managed]:
        return failed(f"{role} allows {_some(too_wide)}", f"{fix}; detach what was added by hand")
    has, needs = _allowed(statements), _allowed(_needed(evidence, stage)["Statement"])
    if lacks := needs - has:
        return failed(f"{role} lacks {_some(lacks)}", fix)
    if more := has - needs:
        return warning(f"{role} also allows {_some(more)}", f"{fix}; delete what was added by hand")
    return ok(f"{role} allows what {stage} needs and nothing more")


def _needed(evidence: Evidence, stage: str) -> Mapping[str, Any]:
    variables, function = evidence.variables(stage), evidence.function(stage)
    needs = Needs(
        stage=stage,
        function=str(function["FunctionName"]),
        bucket=variables.get("MLSERVE_BUCKET", ""),
        queue=evidence.queue_name,
        parameters=parameters_in(variables),
        in_vpc=bool(function.get("VpcConfig", {}).get("SubnetIds")),
    )
    return policy(evidence.place, needs)


def _statements(evidence: Evidence, role: str) -> Iterator[Mapping[str, Any]]:
    ask = partial(evidence.account.ask, "iam")
    for name in ask("list_role_policies", RoleName=role)["PolicyNames"]:
        document = ask("get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, str):
            document = json.loads(unquote(document))
        yield from _listed(document["Statement"])


def _allowed(statements: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        f"{action} on {resource}"
        for statement in statements
        if statement.get("Effect") == "Allow"
        for action in _listed(statement.get("Action", []))
        for resource in _listed(statement.get("Resource", []))
    }


def _too_wide(statement: Mapping[str, Any]) -> Iterator[str]:
    """Actions with a wildcard, and single actions on everything, except those that AWS only allows that way."""
    if statement.get("Effect") != "Allow":
        return
    if "NotAction" in statement or "NotResource" in statement:
        yield "everything but a list (NotAction or NotResource)"
    actions, resources = _listed(statement.get("Action", [])), _listed(statement.get("Resource", []))
    for action in actions:
        if "*" in action:
            yield str(action)
        elif "*" in resources and not action.startswith(_WITHOUT_RESOURCE):
            yield f"{action} on everything"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _some(found: Iterable[str]) -> str:
    ordered = sorted(set(found))
    more = f" and {len(ordered) - _MOST_NAMED} more" if len(ordered) > _MOST_NAMED else ""
    return f"{'; '.join(ordered[:_MOST_NAMED])}{more}"
