"""`make undeploy`: removes what the deploy made, except what contains data. A second run continues the first."""

from collections.abc import Callable, Collection
from functools import partial

from deployment.account import Absent, Account
from deployment.deploy import Deployment
from deployment.evidence import STAGES, WEB, Evidence
from deployment.findings import NotKnown
from deployment.stack import delete_stack
from deployment.steps import DeploymentFailed, confirmed, say, step


def undeploy(deployment: Deployment, *, is_yes: bool) -> None:
    evidence = deployment.look(is_planned=True)
    names = {stage: evidence.function_name(stage) for stage in STAGES}
    account = deployment.account
    if not confirmed(f"Remove {' and '.join(names.values())} in {account.region}?", is_yes=is_yes):
        raise DeploymentFailed("Nothing was removed.")
    for number, (stage, name) in enumerate(names.items(), 1):
        with step(number, len(names), f"{name}"):
            _remove(account, stage, name)
    _say_what_stays(evidence, names.values())


def _remove(account: Account, stage: str, name: str) -> None:
    """Outermost first, so that no part calls one that was removed."""
    arn = f"arn:aws:lambda:{account.region}:{account.identity['Account']}:function:{name}"
    if stage == WEB:
        _told("API", delete_stack(account, name) | _remove_apis(account, name))
    _told("schedule", _remove_rules(account, arn))
    _told("mapping", _remove_mappings(account, name) | _remove_mappings(account, arn))
    _told("function", _without(partial(account.ask, "lambda", "delete_function", FunctionName=name)))
    _told("role", _remove_role(account, f"{name}-ZappaLambdaExecutionRole"))


def _remove_apis(account: Account, name: str) -> bool:
    """Delete APIs that an interrupted stack has left."""
    every = account.ask("apigateway", "get_rest_apis", limit=500)["items"]
    ours = [api["id"] for api in every if api["name"] == name]
    for identifier in ours:
        account.ask("apigateway", "delete_rest_api", restApiId=identifier)
    return bool(ours)


def _remove_rules(account: Account, arn: str) -> bool:
    names = account.ask("events", "list_rule_names_by_target", TargetArn=arn)["RuleNames"]
    for name in names:
        targets = account.ask("events", "list_targets_by_rule", Rule=name)["Targets"]
        if targets:
            account.ask("events", "remove_targets", Rule=name, Ids=[target["Id"] for target in targets])
        account.ask("events", "delete_rule", Name=name)
    return bool(names)


def _remove_mappings(account: Account, function: str) -> bool:
    """A mapping would outlive its function and keep receiving messages."""
    try:
        found = account.ask("lambda", "list_event_source_mappings", FunctionName=function)["EventSourceMappings"]
    except Absent:
        return False
    for mapping in found:
        _without(partial(account.ask, "lambda", "delete_event_source_mapping", UUID=mapping["UUID"]))
    return bool(found)


def _remove_role(account: Account, role: str) -> bool:
    try:
        for name in account.ask("iam", "list_role_policies", RoleName=role)["PolicyNames"]:
            account.ask("iam", "delete_role_policy", RoleName=role, PolicyName=name)
        for policy in account.ask("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]:
            account.ask("iam", "detach_role_policy", RoleName=role, PolicyArn=policy["PolicyArn"])
        account.ask("iam", "delete_role", RoleName=role)
    except Absent:
        return False
    return True


def _without(remove: Callable[[], object]) -> bool:
    try:
        remove()
    except Absent:
        return False
    return True


def _told(what: str, was_there: bool) -> None:
    say(f"{what}: {'removed' if was_there else 'there was none'}")


def _say_what_stays(evidence: Evidence, names: Collection[str]) -> None:
    try:
        bucket = evidence.bucket
    except NotKnown:
        bucket = "of the artifacts"
    print("Left, because they contain data or may be shared:")
    say(f"the bucket {bucket} with artifacts and packages (empty it with all versions, then aws s3 rb)")
    say(f"the queues {evidence.queue_name} and {evidence.queue_name}-dead (aws sqs delete-queue)")
    say("the database, secrets in the Parameter Store, a domain, the network")
    say(f"the logs /aws/lambda/… of {' and '.join(names)} (aws logs delete-log-group)")
