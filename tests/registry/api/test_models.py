"""GET /api/models, /api/models/{model}, …/schema; POST …/promote, …/rollback and …/retire."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from registry.models import Model, ModelVersion
from registry.publishing.publish import Published, promote, retire


@pytest.fixture
def second(penguins: ModelVersion, publish_penguins: Callable[..., Published]) -> str:
    """The tag of another version of `penguins`, which is not live."""
    return publish_penguins("2.0").version.tag


@pytest.fixture
def private(penguins: ModelVersion) -> ModelVersion:
    """`penguins`, for signed-in users only."""
    Model.objects.update(is_public=False)
    return penguins


def may(user: User, *codenames: str) -> User:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def live() -> str:
    return ModelVersion.objects.live().get().tag


def test_it_lists_the_models(api: APIClient, penguins: ModelVersion) -> None:
    response = api.get("/api/models")

    assert response.status_code == 200
    (model,) = response.json()
    assert model["name"] == "penguins"
    assert model["title"] == "Which penguin is it?"
    assert model["live_version"] == "1.0"
    assert model["is_public"] is True
    assert model["url"] == "http://testserver/api/models/penguins"
    assert model["predict_url"] == "http://testserver/api/models/penguins/predict"


def test_it_lists_a_model_without_live_version(api: APIClient, penguins: ModelVersion) -> None:
    ModelVersion.objects.update(status="retired")

    assert api.get("/api/models").json()[0]["live_version"] is None


def test_it_asks_the_database_as_often_for_many_models(
    api: APIClient, penguins: ModelVersion, django_assert_num_queries: Any
) -> None:
    Model.objects.bulk_create(Model(name=f"model-{index}", is_public=True) for index in range(20))

    with django_assert_num_queries(2):
        assert len(api.get("/api/models").json()) == 21


def test_it_shows_a_model(api: APIClient, penguins: ModelVersion) -> None:
    body = api.get("/api/models/penguins").json()

    assert body == api.get("/api/models").json()[0]


def test_it_shows_the_schema_in_column_order(api: APIClient, penguins: ModelVersion) -> None:
    schema = api.get("/api/models/penguins/schema").json()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"])[:3] == ["island", "bill_length_mm", "bill_depth_mm"]
    assert schema["properties"]["island"]["enum"] == ["Biscoe", "Dream", "Torgersen"]
    assert schema["additionalProperties"] is False


def test_it_has_no_schema_without_live_version(api: APIClient, penguins: ModelVersion) -> None:
    ModelVersion.objects.update(status="ready")

    response = api.get("/api/models/penguins/schema")

    assert response.status_code == 404
    assert "no live version" in response.json()["detail"]


@pytest.mark.parametrize("path", ["", "/1.0"])
def test_it_names_accounts_to_accounts_only(api: APIClient, penguins: ModelVersion, reader: User, path: str) -> None:
    ModelVersion.objects.update(uploaded_by="ada", other_versions_allowed_by="grace")
    as_stranger = api.get(f"/api/models/penguins/versions{path}").json()
    api.force_authenticate(reader)
    as_reader = api.get(f"/api/models/penguins/versions{path}").json()

    assert not {"ada", "grace"} & set(re.findall(r"\w+", json.dumps(as_stranger)))
    assert {"ada", "grace"} <= set(re.findall(r"\w+", json.dumps(as_reader)))


@pytest.mark.parametrize("path", ["", "/schema", "/versions", "/versions/1.0"])
def test_it_hides_a_private_model_like_an_absent_one(api: APIClient, private: ModelVersion, path: str) -> None:
    hidden = api.get(f"/api/models/penguins{path}")
    absent = api.get(f"/api/models/pinguine{path}")

    assert hidden.status_code == absent.status_code == 404
    assert hidden.content.replace(b"penguins", b"pinguine") == absent.content


def test_it_leaves_private_models_out_of_the_list(api: APIClient, private: ModelVersion) -> None:
    assert api.get("/api/models").json() == []


@pytest.mark.parametrize("path", ["", "/penguins", "/penguins/schema", "/penguins/versions", "/penguins/versions/1.0"])
def test_it_shows_a_private_model_to_a_reader(api: APIClient, private: ModelVersion, reader: User, path: str) -> None:
    api.force_authenticate(reader)

    assert b"penguins" in api.get(f"/api/models{path}").content or path.endswith("schema")
    assert api.get(f"/api/models{path}").status_code == 200


def test_it_promotes(api: APIClient, owner: User, second: str) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/promote", {"tag": "2.0"})

    assert response.status_code == 200
    assert (response.json()["tag"], response.json()["is_live"]) == ("2.0", True)
    assert live() == "2.0"
    assert ModelVersion.objects.get(tag="2.0").promotions.get().promoted_by == "owner"


def test_it_rolls_back(api: APIClient, owner: User, second: str) -> None:
    promote("penguins", "2.0")
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/rollback")

    assert response.status_code == 200
    assert (response.json()["tag"], response.json()["is_live"]) == ("1.0", True)
    assert live() == "1.0"


@pytest.mark.parametrize("body", [None, {}, {"tag": "1.0"}], ids=str)
def test_it_retires_the_live_version(api: APIClient, owner: User, second: str, body: Any) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/retire", body)

    assert response.status_code == 200
    assert (response.json()["tag"], response.json()["status"]) == ("1.0", "retired")
    assert api.get("/api/models/penguins").json()["live_version"] is None
    refused = api.post("/api/models/penguins/predict", {})
    assert (refused.status_code, refused.json()["title"]) == (422, "The model has no live version")


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"tag": "2.0"}, 409, "penguins 2.0 is ready, so it cannot be retired. 1.0 is live."),
        ({"tag": "9.9"}, 404, "The model 'penguins' has no version '9.9'. It has 2.0, 1.0."),
        ({"tag": 1.0}, 400, "tag: Not a valid string."),
    ],
    ids=str,
)
def test_it_says_why_nothing_was_retired(
    api: APIClient, owner: User, second: str, body: Any, status: int, detail: str
) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/retire", body)

    assert (response.status_code, response.json()["detail"]) == (status, detail)
    assert live() == "1.0"


def test_it_tells_which_model_answers_a_request_that_names_none(api: APIClient, penguins: ModelVersion) -> None:
    """Also where none is marked, which lets the first one answer; in a list and alone."""
    Model.objects.create(name="another", is_public=True)

    def defaults() -> dict[str, bool]:
        listed = {each["name"]: each["is_default"] for each in api.get("/api/models").json()}
        assert listed == {name: api.get(f"/api/models/{name}").json()["is_default"] for name in listed}
        return listed

    assert defaults() == {"penguins": True, "another": False}
    retire("penguins")
    assert defaults() == {"penguins": False, "another": False}
    promote("penguins", "1.0")
    Model.objects.filter(name="another").update(is_default=True)
    assert defaults() == {"penguins": False, "another": False}  # it has no version, so that none answers


def test_it_has_nothing_to_roll_back(api: APIClient, owner: User, penguins: ModelVersion) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/rollback")

    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/nothing-to-roll-back")


def test_it_does_not_promote_an_absent_tag(api: APIClient, owner: User, penguins: ModelVersion) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/promote", {"tag": "9.9"})

    assert response.status_code == 404
    assert "has no version '9.9'" in response.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"tag": ""}, {"tag": None}, {"tag": ["1.0"]}, [], "1.0", None], ids=str)
def test_it_says_what_a_promotion_needs(api: APIClient, owner: User, penguins: ModelVersion, body: Any) -> None:
    api.force_authenticate(owner)

    response = api.post("/api/models/penguins/promote", body)

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("act", ["promote", "rollback", "retire"])
def test_it_asks_strangers_to_sign_in(api: APIClient, second: str, act: str) -> None:
    response = api.post(f"/api/models/penguins/{act}", {"tag": "2.0"})

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Basic")
    assert live() == "1.0"


@pytest.mark.parametrize("act", ["promote", "rollback", "retire"])
@pytest.mark.parametrize("permission", [None, "add_modelversion", "view_modelversion"], ids=str)
def test_it_lets_only_those_promote_who_may(
    api: APIClient, reader: User, second: str, act: str, permission: str | None
) -> None:
    api.force_authenticate(may(reader, permission or ""))

    response = api.post(f"/api/models/penguins/{act}", {"tag": "2.0"})

    assert response.status_code == 403
    assert "registry.change_modelversion" in response.json()["detail"]
    assert live() == "1.0"


def test_it_lets_those_promote_who_may(api: APIClient, reader: User, second: str) -> None:
    api.force_authenticate(may(reader, "change_modelversion"))

    assert api.post("/api/models/penguins/promote", {"tag": "2.0"}).status_code == 200


@pytest.mark.parametrize("act", ["promote", "rollback", "retire"])
def test_it_does_not_know_an_absent_model(api: APIClient, owner: User, act: str) -> None:
    api.force_authenticate(owner)

    assert api.post(f"/api/models/absent/{act}", {"tag": "1.0"}).status_code == 404


def test_it_takes_a_name_and_a_password(client: Any, owner: User, second: str) -> None:
    import base64

    credentials = base64.b64encode(b"owner:owner-password").decode()

    response = client.post(
        "/api/models/penguins/promote", {"tag": "2.0"}, content_type="application/json",
        headers={"Authorization": f"Basic {credentials}"},
    )  # fmt: skip

    assert response.status_code == 200


def test_it_refuses_a_wrong_password(client: Any, owner: User, penguins: ModelVersion) -> None:
    response = client.get("/api/models", headers={"Authorization": "Basic b3duZXI6d3Jvbmc="})

    assert response.status_code == 401
    assert response.json()["type"].endswith("/problems/not-authenticated")


def test_it_answers_browsers_with_a_page(client: Any, penguins: ModelVersion) -> None:
    response = client.get("/api/models", headers={"Accept": "text/html"})

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/html")
    assert b"penguins" in response.content
