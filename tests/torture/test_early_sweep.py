"""What the torture does to leases that have not run out."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from predictions.models import Prediction
from predictions.serving.submission import submit
from predictions.worker.claiming import claim
from registry.models import ModelVersion
from tests.torture import early_sweep


@pytest.mark.django_db
def test_it_gives_to_others_what_a_living_worker_holds(
    penguins: ModelVersion, penguin: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_sweep, "_PAUSE_SECONDS", 0)
    submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())
    [held] = claim(holder="alive", now=timezone.now())

    assert early_sweep.sweep_early(1) == 1

    assert [each.pk for each in claim(holder="another", now=timezone.now())] == [held.pk]
    assert Prediction.objects.get().lease_holder == "another"


@pytest.mark.django_db
def test_it_gives_up_where_nothing_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_sweep, "_PAUSE_SECONDS", 0)

    assert early_sweep.sweep_early(2, patience_seconds=0.05) == 0
