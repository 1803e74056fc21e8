"""What only the functions can see: whether they reach database, bucket and queue, and what these contain."""

from typing import Any

from deployment.checks.functions import most_at_once
from deployment.evidence import STAGES, WEB, WORKER, Evidence, sound
from deployment.findings import Finding, NotKnown, failed, ok, warning
from mlserve.conf.secret_key import fingerprint
from registry.sandbox.measurement import REACHED_WITHOUT

_LATE_SECONDS, _TOO_LATE_SECONDS = 120, 900
# Lambda's 6 MB include the body in base64, and its headers.
_MOST_BODY_BYTES = 6 * 2**20 * 3 // 4
# Besides functions: a person with a shell, the deploy, a dashboard.
_SPARE_CONNECTIONS = 5
_NETWORK = (
    "in a VPC the function needs a route: the database's security group must let the function's in on port 5432, and "
    "S3, SQS and SSM need endpoints or a NAT gateway (docs/deploy-aws.md)"
)


def answers(evidence: Evidence, stage: str) -> Finding:
    process = sound(evidence.self_report(stage), "process")
    return ok(f"Python {process['python']}, scikit-learn {process['packages'].get('scikit-learn')}")


def same_secret_key(evidence: Evidence) -> Finding:
    """Compared by fingerprint: each stage must accept messages that the other one signs."""
    prints = {stage: sound(evidence.self_report(stage), "settings")["secret_key_fingerprint"] for stage in STAGES}
    if len(set(prints.values())) > 1:
        return failed("web and worker have different keys", "make deploy: it sets the same environment in both")
    own = evidence.environment.get("SECRET_KEY", "")
    if own and not own.startswith("ssm:") and fingerprint(own) != prints[WEB]:
        return warning("the same in both, but not the one set here", "the next deploy from here would replace it")
    return ok(f"the same in both (fingerprint {prints[WEB]})")


def database(evidence: Evidence, stage: str) -> Finding:
    return _reached(evidence, stage, "database", f"check DATABASE_URL; {_NETWORK}")


def storage(evidence: Evidence, stage: str) -> Finding:
    return _reached(evidence, stage, "storage", f"check MLSERVE_BUCKET and the role; {_NETWORK}")


def queue(evidence: Evidence, stage: str) -> Finding:
    return _reached(evidence, stage, "queue", f"create the queue, check the role; {_NETWORK}")


def _reached(evidence: Evidence, stage: str, part: str, fix: str) -> Finding:
    """An unreachable part is a failure here, not something unknown."""
    told: dict[str, Any] = evidence.self_report(stage)[part]
    if "error" in told:
        return failed(str(told["error"]), fix)
    known = [str(told[name]) for name in ("vendor", "version", "bucket", "kind") if name in told]
    return ok(f"reached: {' '.join(known)}")


def database_encrypted(evidence: Evidence) -> Finding:
    told, seen = evidence.inside("database")
    if told["vendor"] != "postgresql":
        return failed(f"the database is {told['vendor']}", "DATABASE_URL=postgres://…")
    if not told["is_encrypted"]:
        return warning(f"the connection is not encrypted; {seen}", "add ?sslmode=require to DATABASE_URL")
    return ok(f"TLS; {seen}")


def connections(evidence: Evidence) -> Finding:
    """A function holds one connection, also while it is frozen between two calls."""
    told, seen = evidence.inside("database")
    if told["vendor"] != "postgresql":
        raise NotKnown(f"the database is {told['vendor']}")
    free = told["max_connections"] - told["reserved_connections"] - _SPARE_CONNECTIONS
    web, is_limited = most_at_once(evidence, WEB)
    workers = (
        int(evidence.mapping().get("ScalingConfig", {}).get("MaximumConcurrency") or 0)
        or most_at_once(evidence, WORKER)[0]
    )
    found = f"{web} web + {workers} workers may need {web + workers}, the database has {free} for them; {seen}"
    if web + workers <= free:
        return ok(found)
    limit = max(free - workers - 1, 1)
    fix = (
        f'"lambda_concurrency": {limit} for web in zappa_settings.json, a larger database, or RDS Proxy, which then '
        "keeps callers waiting instead of refusing them"
    )
    return failed(found, fix) if is_limited else warning(f"{found} (web has no limit of its own)", fix)


def sandbox(evidence: Evidence, stage: str) -> Finding:
    """A warning, because Lambda's kernel has no Landlock, and nothing that one could change there would add it."""
    told = sound(evidence.self_report(stage), "sandbox")
    if missing := told["missing"]:
        could = "; ".join(REACHED_WITHOUT[part] for part in missing)
        return warning(
            f"it lacks {' and '.join(missing)}: a model's code could {could}",
            "let only those upload whom you would let do this, and give the function's role no more than it needs; "
            "models of strangers belong on a server with Linux 5.13 or later (SECURITY.md)",
        )
    return ok(f"holds: {', '.join(told['holds'])}")


def migrations(evidence: Evidence) -> Finding:
    told, seen = evidence.inside("migrations")
    if missing := told["missing"]:
        return failed(f"{len(missing)} are missing, first {missing[0]}; {seen}", "make deploy")
    return ok(f"all applied; {seen}")


def body_size(evidence: Evidence) -> Finding:
    told, _ = evidence.inside("settings")
    size = int(told["max_body_bytes"])
    if size > _MOST_BODY_BYTES:
        return warning(
            f"requests of {size / 2**20:.1f} MiB are allowed, Lambda takes {_MOST_BODY_BYTES / 2**20:.1f} MiB",
            "MLSERVE_MAX_BODY_BYTES=4MiB: larger ones would get API Gateway's own error; send fewer rows at a time",
        )
    return ok(f"{size / 2**20:.1f} MiB")


def administrator(evidence: Evidence) -> Finding:
    told, _ = evidence.inside("people")
    if not told["administrators"]:
        return warning("there is no administrator", "make admin NAME=you")
    return ok(f"{told['administrators']}")


def oldest_queued(evidence: Evidence) -> Finding:
    told, _ = evidence.inside("waiting")
    age = float(told["oldest_queued_seconds"])
    fix = "zappa tail worker: does it run, does it raise? More workers at a time: MLSERVE_WORKER_CONCURRENCY"
    if age > _TOO_LATE_SECONDS:
        return failed(f"a prediction waits for {age:.0f} s", fix)
    if age > _LATE_SECONDS:
        return warning(f"a prediction waits for {age:.0f} s", fix)
    return ok(f"{age:.0f} s")
