"""Accounts in the admin: Django's own pages, whose deletion says what becomes of tokens and predictions."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest

from mlserve.conf.command_lines import manage
from mlserve.models import ApiToken
from predictions.models import Prediction

_MOST_COUNTED = 1000


class AccountAdmin(UserAdmin):  # type: ignore[type-arg]
    def get_deleted_objects(self, objs: Iterable[User], request: HttpRequest) -> Any:
        """A list of sentences instead of rows. Tokens go with their account, although none may be deleted alone."""
        _, counts, lacking, protected = super().get_deleted_objects(objs, request)  # type: ignore[arg-type]
        sentences = [sentence for user in objs for sentence in _consequences(user)]
        return sentences, counts, set(lacking) - {ApiToken._meta.verbose_name}, protected


def _consequences(user: User) -> list[str]:
    name, tokens = user.get_username(), ApiToken.objects.filter(user=user).count()
    ids = Prediction.objects.filter(owner__in=[user.pk, -1]).order_by("owner_id", "-pk").values_list("pk")
    count = len(ids[: _MOST_COUNTED + 1])
    counted = f"more than {_MOST_COUNTED}" if count > _MOST_COUNTED else str(count)
    sign_in = (
        f"{name} can no longer sign in. To keep the account and its entries of the admin’s log, which are deleted with "
        "it, take away “Active” on its page instead."
    )
    predictions = (
        f"Its predictions ({counted}) stay until {settings.MLSERVE_RETENTION_DAYS} days after they ended. They are "
        "listed to staff only; on a public model who holds the id of one may still read it. To delete them, also after "
        f"the account: “Deleted accounts” here, or {manage('erase_predictions', '--user-id', str(user.pk))}"
    )
    return [
        sign_in,
        f"Its API tokens ({tokens}) are deleted: programs that use them are refused from the next request on.",
        predictions,
        "Versions that it uploaded or promoted stay, and keep its name.",
    ]
