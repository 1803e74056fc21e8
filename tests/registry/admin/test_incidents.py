"""What a version did to processes: on its page, in the list, over the API; and trusting it again."""

import json
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from registry.models import Incident, ModelVersion
from registry.models.incident import Kind
from tests.registry.admin.test_versions import allow

pytestmark = pytest.mark.django_db


@pytest.fixture
def troubled(penguins: ModelVersion) -> ModelVersion:
    for process in ("here:1", "here:2"):
        Incident.objects.record(
            version_id=penguins.pk, kind=Kind.HUNG, process=process, detail="<i>seen</i>", now=timezone.now()
        )
    return penguins


def page_of(version: ModelVersion, name: str = "change") -> str:
    return reverse(f"admin:registry_modelversion_{name}", args=[version.pk])


def test_it_shows_them_with_the_way_back(client: Client, owner: User, troubled: ModelVersion) -> None:
    client.force_login(owner)

    page = client.get(page_of(troubled)).content.decode()

    assert "Incidents: hung 2 times; last" in page
    assert "here:2" in page
    assert "&lt;i&gt;seen" in page
    assert page_of(troubled, "trust") in page
    assert "Trust again…” above clears them" in page


def test_it_trusts_a_version_again(client: Client, owner: User, troubled: ModelVersion) -> None:
    client.force_login(owner)

    asked = client.get(page_of(troubled, "trust")).content.decode()
    response = client.post(page_of(troubled, "trust"), follow=True)

    assert "hung 2 times" in asked
    assert "Incidents, all cleared" in response.content.decode()
    assert not Incident.objects.open().exists()
    assert LogEntry.objects.get().get_change_message().startswith("Trusted again although it hung 2 times")
    assert "has no open incidents" in client.post(page_of(troubled, "trust"), follow=True).content.decode()


def test_it_lets_no_user_do_so_who_may_not_promote(client: Client, reader: User, troubled: ModelVersion) -> None:
    allow(reader, "view_modelversion")
    client.force_login(reader)

    assert client.post(page_of(troubled, "trust")).status_code == 403
    assert page_of(troubled, "trust") not in client.get(page_of(troubled)).content.decode()
    assert Incident.objects.open().count() == 2


def test_it_tells_programs(client: Client, troubled: ModelVersion) -> None:
    one = client.get("/api/models/penguins/versions/1.0").json()
    [listed] = client.get("/api/models/penguins/versions").json()
    shown = StringIO()
    call_command("list_models", "--json", stdout=shown)

    assert one["incidents"].startswith("hung 2 times; last ")
    assert listed["incidents"] == one["incidents"] == json.loads(shown.getvalue())[0]["incidents"]
