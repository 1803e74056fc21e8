"""What the functions' roles allow: what the stage needs, and nothing more."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from deployment.account import Absent
from deployment.evidence import Evidence
from deployment.findings import Finding, NotYet, failed, ok, warning

# A network interface has no name before it is made: AWS knows no narrower resource for these. Tracing neither.
_WITHOUT_RESOURCE = ("ec2:", "xray:Put")
_MANAGED_AND_FINE = ("AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole")


def least_privilege(evidence: Evidence, stage: str) -> Finding:
    role = str(evidence.function(stage)["Role"]).rpartition("/")[2]
    try:
        statements = list(_statements(evidence, role))
        attached = evidence.account.ask("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]
    except Absent as error:
        raise NotYet(f"there is no role {role}") from error
    too_wide = [found for statement in statements for found in _too_wide(statement)]
    too_wide += [
        f"the managed policy {policy['PolicyName']}"
        for policy in attached
        if policy["PolicyName"] not in _MANAGED_AND_FINE
    ]
    if too_wide:
        return failed(
            f"{role} allows {'; '.join(sorted(set(too_wide))[:4])}",
            "make deploy writes the role's policy as deployment/policy.py makes it; detach what was added by hand",
        )
    if not statements and not attached:
        return warning(f"{role} allows nothing", "make deploy")
    return ok(f"{len(statements)} statements, each for resources of its own")


def _statements(evidence: Evidence, role: str) -> Iterator[Mapping[str, Any]]:
    ask = partial(evidence.account.ask, "iam")
    for name in ask("list_role_policies", RoleName=role)["PolicyNames"]:
        document = ask("get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, str):
            document = json.loads(unquote(document))
        yield from _listed(document["Statement"])


def _too_wide(statement: Mapping[str, Any]) -> Iterator[str]:
    """Actions with a wildcard, and single actions on everything, but for those that AWS only allows so."""
    if statement.get("Effect") != "Allow":
        return
    if "NotAction" in statement or "NotResource" in statement:
        yield "everything but a list (NotAction or NotResource)"
    actions, resources = _listed(statement.get("Action", [])), _listed(statement.get("Resource", []))
    for action in actions:
        if action == "*" or action.partition(":")[2] in ("*", ""):
            yield action
        elif "*" in resources and not action.startswith(_WITHOUT_RESOURCE):
            yield f"{action} on everything"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
