"""The two functions: deployed, with the same code, the right handler and enough memory for a model."""

from collections.abc import Mapping
from functools import partial

from deployment import stages
from deployment.account import Absent
from deployment.evidence import STAGES, WEB, WORKER, Evidence
from deployment.findings import Finding, NotKnown, NotYet, failed, ok, warning
from deployment.package_store import package_of_code

HANDLER = "mlserve.lambda_entry.lambda_handler"
_RATE = "rate(1 minute)"
# Django with its first request; Django, scikit-learn and pandas with a small pipeline.
_LEAST_MB = {WEB: 256, WORKER: 1024}
# A whole core, by Amazon's own figure; less of it makes every start slower.
_ONE_CORE_MB = 1769


def there(evidence: Evidence, stage: str) -> Finding:
    function = evidence.function(stage)
    state, last = function.get("State", "Active"), function.get("LastUpdateStatus", "Successful")
    if state not in ("Active", "Inactive") or last == "Failed":
        reason = function.get("StateReason") or function.get("LastUpdateStatusReason") or "no reason given"
        return failed(f"{function['FunctionName']} is {state}, last update {last}: {reason}", "make deploy")
    return ok(f"{function['FunctionName']}, {function.get('Runtime', 'image')}, {function['MemorySize']} MB")


def same_code(evidence: Evidence) -> Finding:
    """By the package's digest, as make deploy shows it and make rollback accepts it."""
    held = {stage: package_of_code(evidence.function(stage)["CodeSha256"]).sha256 for stage in STAGES}
    if len(set(held.values())) > 1:
        return failed(
            ", ".join(f"{stage} {digest[:12]}" for stage, digest in held.items()),
            "make deploy brings both to the newest package, make rollback to the older one",
        )
    return ok(f"{held[WEB][:12]} in both")


def handler(evidence: Evidence, stage: str) -> Finding:
    function = evidence.function(stage)
    if function.get("PackageType") == "Image":
        return ok("the image's own")
    if function["Handler"] != HANDLER:
        return failed(
            f"{function['Handler']}",
            f'"lambda_handler": "{HANDLER}": Zappa\'s own drops messages of queues that it does not know',
        )
    return ok(HANDLER)


def memory(evidence: Evidence, stage: str) -> Finding:
    """The least memory for a start; `model-memory` checks that for models."""
    megabytes = int(evidence.current(stage, "MemorySize", "memory_size", default=512))
    fix = f'"memory_size" of {stage} in zappa_settings.json'
    if megabytes < _LEAST_MB[stage]:
        return failed(f"{megabytes} MB; it needs {_LEAST_MB[stage]} MB to start", fix)
    if megabytes < _ONE_CORE_MB:
        return warning(f"{megabytes} MB, which is less than one core", f"{fix}: {_ONE_CORE_MB} is one core")
    return ok(f"{megabytes} MB")


def leftovers(evidence: Evidence, stage: str) -> Finding:
    """Zappa adds variables and never removes one."""
    found, planned = evidence.function(stage).get("Environment", {}).get("Variables", {}), _planned(evidence, stage)
    if left := sorted(set(found) - set(planned)):
        return warning(
            f"{', '.join(left)}: in the function, not set here",
            "if that is intended, remove it there too (Lambda's console: Configuration, Environment variables)",
        )
    return ok(f"{len(found)} variables, all of them set here")


def _planned(evidence: Evidence, stage: str) -> Mapping[str, str]:
    settings = evidence.settings(stage)
    variables = settings.get("aws_environment_variables", {})
    described = stages.Stage(stage, evidence.function_name(stage), variables, settings.get("events", []))
    try:
        return stages.plan(described, evidence.environment, evidence.place).variables
    except stages.NotReady as error:
        raise NotKnown("this environment is not the one that deploys") from error


def schedule(evidence: Evidence) -> Finding:
    """Without the minute's sweep a lost message leaves its prediction queued."""
    arn = evidence.function(WORKER)["FunctionArn"]
    try:
        names = evidence.account.ask("events", "list_rule_names_by_target", TargetArn=arn)["RuleNames"]
    except Absent:
        names = []
    rules = [evidence.account.ask("events", "describe_rule", Name=name) for name in names]
    minute = [rule for rule in rules if rule.get("ScheduleExpression") == _RATE]
    fix = "make deploy; without the minute's sweep a lost message leaves its prediction queued"
    if not minute:
        return failed(f"no rule calls the worker each minute ({len(rules)} rules)", fix)
    if not any(rule.get("State") == "ENABLED" for rule in minute):
        return failed(f"the rule {minute[0]['Name']} is disabled", "aws events enable-rule --name " + minute[0]["Name"])
    return ok(f"{minute[0]['Name']}, {_RATE}")


def most_at_once(evidence: Evidence, stage: str) -> tuple[int, bool]:
    """How many instances of the function may run at a time, and whether the function itself has that limit."""
    ask = partial(evidence.account.ask, "lambda")
    try:
        reserved = ask("get_function_concurrency", FunctionName=evidence.function_name(stage))
    except Absent as error:
        raise NotYet(f"there is no {stage} function") from error
    if "ReservedConcurrentExecutions" in reserved:
        return int(reserved["ReservedConcurrentExecutions"]), True
    try:
        limit = ask("get_account_settings")["AccountLimit"]["UnreservedConcurrentExecutions"]
    except (Absent, NotKnown):
        limit = 1000  # the default of an account
    return int(limit), False
