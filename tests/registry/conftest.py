"""Who uploads, and where to."""

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient


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
