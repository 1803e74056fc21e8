from django.apps import AppConfig


class MlserveConfig(AppConfig):
    name = "mlserve"
    verbose_name = "Access"

    def ready(self) -> None:
        from django.contrib.auth.models import User
        from django.contrib.auth.signals import user_login_failed
        from django.db.models.signals import post_delete

        from mlserve.access.deleted_accounts import note_deleted
        from mlserve.access.throttling import count_failure

        user_login_failed.connect(count_failure, dispatch_uid="mlserve-count-failure")
        post_delete.connect(note_deleted, sender=User, dispatch_uid="mlserve-note-deleted")
