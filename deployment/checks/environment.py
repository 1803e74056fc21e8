"""Settings with which no deployment works, found before it is made."""

from collections.abc import Mapping

from deployment import stages
from deployment.checking import judged
from deployment.evidence import STAGES, WEB, WORKER, Evidence
from deployment.findings import Finding, NotKnown, failed, ok, warning
from mlserve.conf.secret_key import weakness

_PARAMETER = "ssm:"
# API Gateway ends a request after 29 s, the transfer of its answer included.
GATEWAY_SECONDS = 29
_SPARE_SECONDS = 2
# Time to load an artifact before a batch, and to requeue the remaining rows after it.
WORKER_SPARE_SECONDS = 30
_DEFAULTS = {"MLSERVE_MAX_WAIT": 25, "MLSERVE_BATCH_SECONDS": 60, "MLSERVE_INSPECTION_SECONDS": 120}


def complete(evidence: Evidence) -> Finding:
    missing = [name for name in stages.REQUIRED if not evidence.variables(WORKER).get(name, "").strip()]
    return judged(
        [f"{name} is not set ({stages.REQUIRED[name]})" for name in missing],
        well=f"{', '.join(stages.REQUIRED)} are set",
        fix="set them in the shell or the workflow that deploys; docs/deploy-aws.md says to what",
    )


def secret_key(evidence: Evidence) -> Finding:
    key = evidence.variables(WORKER).get("SECRET_KEY", "")
    if key.startswith(_PARAMETER):
        return ok("kept in the Parameter Store")
    fix = "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    if why := weakness(key):
        return failed(f"SECRET_KEY is weak: {why}", fix)
    return ok("strong")


def database_url(evidence: Evidence) -> Finding:
    url = evidence.variables(WORKER).get("DATABASE_URL", "")
    if url.startswith(_PARAMETER):
        return ok("kept in the Parameter Store")
    scheme = url.partition(":")[0]
    if scheme not in ("postgres", "postgresql"):
        found = "is not set" if not url else f"begins with {scheme!r}"
        return failed(f"DATABASE_URL {found}", "a function has no disk: use postgres://user:password@host/name")
    return ok("PostgreSQL")


def debug_off(evidence: Evidence) -> Finding:
    on = [stage for stage in STAGES if _is_on(_own(evidence, stage).get("DEBUG", "0"))]
    return judged(
        [f"DEBUG is on in {stage}" for stage in on],
        well="off",
        fix="unset DEBUG in zappa_settings.json: it allows plain HTTP and serves without collected files",
    )


def _own(evidence: Evidence, stage: str) -> Mapping[str, str]:
    """The function's variables; the deployer's shell may have DEBUG=1 for itself."""
    planned: Mapping[str, str] = evidence.settings(stage).get("aws_environment_variables", {})
    found = evidence.variables(stage)
    return planned if found is evidence.environment else found


def _is_on(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes", "on"}


def timeout(evidence: Evidence, stage: str) -> Finding:
    seconds = _timeout_seconds(evidence, stage)
    if stage == WEB and seconds > GATEWAY_SECONDS:
        return failed(
            f"the function may run {seconds} s, API Gateway stops after {GATEWAY_SECONDS} s",
            f'"timeout_seconds": {GATEWAY_SECONDS} in zappa_settings.json: no client would get the rest',
        )
    if seconds > 900:
        return failed(f"{seconds} s; Lambda allows 900 s", '"timeout_seconds" in zappa_settings.json')
    return ok(f"{seconds} s")


def wait_fits_the_gateway(evidence: Evidence) -> Finding:
    wait, limit = number(evidence, WEB, "MLSERVE_MAX_WAIT"), _timeout_seconds(evidence, WEB)
    if wait > limit - _SPARE_SECONDS:
        return failed(
            f"a request may wait {wait} s, the function ends after {limit} s",
            f"MLSERVE_MAX_WAIT={limit - 2 * _SPARE_SECONDS}: callers would get 504 instead of 202",
        )
    return ok(f"{wait} s of {limit} s")


def batch_fits_the_worker(evidence: Evidence) -> Finding:
    batch, limit = number(evidence, WORKER, "MLSERVE_BATCH_SECONDS"), _timeout_seconds(evidence, WORKER)
    if batch + WORKER_SPARE_SECONDS > limit:
        return failed(
            f"a batch may take {batch} s, the worker ends after {limit} s",
            f"lower MLSERVE_BATCH_SECONDS to {max(limit - WORKER_SPARE_SECONDS, 1)}, or raise the worker's "
            '"timeout_seconds" in zappa_settings.json (then create_queue --worker-timeout)',
        )
    return ok(f"{batch} s of {limit} s")


def inspection_fits_the_worker(evidence: Evidence) -> Finding:
    seconds, limit = number(evidence, WORKER, "MLSERVE_INSPECTION_SECONDS"), _timeout_seconds(evidence, WORKER)
    if seconds + WORKER_SPARE_SECONDS > limit:
        return failed(
            f"an inspection may take {seconds} s, the worker ends after {limit} s",
            f"lower MLSERVE_INSPECTION_SECONDS to {max(limit - WORKER_SPARE_SECONDS, 5)}, or raise the worker's "
            '"timeout_seconds" in zappa_settings.json',
        )
    return ok(f"{seconds} s of {limit} s")


def retry_exceeds_timeout(evidence: Evidence) -> Finding:
    """django-q2's own two settings, of which it only warns."""
    settings, seen = evidence.inside("settings")
    timeout_seconds, retry = settings["task_timeout_seconds"], settings["task_retry_seconds"]
    if retry <= timeout_seconds:
        return failed(
            f"retry {retry} s, timeout {timeout_seconds} s", "Q_CLUSTER in settings.py: retry must exceed the timeout"
        )
    return ok(f"retry {retry} s, timeout {timeout_seconds} s; {seen}")


def keep_warm_off(evidence: Evidence, stage: str) -> Finding:
    if evidence.settings(stage).get("keep_warm", True):
        return warning(
            "Zappa calls the function every four minutes",
            '"keep_warm": false in zappa_settings.json: the minute\'s schedule does it for the worker',
        )
    return ok("off")


def number(evidence: Evidence, stage: str, name: str) -> int:
    text = evidence.variables(stage).get(name, "").strip() or str(_DEFAULTS[name])
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise NotKnown(f"{name} is {text!r}, which is no whole number") from None


def _timeout_seconds(evidence: Evidence, stage: str) -> int:
    """The function's time limit, or the one that it would get."""
    return int(evidence.current(stage, "Timeout", "timeout_seconds", default=30))
