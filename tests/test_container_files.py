"""Dockerfile.server, compose.yaml and .dockerignore: what can be known without a container engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from deployment import compose_variables
from mlserve.management.commands.serve import Command
from tests.paths import ROOT
from tests.stand_ins import compose
from tests.stand_ins.image import Instruction, context, instructions

DOCKERFILE, COMPOSE = ROOT / "Dockerfile.server", ROOT / "compose.yaml"
OURS = ("web", "worker", "migrate", "bucket")
BIN = Path(sys.executable).parent


def steps(name: str, path: Path = DOCKERFILE) -> list[Instruction]:
    return [each for each in instructions(path.read_text("utf-8")) if each.name == name]


@pytest.fixture
def variables_file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.env"
    compose_variables.write(path)
    return path


@pytest.fixture
def services(variables_file: Path) -> dict[str, Any]:
    found: dict[str, Any] = compose.read(COMPOSE, compose.values_of(variables_file))["services"]
    return found


def check(*command: str) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.server"])
def test_it_has_dockerfiles_without_a_fault_that_hadolint_knows(name: str) -> None:
    check("hadolint", name)


def test_it_has_a_compose_file_of_the_specifications_schema() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_it_has_workflows_of_githubs_schema() -> None:
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").iterdir())

    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


# --- The image ----------------------------------------------------------------------------------------------------


def test_it_runs_as_another_user_than_root_and_without_a_shell() -> None:
    [user], [entrypoint], [command] = steps("USER"), steps("ENTRYPOINT"), steps("CMD")

    assert user.value == "10001:10001"  # numbers, which a cluster can tell from root's
    assert (entrypoint.exec_form, command.exec_form) == (["python", "manage.py"], ["serve"])
    assert steps("HEALTHCHECK")[0].value.partition("CMD ")[2].startswith('["python"')


def test_it_installs_what_is_locked_and_never_compiles() -> None:
    [install] = [each.value for each in steps("RUN") if "pip install" in each.value]

    assert "--require-hashes --only-binary :all: --requirement requirements.txt" in install


def test_it_runs_the_python_that_ci_tests() -> None:
    [base] = steps("FROM")
    [version] = re.findall(r"^python:(3\.\d+)-slim", base.value)

    assert f'"{version}"' in (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")


def test_it_sets_variables_that_the_settings_explain() -> None:
    explained = (ROOT / "docs" / "settings.md").read_text("utf-8")
    named = re.findall(r"(\w+)=", steps("ENV")[0].value)

    assert [name for name in named if f"| `{name}` |" not in explained] == ["PYTHONUNBUFFERED"]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.server"])
def test_it_copies_only_what_the_context_has(name: str) -> None:
    seen = [path.as_posix() for path in context(ROOT, (ROOT / ".dockerignore").read_text("utf-8"))]
    sources = [each.value.split()[0] for each in steps("COPY", ROOT / name)]

    assert sources
    assert [each for each in sources if not any(path.startswith(each) for path in seen)] == []


@pytest.mark.parametrize(
    ("path", "is_seen"),
    [
        ("mlserve/urls.py", True), ("manage.py", True), ("templates/registry/home.html", True),
        ("mlserve/.env", False), (".env", False), ("compose.env", False), ("mlserve/compose.env", False),
        ("mlserve/__pycache__/urls.cpython-313.pyc", False), ("registry/api/db.sqlite3", False),
        ("registry/api/db.sqlite3-wal", False), ("var/mlserve.sqlite3", False), ("tests/test_urls.py", False),
        ("deployment/deploy.py", False), (".git/config", False), ("requirements-dev.txt", False),
    ],
)  # fmt: skip
def test_it_lets_no_secret_into_the_context(tmp_path: Path, path: str, is_seen: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("")

    found = list(context(tmp_path, (ROOT / ".dockerignore").read_text("utf-8")))

    assert found == ([Path(path)] if is_seen else [])


# --- The services -------------------------------------------------------------------------------------------------


def test_it_publishes_the_web_port_only_and_that_on_loopback(services: dict[str, Any]) -> None:
    assert {name: each["ports"] for name, each in services.items() if "ports" in each} == {
        "web": ["127.0.0.1:8000:8000"]
    }
    assert not [name for name, each in services.items() if each.get("privileged") or each.get("network_mode")]


def test_it_starts_what_there_is(services: dict[str, Any]) -> None:
    for part in ("web", "worker"):
        serve, *arguments = services[part]["command"]
        assert serve == "serve"
        assert Command().create_parser("manage.py", serve).parse_args(arguments).only == part
    assert services["bucket"]["command"][1] == services["web"]["environment"]["MLSERVE_BUCKET"]


def test_it_begins_once_what_it_needs_is_healthy(services: dict[str, Any]) -> None:
    waits = {
        name: {other: each["condition"] for other, each in service["depends_on"].items()}
        for name, service in services.items()
        if "depends_on" in service
    }
    prepared = {
        "migrate": "service_completed_successfully", "bucket": "service_completed_successfully",
        "queue": "service_healthy",
    }  # fmt: skip

    assert waits == {
        "web": prepared, "worker": prepared,
        "migrate": {"database": "service_healthy"}, "bucket": {"store": "service_healthy"},
    }  # fmt: skip
    needed = {name for each in waits.values() for name, condition in each.items() if condition == "service_healthy"}
    assert all("test" in services[name]["healthcheck"] for name in needed)


def test_it_repeats_what_serves_and_only_that(services: dict[str, Any]) -> None:
    assert {name for name, each in services.items() if each["restart"] == "no"} == {"migrate", "bucket"}


def test_it_takes_no_right_along(services: dict[str, Any]) -> None:
    assert [name for name in OURS if services[name]["cap_drop"] != ["ALL"]] == []
    assert [name for name, each in services.items() if each["security_opt"] != ["no-new-privileges:true"]] == []


def test_it_lets_both_parts_finish(services: dict[str, Any]) -> None:
    seconds = {name: int(services[name]["stop_grace_period"].removesuffix("s")) for name in ("web", "worker")}

    assert seconds["web"] > settings.MLSERVE_MAX_WAIT + 20
    assert seconds["worker"] > settings.MLSERVE_DRAIN_SECONDS + settings.MLSERVE_BATCH_SECONDS + 10


def test_it_stores_what_must_last_in_volumes(services: dict[str, Any]) -> None:
    volumes = {name: each["volumes"] for name, each in services.items() if "volumes" in each}
    image = dict(each.split("=", 1) for each in steps("ENV")[0].value.split())

    assert volumes == {
        "web": [f"cache:{image['MLSERVE_CACHE_DIR']}"], "worker": [f"cache:{image['MLSERVE_CACHE_DIR']}"],
        "database": ["database:/var/lib/postgresql/data"], "store": ["store:/data"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["DATABASE_PASSWORD", "QUEUE_PASSWORD", "STORE_SECRET"])
def test_it_does_not_start_without_a_secret(variables_file: Path, name: str) -> None:
    lacking = {**compose.values_of(variables_file), name: ""}

    with pytest.raises(compose.NotSet, match=f"{name}: make compose writes it into compose.env"):
        compose.read(COMPOSE, lacking)


def test_it_shows_each_service_the_secrets_that_it_needs_and_no_other(
    services: dict[str, Any], variables_file: Path
) -> None:
    secret = compose.values_of(variables_file)
    needs = {"database": {"DATABASE_PASSWORD"}, "queue": {"QUEUE_PASSWORD"}, "store": {"STORE_SECRET"}}

    for name, needed in needs.items():
        shown = str({**services[name], "environment": compose.environment_of(services[name], variables_file)})
        hidden = {"SECRET_KEY", *set().union(*needs.values())} - needed
        assert [each for each in sorted(hidden) if secret[each] in shown] == [], name
        assert [each for each in needed if secret[each] not in shown] == [], name
