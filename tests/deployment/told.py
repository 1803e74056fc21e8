"""A healthy deployment as plain values, to be broken in one place by each test."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployment.account import Account
from deployment.evidence import Evidence
from deployment.findings import NotYet
from mlserve.conf.secret_key import fingerprint

KEY = "a-key-of-the-tests-that-is-long-enough-for-every-check"
ENVIRONMENT = {
    "SECRET_KEY": KEY,
    "DATABASE_URL": "postgres://mlserve:secret-of-the-database@db.example/mlserve",
    "MLSERVE_BUCKET": "artifacts",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
SETTINGS: Mapping[str, Any] = {
    "base": {"project_name": "mlserve", "keep_warm": False},
    "web": {"extends": "base", "timeout_seconds": 29, "memory_size": 1769},
    "worker": {
        "extends": "base", "timeout_seconds": 300, "memory_size": 3008, "ephemeral_storage": {"Size": 2048},
    },
}  # fmt: skip
SELF_REPORT: Mapping[str, Any] = {
    "now": "2026-11-24T12:00:00+00:00",
    "skew_seconds": 0.0,
    "process": {"function": "f", "python": "3.13.0", "packages": {"scikit-learn": "1.9.1"}},
    "settings": {
        "secret_key_fingerprint": fingerprint(KEY),
        "max_body_bytes": 4 * 2**20,
        "max_artifact_bytes": 300 * 2**20,
        "cache_bytes": 400 * 2**20,
        "task_timeout_seconds": 65,
        "task_retry_seconds": 95,
    },
    "database": {
        "vendor": "postgresql", "version": "17.2", "max_connections": 100, "reserved_connections": 3,
        "used_connections": 4, "is_encrypted": True, "skew_seconds": 0.0,
    },
    "migrations": {"missing": []},
    "people": {"administrators": 1},
    "storage": {"bucket": "artifacts"},
    "queue": {"kind": "sqs"},
    "waiting": {"oldest_queued_seconds": 0.0, "workers_seen": 1},
    "models": {
        "live": [{"version": "penguins 1.0", "size_bytes": 50_000, "inspected_with": {"scikit-learn": "1.9.1"}}]
    },
    "sandbox": {"holds": ["limits", "system calls", "files"], "missing": []},
}  # fmt: skip


class ToldEvidence(Evidence):
    """`functions` by stage as Lambda tells them, {} where nothing is deployed."""

    def __init__(self, environment: Mapping[str, str] = ENVIRONMENT, *, root: Path = Path("/nowhere")) -> None:
        super().__init__(environment, root=root, account=Account())
        self.told_settings = copy.deepcopy(dict(SETTINGS))
        self.told_self_reports = {"web": copy.deepcopy(dict(SELF_REPORT)), "worker": copy.deepcopy(dict(SELF_REPORT))}
        self.functions: dict[str, dict[str, Any]] = {"web": _function("web", 1769), "worker": _function("worker", 3008)}
        self.told_mapping: dict[str, Any] = {
            "UUID": "u", "State": "Enabled", "BatchSize": 10, "FunctionArn": "arn:worker",
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 5},
        }  # fmt: skip

    def function(self, stage: str) -> Mapping[str, Any]:
        if not self.functions[stage]:
            raise NotYet(f"there is no function mlserve-{stage}")
        return self.functions[stage]

    def mapping(self) -> Mapping[str, Any]:
        self.function("worker")
        return self.told_mapping

    def self_report(self, stage: str) -> Mapping[str, Any]:
        self.function(stage)
        return self.told_self_reports[stage]

    def _read_settings(self) -> Any:
        return self.told_settings

    def forget_functions(self) -> "ToldEvidence":
        """As before the first deploy."""
        self.functions = {"web": {}, "worker": {}}
        return self


def _function(stage: str, memory_mb: int) -> dict[str, Any]:
    return {
        "FunctionName": f"mlserve-{stage}", "FunctionArn": f"arn:{stage}", "CodeSha256": "c2FtZQ==", "State": "Active",
        "LastUpdateStatus": "Successful", "Handler": "mlserve.lambda_entry.lambda_handler", "Runtime": "python3.13",
        "MemorySize": memory_mb, "Timeout": 29 if stage == "web" else 300, "EphemeralStorage": {"Size": 2048},
        "Environment": {"Variables": dict(ENVIRONMENT)},
    }  # fmt: skip
