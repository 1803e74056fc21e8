"""Incidents: a version hung or ended the process that called it. With open ones it is quarantined."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

# Of each version; older ones are of no more use.
MOST_KEPT = 100
# A process that is killed from outside during a call looks like one that its model killed. Such an incident keeps the
# version out of web processes for a minute only, so that a model that does kill processes cannot end one after the
# other. Three of them, each after such a minute, quarantine it. They stop counting an hour after they happened.
_KILLED_SECONDS, _KILLED_OFTEN, _KILLED_WITHIN = timedelta(minutes=1), 3, timedelta(hours=1)


class Kind(models.TextChoices):
    HUNG = "hung", _("hung")
    CRASHED = "crashed", _("crashed its process")
    EXITED = "exited", _("ended its process")
    OUT_OF_MEMORY = "out_of_memory", _("ran out of memory")
    KILLED = "killed", _("was killed in a call")


class Seen(NamedTuple):
    """The columns of an open incident that decide about its version."""

    version_id: int
    kind: str
    happened_at: datetime


@dataclass(frozen=True)
class Standing:
    """Ids of versions. Those `quarantined` come last in the queue, one call at a time. Those `not_in_web`, among them
    all that are quarantined, are not called in a web process.
    """

    quarantined: frozenset[int] = frozenset()
    not_in_web: frozenset[int] = frozenset()


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> "IncidentQuerySet":
        return self.filter(cleared_at=None)

    def clear(self, *, now: datetime) -> int:
        """Close these incidents, so that their versions are trusted again; how many were open."""
        return self.open().update(cleared_at=now)

    def record(self, *, version_id: int, kind: Kind, process: str, detail: str, now: datetime) -> "Incident":
        """Create an incident, and delete all but the newest MOST_KEPT of the version."""
        incident = self.create(version_id=version_id, kind=kind, process=process[:200], detail=detail, happened_at=now)
        own = self.filter(version_id=version_id).order_by("-pk").values_list("pk", flat=True)
        if oldest := own[MOST_KEPT - 1 : MOST_KEPT].first():
            self.filter(version_id=version_id, pk__lt=oldest).delete()
        return incident

    def standing(self, *, now: datetime) -> Standing:
        """The versions that are quarantined or kept out of web processes at `now`; reads a few rows."""
        seen = self.open().order_by("pk").values_list("version_id", "kind", "happened_at")
        return standing_of((Seen._make(row) for row in seen), now=now)


def standing_of(incidents: Iterable[Seen], *, now: datetime) -> Standing:
    """`incidents` are open ones, oldest first."""
    quarantined: set[int] = set()
    not_in_web: set[int] = set()
    killed: defaultdict[int, list[datetime]] = defaultdict(list)
    for seen in incidents:
        if seen.kind != Kind.KILLED:
            quarantined.add(seen.version_id)
        elif abs(now - seen.happened_at) < _KILLED_WITHIN:  # abs: the clock of another host may be ahead
            times = killed[seen.version_id]
            # All processes of a host may be killed at once; that counts as one time.
            if not times or seen.happened_at - times[-1] >= _KILLED_SECONDS:
                times.append(seen.happened_at)
    for version_id, times in killed.items():
        if now - times[-1] < _KILLED_SECONDS:
            not_in_web.add(version_id)
        if len(times) >= _KILLED_OFTEN:
            quarantined.add(version_id)
    return Standing(frozenset(quarantined), frozenset(not_in_web | quarantined))


class Incident(models.Model):
    """One call of a version that did not return, recorded by the process that noticed. A user may clear it."""

    Kind = Kind

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="incidents")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    process = models.CharField(max_length=200, help_text="Host and number of the process that it happened to.")
    detail = models.TextField(blank=True, help_text="What was seen. Never what was put in.")
    happened_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="When somebody trusted the version again.")

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = [
            # which versions have open incidents; few rows.
            models.Index(fields=["version"], condition=models.Q(cleared_at=None), name="registry_incident_open"),
            # the newest incidents of a version: its page.
            models.Index(fields=["version", "-id"], name="registry_incident_version"),
        ]

    def __str__(self) -> str:
        kind: Any = self.get_kind_display()
        return f"{self.version} {kind}"


def in_words(incidents: Iterable[Incident]) -> str:
    """Of one version's open incidents, newest first: “hung 3 times, crashed its process once; last 2026-11-24 03:15
    UTC”. Empty when there is none.
    """
    listed = list(incidents)
    if not listed:
        return ""
    counts: dict[str, int] = {}
    for each in listed:
        words = str(each.get_kind_display())
        counts[words] = counts.get(words, 0) + 1
    times = ", ".join(f"{words} {'once' if count == 1 else f'{count} times'}" for words, count in counts.items())
    return f"{times}; last {listed[0].happened_at:%Y-%m-%d %H:%M} UTC"
