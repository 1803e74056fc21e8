from django.apps import AppConfig


class MlserveConfig(AppConfig):
    name = "mlserve"
    verbose_name = "Access"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_login_failed

        from mlserve.access.throttling import count_failure

        user_login_failed.connect(count_failure, dispatch_uid="mlserve-count-failure")
