"""`make deploy`: from a checkout to an address. Every step checks first what exists, so that a second run continues."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deployment import package_store
from deployment.account import Absent, Account
from deployment.checking import Check, run
from deployment.checks import BEFORE, PACKAGE
from deployment.evidence import STAGES, WEB, WORKER, Evidence
from deployment.findings import NotKnown, NotYet
from deployment.front import get
from deployment.package_store import Package
from deployment.stack import mend_stack
from deployment.steps import DeploymentFailed, eventually, say, step
from deployment.summary import announce

ROOT = Path(__file__).resolve().parent.parent
_STEPS = 9
# A new role is known everywhere only after some seconds, and until then Lambda refuses it.
_TRIES, _PAUSE_SECONDS = 4, 5.0
_ZAPPA_SECONDS = 15 * 60
_SETTLED_SECONDS, _ANSWERED_SECONDS = 180.0, 60.0


@dataclass(frozen=True)
class Deployment:
    """`environment` is the deployer's; `is_built`: its PACKAGE exists already. `url` as for `Evidence`."""

    environment: Mapping[str, str]
    url: str = ""
    is_built: bool = False

    @cached_property
    def account(self) -> Account:
        return Account()

    @property
    def bucket(self) -> str:
        """The bucket of the packages."""
        return self.environment.get("MLSERVE_DEPLOY_BUCKET") or self.environment.get("MLSERVE_BUCKET", "")

    def look(self, *, is_planned: bool = False) -> Evidence:
        """The present state; nothing is cached from an earlier look."""
        return Evidence(self.environment, root=ROOT, account=self.account, url=self.url, is_planned=is_planned)


def deploy(deployment: Deployment) -> str:
    """The address of the service. Raises DeploymentFailed.

    The worker comes first: it migrates, so that the web function's new code never meets old tables. Old code meets
    new tables for some seconds, as in every deployment without a pause, so migrations go in safe steps.
    """
    with step(1, _STEPS, "Looking at settings and account"):
        _require(BEFORE, deployment)
        if find_spec("zappa") is None:
            raise DeploymentFailed(f"{sys.executable} has no Zappa; make deploy installs it in .venv-deploy.")
        say(f"{deployment.account.identity['Arn']} in {deployment.account.region}")
    with step(2, _STEPS, "Bucket and queue"):
        _make_missing(deployment)
    with step(3, _STEPS, "Package"):
        package = _package(deployment)
    with step(4, _STEPS, "Worker function"):
        _bring(deployment, WORKER, package)
    with step(5, _STEPS, "Migrations"):
        _migrate(deployment)
    with step(6, _STEPS, "Web function and API"):
        _bring(deployment, WEB, package)
        package_store.forget_old(deployment.account, deployment.bucket, in_use=[package])
    with step(7, _STEPS, "First sweep"):
        _sweep(deployment)
    with step(8, _STEPS, "Does it answer?"):
        url = _smoke(deployment)
    with step(9, _STEPS, "deploy_check"):
        _check(deployment, url)
    announce(url, package, deployment.environment)
    return url


def _require(checks: Sequence[Check], deployment: Deployment) -> None:
    rows = list(run(checks, deployment.look(is_planned=True), STAGES))
    broken = [row for row in rows if row.has_failed]
    for row in broken:
        say(f"{row.title}: {row.finding.found}. {row.finding.fix}")
    if broken:
        what = "1 check failed" if len(broken) == 1 else f"{len(broken)} checks failed"
        raise DeploymentFailed(f"{what}, and no function was changed: fix it and run this again.")


def _make_missing(deployment: Deployment) -> None:
    evidence, ask = deployment.look(is_planned=True), deployment.account.ask
    for bucket in dict.fromkeys((evidence.bucket, deployment.bucket)):
        try:
            ask("s3", "head_bucket", Bucket=bucket)
            say(f"The bucket {bucket} is there.")
        except Absent:
            _manage(deployment, "create_bucket", bucket)
    try:
        ask("sqs", "get_queue_url", QueueName=evidence.queue_name)
        say(f"The queue {evidence.queue_name} is there.")
    except Absent:
        timeout = evidence.settings(WORKER)["timeout_seconds"]
        _manage(deployment, "create_queue", evidence.queue_name, "--worker-timeout", str(timeout))


