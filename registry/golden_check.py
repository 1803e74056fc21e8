"""Whether a version still gives its golden outputs, in each environment that it was asked in."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    SAME = "same", _("answers as inspected")
    DIFFERS = "differs", _("answers differently")
    FAILED = "failed", _("cannot be asked")


class GoldenCheck(models.Model):
    """What one environment (a set of installed packages) made of a version's golden rows when it was last asked."""

    Verdict = Verdict

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="golden_checks")
    environment = models.CharField(max_length=64, help_text="SHA-256 of the packages.")
    packages = models.JSONField(help_text="The versions of Python and of the packages that a pipeline computes with.")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    detail = models.TextField(blank=True, help_text="What differs, or why it could not be asked.")
    checked_at = models.DateTimeField()

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
