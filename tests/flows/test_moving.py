"""From SQLite to PostgreSQL, with the very commands of docs/operations.md."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.flows.service import ROOT, Service

DOCUMENT = ROOT / "docs" / "operations.md"


def commands() -> str:
    found = re.search(r"<!-- move -->\n```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1].replace(".venv/bin/python", shlex.quote(sys.executable))


def test_it_moves_everything_to_postgresql(tmp_path: Path, postgres_url: str, penguin: dict[str, Any]) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS moved")
        admin.execute("CREATE DATABASE moved")
    moved = f"{postgres_url.rpartition('/')[0]}/moved"
    old = Service(tmp_path, variables={"DATABASE_URL": f"sqlite:///{tmp_path}/mlserve.sqlite3"}).start()
    token = old.manage("make_token", "admin", "--name", "moves").strip().splitlines()[-1]
    signed_in = {"Authorization": f"Bearer {token}", "Prefer": "wait=20"}
    before = [old.post("/api/predict", json=penguin, headers=signed_in).json() for _ in range(3)]
    assert old.stop() == 0

    done = subprocess.run(
        ["sh", "-eu", "-c", commands()],
        env={**os.environ, **old.environment, "NEW": moved, "MOVE": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    new = Service(tmp_path, variables={"DATABASE_URL": moved})
    new.launch()
    new.wait_for(lambda: new.get("/readyz").status_code == 200, "the service to be ready")
    try:
        found = [new.get(urlsplit(each["url"]).path, headers=signed_in).json() for each in before]
        again = new.post("/api/predict", json=penguin, headers=signed_in)
        listed = new.get("/api/predict", headers=signed_in).json()["results"]
    finally:
        new.stop()

    kept = ("prediction_id", "status", "result", "version", "warnings")
    assert [[each[name] for name in kept] for each in found] == [[each[name] for name in kept] for each in before]
    to_milliseconds = len("2026-11-30T21:50:18.298")
    assert [each["finished_at"][:to_milliseconds] for each in found] == [
        each["finished_at"][:to_milliseconds] for each in before
    ]
    assert again.status_code == 200, again.text
    assert again.json()["result"] == before[0]["result"]
    assert len(listed) == 4
    with psycopg.connect(moved) as connection:
        assert connection.execute("SELECT count(*) FROM auth_user").fetchone() == (1,)