def _manage(deployment: Deployment, *arguments: str) -> None:
    """A command of manage.py, which prints itself what it does and why it failed."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(deployment.environment), check=False, timeout=600)
    if done.returncode:
        raise DeploymentFailed(f"manage.py {arguments[0]} failed; it says why above.")


def _package(deployment: Deployment) -> Package:
    """The package for both stages, built now unless one is given."""
    path = deployment.look().package
    if not deployment.is_built:
        command = [sys.executable, "-m", "deployment.package", str(path)]
        done = subprocess.run(command, cwd=ROOT, env=_in_this_environment(), check=False, timeout=_ZAPPA_SECONDS)
        if done.returncode:
            raise DeploymentFailed("The package could not be built; it says why above.")
    _require(PACKAGE, deployment)
    package = package_store.read(path)
    is_new = package_store.upload(deployment.account, deployment.bucket, path, package)
    say(f"{package.sha256[:12]}, {package.size_bytes / 1e6:.1f} MB{'' if is_new else ', already in the bucket'}")
    return package


def _in_this_environment(**more: str) -> dict[str, str]:
    return {**os.environ, "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(ROOT), **more}


def _bring(deployment: Deployment, stage: str, package: Package) -> None:
    """Make or update the stage until AWS shows it as it should be. Zappa's exit status is ignored."""
    wrong = ""
    for _ in range(_TRIES):
        evidence = deployment.look()
        mend_stack(deployment.account, evidence.function_name(stage))
        try:
            evidence.function(stage)
            command = "update"
        except NotYet:
            command = "deploy"
        _zappa(command, stage, package)
        found = eventually(lambda: settled(deployment, stage), seconds=_SETTLED_SECONDS)
        wrong = f"{stage} is still busy" if found is None else _wrong(found, stage, package)
        if not wrong:
            say(f"{evidence.function_name(stage)} holds {package.sha256[:12]}")
            return
        say(f"{wrong}; trying again")
        eventually(lambda: None, seconds=_PAUSE_SECONDS)
    raise DeploymentFailed(f"{stage} did not become what it should be: {wrong}. Zappa's output is above.")


def _zappa(command: str, stage: str, package: Package) -> None:
    settings = str(ROOT / "zappa_settings.json")
    with tempfile.TemporaryDirectory(prefix="mlserve-deploy-") as folder:  # where it leaves its template when killed
        subprocess.run(
            [sys.executable, "-m", "deployment.zappa_stage", command, stage, settings, package.key],
            cwd=folder,
            env=_in_this_environment(),
            check=False,
            timeout=_ZAPPA_SECONDS,
        )


def settled(deployment: Deployment, stage: str) -> Evidence | None:
    """The function once Lambda has updated it, or none."""
    evidence = deployment.look()
    try:
        function = evidence.function(stage)
    except NotYet:
        return evidence
    is_busy = function.get("State") == "Pending" or function.get("LastUpdateStatus") == "InProgress"
    return None if is_busy else evidence


def _wrong(evidence: Evidence, stage: str, package: Package) -> str:
    """Which part of the stage is missing or has another package; "" when all is right."""
    try:
        if (code := evidence.function(stage)["CodeSha256"]) != package.code:
            return f"{stage} holds {package_store.package_of_code(code).sha256[:12]} instead of {package.sha256[:12]}"
        evidence.mapping() if stage == WORKER else evidence.api_id()
    except NotYet as error:
        return str(error)
    return ""


def _migrate(deployment: Deployment) -> None:
    """Migrate in the function, which reaches the database even if this machine does not."""
    evidence = deployment.look()
    missing = evidence.self_report(WORKER)["migrations"].get("missing")
    if missing == []:
        say("All are applied.")
        return
    deployment.account.invoke(evidence.function_name(WORKER), {"manage": "migrate --no-input"})
    told: Mapping[str, Any] = deployment.look().self_report(WORKER)
    for part in ("database", "migrations"):
        if "error" in told[part]:
            raise DeploymentFailed(f"The worker cannot use the database: {told[part]['error']}")
    if told["migrations"]["missing"]:
        raise DeploymentFailed(
            f"Still missing: {', '.join(told['migrations']['missing'])}. zappa tail worker shows more."
        )
    say(f"{len(missing)} applied." if missing else "Applied.")


def _sweep(deployment: Deployment) -> None:
    """Send the minute's event once, so that the first sweep is made at once."""
    event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": [], "kwargs": {}}
    deployment.account.invoke(deployment.look().function_name(WORKER), event)
    say("The worker swept.")


def _smoke(deployment: Deployment) -> str:
    """Wait: a new API needs some seconds until it is known everywhere."""
    url = deployment.look().url()
    for path in ("/healthz", "/api/models"):
        if eventually(partial(_answered, url, path), seconds=_ANSWERED_SECONDS) is None:
            raise DeploymentFailed(f"{url}{path} does not answer 200. zappa tail web shows why.")
        say(f"{url}{path} answers.")
    return url


def _answered(url: str, path: str) -> bool | None:
    try:
        return get(url, path).status == 200 or None
    except NotKnown:
        return None


def _check(deployment: Deployment, url: str) -> None:
    try:
        _manage(deployment, "deploy_check", "--url", url)
    except DeploymentFailed as error:
        raise DeploymentFailed(f"It is deployed at {url}, but a check failed; see above.") from error
