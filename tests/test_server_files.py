"""The files of docs/server/: what an operator copies from there has to be true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from mlserve.management.commands.serve import Command
from tests.requirements import require_program

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / "docs" / "server"
UNITS = ("mlserve-web.service", "mlserve-worker.service")


def value_of(unit: str, name: str) -> str:
    [value] = re.findall(rf"^{name}=(.*)$", (SERVER / unit).read_text("utf-8"), flags=re.MULTILINE)
    return str(value)


def test_it_has_units_that_systemd_understands(tmp_path: Path) -> None:
    program = require_program("systemd-analyze", "apt-get install systemd")
    paths = [tmp_path / unit for unit in UNITS]
    for path in paths:
        text = (SERVER / path.name).read_text("utf-8")
        path.write_text(re.sub(r"^ExecStart=\S+", f'ExecStart="{sys.executable}"', text, flags=re.MULTILINE))

    done = subprocess.run([program, "verify", *paths], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.replace(str(tmp_path), "")) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_it_starts_what_there_is(unit: str) -> None:
    _python, manage, serve, *arguments = value_of(unit, "ExecStart").split()

    options = Command().create_parser(manage, serve).parse_args(arguments)

    assert (manage, serve) == ("manage.py", "serve")
    assert options.only == unit.partition("-")[2].partition(".")[0]


def test_it_gives_both_parts_of_a_host_one_tmp_and_one_user() -> None:
    """Or the worker does not get the web server's wake-ups."""
    web, worker = UNITS

    assert (value_of(web, "JoinsNamespaceOf"), value_of(worker, "JoinsNamespaceOf")) == (worker, web)
    assert value_of(web, "PrivateTmp") == value_of(worker, "PrivateTmp") == "yes"
    assert value_of(web, "User") == value_of(worker, "User")


def test_it_lets_no_proxy_pass_on_names_with_underscores() -> None:
    """WSGI does not tell X_Forwarded_For from X-Forwarded-For: a caller would choose the address that is counted."""
    nginx, page = SERVER / "nginx.conf", SERVER.parent / "deploy-server.md"
    [caddy] = re.findall(r"```\n(models\.example\.com \{.*?)```", page.read_text("utf-8"), flags=re.DOTALL)

    assert "request_header -*_*" in caddy
    assert "underscores_in_headers" not in nginx.read_text("utf-8")  # off unless it is turned on


def test_it_lets_both_parts_finish() -> None:
    assert int(value_of(UNITS[0], "TimeoutStopSec")) > settings.MLSERVE_MAX_WAIT + 20
    assert (
        int(value_of(UNITS[1], "TimeoutStopSec")) > settings.MLSERVE_DRAIN_SECONDS + settings.MLSERVE_BATCH_SECONDS + 10
    )


def test_it_names_variables_that_the_settings_explain() -> None:
    named = re.findall(r"^([A-Z_]+)=", (SERVER / "mlserve.env").read_text("utf-8"), flags=re.MULTILINE)
    explained = (ROOT / "docs" / "settings.md").read_text("utf-8")

    assert named
    assert [name for name in named if not name.startswith("AWS_") and f"`{name}`" not in explained] == []
