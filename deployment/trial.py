"""Tries a package as Lambda would run it: unzipped, in processes that have only Lambda's own runtime.

    python -m deployment.trial var/package.zip

What was left out by mistake shows here, on SQLite and without AWS. Limits of Lambda that a process can be given (no
shared memory, a read-only disk) are the business of the tests.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment import lambda_runtime

_EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "penguins"
_INSIDE = Path(__file__).with_name("trial_inside.py")
_STEP_SECONDS = 300
_PENGUIN = {
    "island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211,
    "body_mass_g": 4500, "sex": "female", "year": 2007,
}  # fmt: skip
_SPECIES = "Gentoo"
_STYLE = "mlserve/style"


class TrialFailed(Exception):
    """The package does not do what it should; the message says what."""


@dataclass(frozen=True)
class Found:
    """Seconds of cold processes: until the handler is imported, and for the first event after it."""

    web_start: float
    web_first: float
    worker_start: float
    worker_first: float
    modules: int

    def __str__(self) -> str:
        return (
            f"It works: pages, a prediction, {self.modules} modules of the libraries.\n"
            f"Cold start here: web {self.web_start:.2f} s + {self.web_first:.2f} s for the first answer, "
            f"worker {self.worker_start:.2f} s + {self.worker_first:.2f} s for the first prediction."
        )


@dataclass(frozen=True)
class Unpacked:
    """A package ready to run: its folder, Lambda's runtime beside it, and a folder for what it writes."""

    package: Path
    runtime: Path
    data: Path

    def run(self, step: str, *arguments: str, function: str = "web", **more: str) -> Any:
        """What a step of trial_inside.py found, in a process of its own. Raises TrialFailed."""
        environment = {
            "PATH": os.defpath,
            "AWS_LAMBDA_FUNCTION_NAME": f"mlserve-{function}",
            "AWS_REGION": "us-east-1",
            "SECRET_KEY": "only for the trial of a package, and long enough to be one",
            "ALLOWED_HOSTS": ".amazonaws.com",
            "MLSERVE_DATA_DIR": str(self.data),
            "MLSERVE_BASE_PATH": "/web",
            "TMPDIR": str(self.data),
            **more,
        }
        # Not the virtual environment's own, which would find what the package lacks.
        python = getattr(sys, "_base_executable", None) or sys.executable
        command = [python, "-I", "-S", str(_INSIDE), str(self.package), str(self.runtime), step, *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False
        )
        if done.returncode:
            raise TrialFailed(f"{step} failed:\n{done.stderr.strip()[-4000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def unpacked(package: Path) -> Iterator[Unpacked]:
    """The package and Lambda's runtime in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="mlserve-trial-") as folder:
        place = Unpacked(Path(folder, "task"), Path(folder, "runtime"), Path(folder, "tmp"))
        place.data.mkdir()
        with zipfile.ZipFile(package) as zipped:
            zipped.extractall(place.package)
        lambda_runtime.make(place.runtime)
        yield place


def try_out(package: Path) -> Found:
    """Raises TrialFailed.

    1. train the example here, and let the package inspect, store and promote it
    2. pages, static files and a prediction from the web function
    3. the prediction's result from the worker function, and by the web function
    4. import every public module of the libraries that a pipeline may need
    """
    with unpacked(package) as place:
        _prepare(place)
        web, first, submitted = _ask_pages(place)
        worker = _work(place, submitted)
        modules = _import_all(place)
        return Found(
            web_start=web["start_seconds"],
            web_first=first["seconds"],
            worker_start=worker["start_seconds"],
            worker_first=worker["seconds"],
            modules=modules,
        )


def _prepare(place: Unpacked) -> None:
    artifact = place.data / "model.joblib"
    shutil.copytree(_EXAMPLE, example := place.data / "example")
    trained = subprocess.run(
        [sys.executable, str(_EXAMPLE / "train.py"), "--out", str(artifact)],
        capture_output=True, text=True, timeout=_STEP_SECONDS, check=False,
    )  # fmt: skip
    if trained.returncode:
        raise TrialFailed(f"The example cannot be trained:\n{trained.stderr}")
    place.run("prepare", str(artifact), str(example), function="worker")


def _ask_pages(place: Unpacked) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The web function's measurements, its first answer, and the answer that accepted a prediction."""
    predict: list[Any] = ["POST", "/api/models/penguins/predict", _PENGUIN]
    asked = [["GET", "/api/models"], predict, ["GET", "/healthz"], ["GET", "/api/models/penguins/schema"]]
    web = place.run("ask", *map(json.dumps, asked))
    if web["heavy"]:
        raise TrialFailed(f"The web function loads {', '.join(web['heavy'])}, which only the worker needs.")
    _require(asked, web["answers"], [200, 202, 200, 200])
    pages = [["GET", path] for path in ("/", "/models/penguins", "/login", "/admin/login/", "/api/docs", "/api/schema")]
    shown = place.run("ask", *map(json.dumps, pages))["answers"]
    _require(pages, shown, [200] * len(pages))
    style: list[list[Any]] = [
        ["GET", f"/{path.removeprefix('/web').lstrip('/')}"] for path in _styles(shown[0]["body"])
    ]
    _require(style, place.run("ask", *map(json.dumps, style))["answers"], [200])
    return web, web["answers"][0], web["answers"][1]


def _styles(page: str) -> list[str]:
    """The address of the style sheet in the page, with its digest."""
    found = [part for part in page.split('"') if _STYLE in part and part.endswith(".css")]
    if not found:
        raise TrialFailed(f"The page names no {_STYLE}….css.")
    return found[:1]


def _work(place: Unpacked, submitted: dict[str, Any]) -> dict[str, Any]:
    worker: dict[str, Any] = place.run("work", function="worker")
    if worker["answer"] != {"batchItemFailures": []}:
        raise TrialFailed(f"The worker answered {worker['answer']}.")
    prediction = json.loads(submitted["body"])["prediction_id"]
    asked: list[list[Any]] = [["GET", f"/api/predict/{prediction}"]]
    answers = place.run("ask", *map(json.dumps, asked))["answers"]
    _require(asked, answers, [200])
    found = json.loads(answers[0]["body"])
    if found["status"] != "succeeded" or found["result"]["predictions"] != [_SPECIES]:
        raise TrialFailed(f"The worker predicted {found['result']} ({found['status']}, {found['error']}).")
    return worker


def _import_all(place: Unpacked) -> int:
    """The number of modules. Some need optional packages, and cannot be imported here either."""
    told = place.run("import", function="worker")
    ours = {name: text for name, text in told["failed"].items() if _can_be_imported_here(name)}
    if ours:
        listed = "\n".join(f"  {name}: {text}" for name, text in ours.items())
        raise TrialFailed(f"The package lacks something that it needs:\n{listed}")
    return int(told["count"]) - len(told["failed"])


def _can_be_imported_here(module: str) -> bool:
    command = [sys.executable, "-W", "ignore", "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, timeout=_STEP_SECONDS, check=False).returncode == 0


def _require(asked: list[list[Any]], answers: list[dict[str, Any]], statuses: list[int]) -> None:
    for request, answer, status in zip(asked, answers, statuses, strict=True):
        if answer["status"] != status:
            raise TrialFailed(f"{request[0]} {request[1]} answers {answer['status']}: {answer['body'][:2000]}")


if __name__ == "__main__":
    print(try_out(Path(sys.argv[1])))
