"""Accounts are deleted: what becomes of their tokens and predictions."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.access.tokens import make_token
from mlserve.models import ApiToken, DeletedAccount
from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from predictions.store.personal_data import forget_deleted_accounts
from predictions.store.retention import delete_what_is_too_old
from predictions.worker.claiming import claim
from registry.models import Model, ModelVersion
from tests.predictions.page import Page

pytestmark = pytest.mark.django_db


class Cast:
    """Ana, who has a token and a prediction, and an administrator of accounts."""

    def __init__(self, client: Client, version: ModelVersion, record: dict[str, Any]) -> None:
        self.version, self.record, self.client = version, record, client
        self.ana = User.objects.create_user("ana")
        self.token, self.secret = make_token(self.ana, name="own", scopes=["predict"], days=None, created_by="")
        self.prediction = self.asks(self.ana)
        tasks.drain()
        self.boss = User.objects.create_user("boss", is_staff=True)
        self.boss.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", "delete_user"]))
        client.force_login(self.boss)

    def asks(self, user: Any) -> Prediction:
        return submit(self.version, self.record, outputs=["predict"], user=user)

    def delete_ana(self) -> Any:
        return self.client.post(f"/admin/auth/user/{self.ana.pk}/delete/", {"post": "yes"})

    def ask_as(self, secret: str = "") -> APIClient:
        client = APIClient()
        if secret:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client


@pytest.fixture
def cast(client: Client, penguins: ModelVersion, penguin: dict[str, Any], settings: Any) -> Cast:
    settings.MLSERVE_ANONYMOUS_HISTORY = True
    return Cast(client, penguins, penguin)


def test_it_says_what_becomes_of_tokens_and_predictions(cast: Cast) -> None:
    text = Page(cast.client.get(f"/admin/auth/user/{cast.ana.pk}/delete/")).texts("//*[@id='content']")[0]

    for sentence in (
        "ana can no longer sign in.",
        "Its API tokens (1) are deleted",
        "Its predictions (1) stay until 30 days after they ended.",
        f"manage.py erase_predictions --user-id {cast.ana.pk}",
    ):
        assert sentence in text


def test_it_says_so_of_several_accounts_at_once(cast: Cast) -> None:
    User.objects.create_user("ben")
    users = User.objects.filter(username__in=["ana", "ben"])
    chosen = {"action": "delete_selected", "_selected_action": [user.pk for user in users]}

    text = Page(cast.client.post("/admin/auth/user/", chosen)).texts("//*[@id='content']")[0]
    cast.client.post("/admin/auth/user/", {**chosen, "post": "yes"})

    assert "ana can no longer sign in." in text
    assert "ben can no longer sign in." in text
    assert list(User.objects.values_list("username", flat=True)) == ["boss"]


def test_it_deletes_an_account_with_its_tokens(cast: Cast) -> None:
    assert cast.delete_ana().status_code == 302

    assert not User.objects.filter(username="ana").exists()
    assert not ApiToken.objects.exists()
    assert cast.ask_as(cast.secret).get("/api/predict").status_code == 401


def test_it_lists_nothing_of_it_to_others(cast: Cast) -> None:
    cast.delete_ana()
    ben = User.objects.create_user("ben")
    _, secret = make_token(ben, name="own", scopes=["predict"], days=None, created_by="")

    for client in (cast.ask_as(), cast.ask_as(secret)):
        assert client.get("/api/predict").json()["results"] == []
    listed = APIClient()
    listed.force_login(cast.boss)
    assert [each["prediction_id"] for each in listed.get("/api/predict").json()["results"]] == [str(cast.prediction.pk)]


def test_it_hides_what_was_asked_of_a_private_model(cast: Cast) -> None:
    Model.objects.update(is_public=False)
    cast.delete_ana()

    assert cast.ask_as().get(f"/api/predict/{cast.prediction.pk}").status_code == 404


def test_it_shows_in_the_admin_who_asked(cast: Cast) -> None:
    cast.boss.user_permissions.add(Permission.objects.get(codename="view_prediction"))
    cast.delete_ana()
    page = f"/admin/predictions/prediction/{cast.prediction.pk}/change/"

    named = cast.client.get(page).content.decode()
    DeletedAccount.objects.all().delete()
    unnamed = cast.client.get(page).content.decode()

    assert "ana (deleted)" in named
    assert f"a deleted account (id {cast.ana.pk})" in unnamed


@pytest.mark.parametrize("by", ["name", "id"])
def test_it_can_still_be_erased(cast: Cast, by: str) -> None:
    kept = cast.asks(AnonymousUser())
    cast.delete_ana()

    call_command("erase_predictions", *(["--user", "ana"] if by == "name" else ["--user-id", cast.ana.pk]), "--yes")

    assert list(Prediction.objects.values_list("pk", flat=True)) == [kept.pk]
    assert not DeletedAccount.objects.exists()
    with pytest.raises(CommandError, match="no predictions of a deleted one"):
        call_command("erase_predictions", "--user", "ana", "--yes")


def test_it_can_be_erased_in_the_admin(cast: Cast) -> None:
    cast.boss.user_permissions.add(Permission.objects.get(codename="delete_prediction"))
    cast.delete_ana()
    page = f"/admin/mlserve/deletedaccount/{cast.ana.pk}/"

    shown = cast.client.get(f"{page}change/").content.decode()
    asked = cast.client.get(f"{page}erase/").content.decode()
    before = Prediction.objects.count()
    answer = cast.client.post(f"{page}erase/", follow=True).content.decode()

    assert f"{page}erase/" in shown
    assert "All that ana has asked is deleted for good" in asked
    assert before == 1
    assert "Erased: 1 prediction of ana." in answer
    assert not Prediction.objects.exists()
    assert not DeletedAccount.objects.exists()


def test_it_is_erased_only_by_whom_may(cast: Cast) -> None:
    cast.delete_ana()

    assert cast.client.post(f"/admin/mlserve/deletedaccount/{cast.ana.pk}/erase/").status_code == 403
    assert Prediction.objects.exists()


def test_it_leaves_what_is_being_predicted(cast: Cast) -> None:
    cast.boss.user_permissions.add(Permission.objects.get(codename="delete_prediction"))
    cast.asks(cast.ana)
    claim(now=timezone.now(), holder="worker")
    cast.delete_ana()

    answer = cast.client.post(f"/admin/mlserve/deletedaccount/{cast.ana.pk}/erase/", follow=True).content.decode()

    assert "Some are being predicted at this moment" in answer
    assert DeletedAccount.objects.exists()


def test_it_takes_a_new_account_of_the_name_for_another_one(cast: Cast) -> None:
    cast.delete_ana()
    new = User.objects.create_user("ana")
    own = cast.asks(new)

    call_command("erase_predictions", "--user-id", str(cast.ana.pk), "--yes")

    assert list(Prediction.objects.values_list("pk", flat=True)) == [own.pk]


def test_it_forgets_the_name_with_the_last_prediction(cast: Cast, settings: Any) -> None:
    cast.delete_ana()

    assert forget_deleted_accounts() == 0
    Prediction.objects.all().delete_rows()
    delete_what_is_too_old(now=timezone.now())

    assert not DeletedAccount.objects.exists()
