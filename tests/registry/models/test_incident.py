"""What counts against a version, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from registry.models import Incident, ModelVersion
from registry.models.incident import MOST_KEPT, Kind, Seen, Standing, in_words, standing_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seen(kind: Kind, *minutes_ago: float) -> list[Seen]:
    return [Seen(1, kind, NOW - timedelta(minutes=minutes)) for minutes in minutes_ago]


@pytest.mark.parametrize("kind", [Kind.HUNG, Kind.CRASHED, Kind.EXITED, Kind.OUT_OF_MEMORY])
def test_it_quarantines_the_version_until_a_user_clears_it(kind: Kind) -> None:
    standing = standing_of(seen(kind, 10_000), now=NOW)

    assert standing == Standing(frozenset({1}), frozenset({1}))


@pytest.mark.parametrize(
    ("minutes_ago", "is_quarantined", "is_not_in_web"),
    [
        ((0.5,), False, True),
        ((2,), False, False),
        ((10.1, 10, 9.9, 9.8), False, False),  # a host's processes, killed at once
        ((20, 10), False, False),
        ((30, 20, 10), True, True),
        ((90, 80, 70), False, False),
        ((-1000,), False, False),  # by a clock that was ahead
    ],
)
def test_it_takes_a_killed_process_for_a_coincidence_unless_it_is_often(
    minutes_ago: tuple[float, ...], is_quarantined: bool, is_not_in_web: bool
) -> None:
    standing = standing_of(seen(Kind.KILLED, *minutes_ago), now=NOW)

    assert (bool(standing.quarantined), bool(standing.not_in_web)) == (is_quarantined, is_not_in_web)


def test_it_keeps_the_newest_of_a_version(penguins: ModelVersion) -> None:
    for number in range(MOST_KEPT + 3):
        Incident.objects.record(version_id=penguins.pk, kind=Kind.HUNG, process="p", detail=str(number), now=NOW)

    kept = Incident.objects.order_by("pk").values_list("detail", flat=True)
    assert (len(kept), kept[0]) == (MOST_KEPT, "3")


def test_it_says_what_happened_and_forgets_it_once_cleared(penguins: ModelVersion) -> None:
    for kind in (Kind.HUNG, Kind.CRASHED, Kind.HUNG):
        Incident.objects.record(version_id=penguins.pk, kind=kind, process="p", detail="", now=NOW)

    words = in_words(penguins.incidents.open())
    cleared = penguins.incidents.open().clear(now=NOW)

    assert words == "hung 2 times, crashed its process once; last 2026-11-24 12:00 UTC"
    assert (cleared, penguins.incidents_in_words) == (3, "")
    assert not Incident.objects.standing(now=NOW).quarantined
