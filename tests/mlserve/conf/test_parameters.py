"""Values of the Parameter Store, from the stand-in for AWS over HTTP."""

import os
import subprocess
import sys
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.parameters import resolved
from tests.paths import ROOT
from tests.stand_ins.aws import StandIn


@pytest.fixture
def put(aws: StandIn) -> Callable[[str], str]:
    """`put("secret")` stores it encrypted; its name."""

    def stored(value: str) -> str:
        name = f"/mlserve/{uuid4().hex}"
        aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
        return name

    return stored


def test_it_puts_values_in_place_of_names(put: Callable[[str], str]) -> None:
    found = resolved({"SECRET_KEY": f"ssm:{put('hunter2')}", "DEBUG": "0"})

    assert found == {"SECRET_KEY": "hunter2", "DEBUG": "0"}


def test_it_asks_for_more_names_than_one_call_takes(put: Callable[[str], str]) -> None:
    variables = {f"MLSERVE_{number}": f"ssm:{put(str(number))}" for number in range(12)}

    assert resolved(variables) == {f"MLSERVE_{number}": str(number) for number in range(12)}


def test_it_gives_one_value_to_two_variables(put: Callable[[str], str]) -> None:
    name = put("shared")

    assert resolved({"A": f"ssm:{name}", "B": f"ssm:{name}"}) == {"A": "shared", "B": "shared"}


def test_it_names_every_variable_whose_parameter_is_missing(put: Callable[[str], str]) -> None:
    variables = {"A": "ssm:/mlserve/no-a", "B": "ssm:/mlserve/no-b", "C": f"ssm:{put('hunter2')}"}

    with pytest.raises(ImproperlyConfigured) as refused:
        resolved(variables)

    assert "A (/mlserve/no-a), B (/mlserve/no-b)" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_it_says_what_it_wanted_from_a_store_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(ImproperlyConfigured, match=r"did not give SECRET_KEY \(/mlserve/key\): Could not connect"):
        resolved({"SECRET_KEY": "ssm:/mlserve/key"})


def test_it_stops_a_command_in_one_line(aws: StandIn) -> None:
    environment = {**os.environ, "SECRET_KEY": "ssm:/mlserve/absent"}
    command = [sys.executable, str(ROOT / "manage.py"), "check"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("The configuration is wrong: The Parameter Store has no value for SECRET_KEY (")
    assert "Traceback" not in done.stderr


def test_it_costs_nothing_where_it_is_not_configured() -> None:
    code = "import sys, mlserve.settings; print('botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
    variables = {"SECRET_KEY": "x"}
    assert resolved(variables) is variables
