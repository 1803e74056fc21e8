"""Backup under load, restore into nothing: with the very commands of docs/operations.md."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.flows.service import ROOT, Service
from tests.requirements import require_program

DOCUMENT = ROOT / "docs" / "operations.md"
IS_POSTGRES = os.environ.get("DATABASE_URL", "").startswith("postgres")
KIND = "postgresql" if IS_POSTGRES else "sqlite"


def commands(what: str) -> str:
    """The shell block of the document behind the mark `<!-- what -->`."""
    found = re.search(rf"<!-- {what} -->\n```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found, f"docs/operations.md has no block {what}"
    return found[1]


def run(what: str, service: Service, backup: Path) -> None:
    variables = {**service.environment, "DATA": str(service.folder), "BACKUP": str(backup)}
    done = subprocess.run(
        ["sh", "-eu", "-c", commands(what)], env=variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def _programs() -> None:
    if IS_POSTGRES:
        require_program("pg_dump", "apt-get install postgresql-client")
        require_program("pg_restore", "apt-get install postgresql-client")
    else:
        require_program("sqlite3", "apt-get install sqlite3")


def service_in(folder: Path, *, like: Service | None = None) -> Service:
    """With SQLite's file where it is unless DATABASE_URL says otherwise."""
    own = {} if IS_POSTGRES else {"DATABASE_URL": f"sqlite:///{folder}/mlserve.sqlite3"}
    service = Service(folder, like=like, variables=own)
    if like is not None and not IS_POSTGRES:
        shutil.move(folder / "service.sqlite3", folder / "mlserve.sqlite3")
    return service


@contextmanager
def running(service: Service) -> Iterator[Service]:
    service.launch()
    service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def load(service: Service, record: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """One client that never pauses; what it was answered."""
    answered: list[dict[str, Any]] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=30) as client:
            while not stop.is_set():
                answer = client.post(f"{service.url}/api/predict", json=record, headers={"Prefer": "wait=20"})
                answered.append(answer.json())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


def test_it_restores_models_and_predictions(tmp_path: Path, prepared: Service, penguin: dict[str, Any]) -> None:
    backup = tmp_path / "backup"
    for folder in (backup, tmp_path / "old", tmp_path / "new"):
        folder.mkdir()
    with running(service_in(tmp_path / "old", like=prepared)) as old, load(old, penguin) as answered:
        old.wait_for(lambda: len(answered) >= 5, "some predictions")
        before = list(answered)
        run(f"backup {KIND}", old, backup)
        old.wait_for(lambda: len(answered) > len(before), "one more prediction")
        live = old.get("/api/models").json()

    new = service_in(tmp_path / "new")
    run(f"restore {KIND}", new, backup)
    with running(new):
        found = [new.get(urlsplit(each["url"]).path).json() for each in before]
        again = new.post("/api/predict", json=penguin, headers={"Prefer": "wait=20"}).json()
        restored = new.get("/api/models").json()

    assert [each["result"] for each in found] == [each["result"] for each in before]
    assert again["result"] == before[0]["result"]
    assert [(each["name"], each["live_version"]) for each in restored] == [
        (each["name"], each["live_version"]) for each in live
    ]
    assert "1 of 1" in new.manage("verify_models") or "penguins" in new.manage("verify_models")
