"""Who uploads, and where to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from registry.client.address import address_of
from registry.client.server import RemoteServer
from registry.client.uploads import Source, hashed
from tests.registry.scripted_server import ScriptedServer, scripted_servers, without_pauses


@pytest.fixture
def as_owner(api: APIClient, owner: User) -> APIClient:
    api.force_authenticate(owner)
    return api


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest) -> str:
    """Where parts go."""
    if request.param == "s3":
        request.getfixturevalue("artifacts_in_s3")
    return str(request.param)


@pytest.fixture
def stranger(db: None) -> APIClient:
    """May upload, too, but did not open this one."""
    client = APIClient()
    user = User.objects.create_user("stranger")
    user.user_permissions.add(Permission.objects.get(codename="add_modelversion"))
    client.force_authenticate(User.objects.get(pk=user.pk))
    return client


@pytest.fixture
def start_scripted() -> Iterator[Callable[[], ScriptedServer]]:
    with scripted_servers() as start:
        yield start


@pytest.fixture
def scripted(start_scripted: Callable[[], ScriptedServer]) -> ScriptedServer:
    return start_scripted()


@pytest.fixture
def server(scripted: ScriptedServer) -> Iterator[RemoteServer]:
    made = RemoteServer(address_of(f"{scripted.url}/web/"), authorization="Basic c2VjcmV0")
    made.retries = without_pauses(made.retries)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"0123456789")
    return hashed(path, lambda count: None)
