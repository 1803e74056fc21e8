"""docs/deploy-aws.md says nothing that does not exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deployment.checks import CHECKS
from deployment.stages import REQUIRED

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "deploy-aws.md").read_text("utf-8")
# Calls of the API whose permission has another name; what reads an object or a list, in S3's way.
_OTHER_NAMES = {
    "lambda:Invoke": "lambda:InvokeFunction", "s3:HeadBucket": "s3:ListBucket", "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
}  # fmt: skip


def test_it_explains_every_check_and_no_other() -> None:
    table = TEXT.partition("## When something is wrong")[2].partition("## Not proven")[0]
    explained = [name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in row.split(", ")]

    assert sorted(name.strip("`") for name in explained) == sorted(check.name for check in CHECKS)


def test_it_names_every_variable_that_a_deploy_requires() -> None:
    assert all(f"`{name}`" in TEXT for name in REQUIRED)


@pytest.fixture(scope="module")
def allowed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "deployment" / "deployer.json").read_text("utf-8"))["Statement"]
    return found


def test_it_lets_the_deployer_do_what_the_deployment_asks_for(allowed: list[dict[str, Any]]) -> None:
    every = {action for statement in allowed for action in actions(statement)}
    calls = re.compile(r'"(lambda|iam|events|s3|sqs|cloudformation)",\s*"([a-z_0-9]+)"')
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "deployment").rglob("*.py"))

    asked = {f"{service}:{''.join(map(str.capitalize, name.split('_')))}" for service, name in calls.findall(sources)}
    assert {_OTHER_NAMES.get(each, each) for each in asked} - every == set()


def test_it_lets_the_deployer_do_nothing_by_wildcard(allowed: list[dict[str, Any]]) -> None:
    assert [action for statement in allowed for action in actions(statement) if "*" in action] == []
    assert {each["Sid"] for each in allowed if each["Resource"] == "*"} == {"Mapping", "KnowsNoNarrowerResource"}


def test_it_fits_into_a_managed_policy(allowed: list[dict[str, Any]]) -> None:
    assert len(json.dumps(allowed, separators=(",", ":"))) < 6000  # IAM allows 6,144 characters without spaces


def actions(statement: dict[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else found
