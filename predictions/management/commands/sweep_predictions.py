"""`manage.py sweep_predictions`: run now the sweep that workers run every minute."""

from typing import Any

from django.conf import settings

from mlserve.terminal import TerminalCommand
from predictions.tasks import sweep_now


class Command(TerminalCommand):
    help = (
        "Requeues predictions whose worker is gone, expires those that waited too long, deletes those past retention, "
        "and large inputs and results that no prediction refers to. Workers do this every minute by themselves."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        counts = sweep_now()
        self.say(
            f"{counts['released']} requeued, {counts['expired']} expired, "
            f"{counts['deleted']} deleted (ended more than {settings.MLSERVE_RETENTION_DAYS} days ago, or as many as "
            f"their model allows), {counts['unreferenced']} inputs and results without a prediction deleted."
        )
