"""The workflow that deploys from GitHub: what can be known of it without GitHub."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployment.stages import REQUIRED

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = ROOT / ".github" / "workflows" / "deploy.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(PATH.read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def deploy_step(workflow: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in workflow["jobs"]["deploy"]["steps"] if step.get("id") == "deploy")
    return found


def test_it_runs_on_main_and_by_hand_only(workflow: dict[Any, Any]) -> None:
    assert workflow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}  # YAML 1.1 reads `on` as true


def test_it_deploys_after_the_tests_and_one_at_a_time(workflow: dict[Any, Any]) -> None:
    assert workflow["jobs"]["deploy"]["needs"] == "test"
    assert [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step] == ["make check", "make test"]
    assert workflow["concurrency"] == {"group": "deploy", "cancel-in-progress": False}


def test_it_is_skipped_where_nothing_is_set(workflow: dict[Any, Any]) -> None:
    assert {job["if"] for job in workflow["jobs"].values()} == {"vars.MLSERVE_BUCKET != ''"}


def test_it_may_no_more_than_it_needs(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert workflow["jobs"]["deploy"]["environment"]["name"] == "production"


def test_it_uses_the_actions_of_the_other_workflow_by_their_hash(workflow: dict[Any, Any]) -> None:
    known = set(re.findall(r"uses: (\S+)", (PATH.parent / "ci.yml").read_text("utf-8")))

    used = {step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step}
    assert used <= known
    assert all(re.search(r"@[0-9a-f]{40}$", action) for action in used)


def test_it_sets_everything_that_a_deploy_requires(deploy_step: dict[str, Any]) -> None:
    assert set(REQUIRED) <= set(deploy_step["env"])
    assert deploy_step["run"].startswith("make deploy")


def test_it_puts_no_secret_and_no_variable_into_a_script(workflow: dict[Any, Any]) -> None:
    """What stands in `run` by way of an expression is code to the shell; by way of `env` it is data."""
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]

    assert not [script for script in scripts if "${{" in script]


def test_it_ends_in_bounded_time(workflow: dict[Any, Any]) -> None:
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


def test_it_calls_nothing_that_the_makefile_lacks(workflow: dict[Any, Any]) -> None:
    scripts = " ".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])

    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)", scripts)) <= set(targets)
