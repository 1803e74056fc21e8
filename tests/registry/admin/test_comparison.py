"""Two versions of a model side by side in the admin."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import Published, publish
from tests import pipelines
from tests.registry.admin.test_versions import page_of


@pytest.fixture
def second(publish_penguins: Callable[..., Published], penguins: ModelVersion) -> ModelVersion:
    """Version 1.1 of the model."""
    return publish_penguins("1.1").version


def test_it_compares_two_versions(admin_client: Client, penguins: ModelVersion, second: ModelVersion) -> None:
    second.schema["properties"]["year"]["maximum"] = 2030
    second.golden_outputs["predictions"][0] = "Emperor"
    second.save()

    page = admin_client.get(page_of(penguins, "compare"), {"other": second.pk})

    comparison = page.context["comparison"]
    columns = {pair.name: pair for pair in comparison.sections["Schema"]}
    assert [name for name, pair in columns.items() if pair.differs] == ["year"]
    assert "≤ 2030" in columns["year"].right
    assert comparison.shared_rows == len(penguins.sample_rows)
    assert ["Emperor" in pair.right for pair in comparison.answers] == [True]


def test_it_says_first_what_differs(admin_client: Client, penguins: ModelVersion, second: ModelVersion) -> None:
    assert second.parameters is not None
    second.parameters["estimators"]["model"] = "SVC"
    second.parameters["values"]["model__C"] = "2.0"
    second.size_bytes = penguins.size_bytes * 2
    second.save()

    page = admin_client.get(page_of(penguins, "compare"), {"other": second.pk})

    differences = page.context["comparison"].differences
    assert list(differences)[:3] == ["Estimator", "Parameters", "Size and timings"]
    assert [(pair.name, pair.right) for pair in differences["Estimator"]] == [("model", "SVC")]
    assert "2.0" in [pair.right for pair in differences["Parameters"]]
    assert page.text.index("What differs") < page.text.index("Everything, also what is the same")


def test_it_says_that_parameters_were_not_recorded(
    admin_client: Client, penguins: ModelVersion, second: ModelVersion
) -> None:
    ModelVersion.objects.filter(pk=second.pk).update(parameters=None)

    page = admin_client.get(page_of(penguins, "compare"), {"other": second.pk})

    assert "Not recorded when 1.1 was inspected: manage.py admit_models penguins --tag 1.1" in page.text


def test_it_compares_only_within_a_model(
    admin_client: Client, penguins: ModelVersion, save: Callable[..., Path]
) -> None:
    stranger = publish(save(pipelines.mixed_classifier()), VersionRequest("others", "1")).version

    page = admin_client.get(page_of(penguins, "compare"), {"other": stranger.pk})

    assert page.status_code == 200
    assert "comparison" not in page.context
