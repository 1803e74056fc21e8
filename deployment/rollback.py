"""`make rollback`: both functions back to the package that ran before.

Not by `zappa rollback`: it sends the package inside of one request, for which Lambda's limit is 50 MB, goes back by a
count of versions that may differ between the stages, and says "Done!" in any case.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deployment import package_store
from deployment.deploy import Deployment, settled
from deployment.evidence import STAGES, WEB, WORKER
from deployment.package_store import Package, package_of_code
from deployment.steps import DeploymentFailed, eventually, say, step

_SETTLED_SECONDS = 180.0


def rollback(deployment: Deployment, *, to: str = "") -> Package:
    """The package that runs now. Nothing but code changes: settings, tables and queues stay as they are."""
    with step(1, 3, "Which package"):
        target = _target(deployment, to)
        say(f"{target.sha256[:12]}")
    for number, stage in enumerate(STAGES, 2):
        with step(number, 3, f"The {stage} function"):
            _bring_back(deployment, stage, target)
    say("make deploy brings the newer code back. Tables stay as the newer code left them.")
    return target


def _target(deployment: Deployment, to: str) -> Package:
    """A deploy ends with the web function, a rollback begins with it: where the stages differ, web's is the older."""
    evidence = deployment.look()
    now, workers = (evidence.function(stage)["CodeSha256"] for stage in (WEB, WORKER))
    if now != workers and not to:
        return package_of_code(now)
    ran = [package_of_code(version["CodeSha256"]) for version in _versions(deployment, evidence.function_name(WEB))]
    fitting = [each for each in ran if each.sha256.startswith(to.lower())] if to else [
        each for each in ran if each.code != now
    ]  # fmt: skip
    for package in fitting:
        if package_store.is_there(deployment.account, deployment.bucket, package):
            return package
    known = ", ".join(dict.fromkeys(each.sha256[:12] for each in ran)) or "none"
    raise DeploymentFailed(
        f"No {'package ' + to if to else 'earlier package'} is in {deployment.bucket} any more (ran: {known}). "
        "Check out the older commit and run make deploy."
    )


def _versions(deployment: Deployment, name: str) -> Sequence[Mapping[str, Any]]:
    """Published versions, newest first."""
    found = deployment.account.ask("lambda", "list_versions_by_function", FunctionName=name, MaxItems=50)["Versions"]
    numbered = [version for version in found if version["Version"] != "$LATEST"]
    return sorted(numbered, key=lambda version: int(version["Version"]), reverse=True)


def _bring_back(deployment: Deployment, stage: str, target: Package) -> None:
    evidence = deployment.look()
    if evidence.function(stage)["CodeSha256"] != target.code:
        deployment.account.ask(
            "lambda", "update_function_code", FunctionName=evidence.function_name(stage),
            S3Bucket=deployment.bucket, S3Key=target.key, Publish=True,
        )  # fmt: skip
    found = eventually(lambda: settled(deployment, stage), seconds=_SETTLED_SECONDS)
    if found is None or found.function(stage)["CodeSha256"] != target.code:
        raise DeploymentFailed(f"{stage} does not hold {target.sha256[:12]}; run make rollback again.")
    say(f"It holds {target.sha256[:12]}.")
