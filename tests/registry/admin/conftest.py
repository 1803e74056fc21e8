import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def admin_client(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client
