"""Whether a version still gives its golden outputs, in each environment in which its golden rows were predicted."""

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from registry.pipelines.environment import environment, fingerprint

_MOST_DETAIL = 2000


class Verdict(models.TextChoices):
    SAME = "same", _("answers as inspected")
    DIFFERS = "differs", _("answers differently")
    FAILED = "failed", _("cannot be asked")


class GoldenCheckQuerySet(models.QuerySet["GoldenCheck"]):
    def here(self) -> "GoldenCheckQuerySet":
        """Those of the environment of this process."""
        return self.filter(environment=fingerprint())

    def record(self, version: Any, verdict: Verdict, *, detail: str = "", now: datetime) -> None:
        """Store the verdict on a version in this process's environment, in place of an earlier one."""
        columns = {"packages": dict(environment()), "verdict": verdict, "detail": detail[:_MOST_DETAIL]}
        self.update_or_create(version=version, environment=fingerprint(), defaults={**columns, "checked_at": now})


class GoldenCheck(models.Model):
    """The latest verdict on a version's golden rows in one environment, a set of installed packages."""

    Verdict = Verdict

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="golden_checks")
    environment = models.CharField(max_length=64, help_text="SHA-256 of the packages.")
    packages = models.JSONField(help_text="The versions of Python and of the packages that a pipeline computes with.")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    detail = models.TextField(blank=True, help_text="What differs, or why it could not be asked.")
    checked_at = models.DateTimeField()

    objects = GoldenCheckQuerySet.as_manager()

    class Meta:
        ordering = ("-checked_at",)
        constraints = [
            # Also the index of the look-up by `/readyz`.
            models.UniqueConstraint(
                fields=["version", "environment"], name="registry_one_golden_check_per_environment"
            ),
            models.CheckConstraint(
                condition=models.Q(verdict__in=list(Verdict.values)), name="registry_golden_verdict_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.get_verdict_display()}"

    @property
    def is_here(self) -> bool:
        """Whether the verdict is of this process's environment."""
        return self.environment == fingerprint()

    def differences(self) -> list[str]:
        """The packages whose version is another one here, each with its version at the check."""
        here, then = environment(), self.packages
        return [f"{name} {then.get(name, 'none')}" for name in {**then, **here} if then.get(name) != here.get(name)]
