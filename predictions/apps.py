from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PredictionsConfig(AppConfig):
    name = "predictions"

    def ready(self) -> None:
        from django_q.signals import post_spawn

        from predictions import checks  # noqa: F401 - registers the system checks
        from predictions.queue.wake_ups import call_inspector, schedule_sweep
        from predictions.store.version_data import erase_of_versions
        from predictions.tasks import start_worker
        from registry.publishing.signals import predictions_unwanted
        from registry.uploads.signals import inspection_wanted

        inspection_wanted.connect(call_inspector, dispatch_uid="mlserve-call-inspector")
        predictions_unwanted.connect(erase_of_versions, dispatch_uid="mlserve-erase-of-versions")
        post_spawn.connect(start_worker, dispatch_uid="mlserve-start-worker")
        post_migrate.connect(schedule_sweep, sender=self, dispatch_uid="mlserve-schedule-sweep")
