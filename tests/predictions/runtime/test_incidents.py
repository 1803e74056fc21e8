"""What is said when a version hangs or ends its process."""

import logging

import pytest

from predictions.runtime import incidents
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind

pytestmark = pytest.mark.django_db


def test_it_names_model_and_tag_in_the_log(penguins: ModelVersion, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        incidents.report(penguins, Kind.HUNG, "It took longer than 60 s.\nits stack", process="host:1")

    (record,) = caplog.records
    assert record.getMessage() == "Version penguins 1.0 hung (host:1): It took longer than 60 s."
    assert vars(record)["facts"] == {"model": "penguins", "version": "1.0", "incident": "hung"}
    assert Incident.objects.get().version == penguins
