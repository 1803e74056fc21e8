"""The machine on which the numbers were measured."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "django", "djangorestframework", "django-q2", "granian", "orjson", "jsonschema-rs", "scikit-learn", "pandas",
    "numpy", "fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "celery", "redis", "psycopg",
)  # fmt: skip


def describe() -> dict[str, object]:
    return {
        "cpu": _after_colon(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(_after_colon(Path("/proc/meminfo"), "MemTotal").split()[0]) // 1024,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        # Load of the minute before: above a tenth of the cores, other programs were running.
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: version(name) for name in _PACKAGES},
        "redis-server": _version_of_redis(),
    }


def _after_colon(path: Path, name: str) -> str:
    lines = (line.partition(":") for line in path.read_text("utf-8").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _version_of_redis() -> str | None:
    """As 7.0.15; None where it is not installed."""
    path = shutil.which("redis-server")
    if path is None:
        return None
    words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return next((word[2:] for word in words if word.startswith("v=")), "unknown")
