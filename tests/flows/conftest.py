import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.on_lambda import OnLambda
from tests.flows.service import ROOT, Service
from tests.stand_ins.region import Region

# moto's state is the process's, so an empty region is one that no other test of the process has used.
_UNUSED_REGIONS = iter(["eu-north-1", "eu-west-1", "eu-west-2", "ap-south-1"])
_PREPARE = "import django; django.setup(); from mlserve.server.laptop import prepare; prepare()"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that never runs: tables, an admin and the example, made once to be copied."""
    service = Service(tmp_path_factory.mktemp("prepared"))
    subprocess.run([sys.executable, "-c", _PREPARE], env=service.environment, cwd=ROOT, check=True)
    return service


@pytest.fixture
def own_service(tmp_path: Path, prepared: Service) -> Iterator[Service]:
    """A service that the test may break; processes that are left of it are ended."""
    service = Service(tmp_path, like=prepared)
    yield service
    if service.process and service.process.poll() is None:
        service.stop()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only use it, from an empty folder."""
    service = Service(tmp_path_factory.mktemp("service")).start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def new_on_lambda(
    deploy_python: Path, lambda_runtime: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], OnLambda]:
    """An empty region of AWS with an empty database, to be deployed to and closed."""

    def made() -> OnLambda:
        python = str(deploy_python.resolve())  # Lambda's, which knows of no environment
        name = next(_UNUSED_REGIONS)
        region = Region(tmp_path_factory.mktemp("region"), name=name, python=python, runtime=lambda_runtime)
        return OnLambda(region, postgres_url, deploy_python=deploy_python)

    return made
