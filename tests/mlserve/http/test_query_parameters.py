"""Mistyped query parameters."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from rest_framework.test import APIClient

from mlserve.errors import BadParameter
from mlserve.http.query_parameters import require_known
from registry.models import ModelVersion
from tests.mlserve.site.test_openapi import document

NAMES = ("cursor", "model", "page_size", "status", "version")
UNKNOWN = "01936f5e-0000-7000-8000-000000000000"
# An address of each kind with a method that it has.
ADDRESSES = [
    ("post", "/api/predict"), ("get", "/api/predict"), ("post", "/api/models/penguins/predict"),
    ("post", "/api/models/penguins/versions/1.0/predict"), ("get", f"/api/predict/{UNKNOWN}"),
    ("post", f"/api/predict/{UNKNOWN}/cancel"), ("get", "/api/predict/export"), ("post", "/api/predict/erase"),
    ("get", "/api/models"), ("get", "/api/models/penguins"), ("get", "/api/models/penguins/schema"),
    ("get", "/api/models/penguins/versions"), ("get", "/api/models/penguins/versions/1.0"),
    ("get", "/api/models/penguins/versions/1.0/schema"), ("post", "/api/models/penguins/promote"),
    ("post", "/api/models/penguins/rollback"), ("post", "/api/models/penguins/versions"), ("post", "/api/uploads"),
    ("get", f"/api/uploads/{UNKNOWN}"), ("delete", f"/api/uploads/{UNKNOWN}"),
    ("put", f"/api/uploads/{UNKNOWN}/parts/1"), ("post", f"/api/uploads/{UNKNOWN}/parts"),
    ("get", "/api/schema"), ("get", "/api/docs"), ("head", "/api/models"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("page=2", "no query parameter 'page' (did you mean page_size?)"),
        ("Status=failed", "'Status' (did you mean status?)"),
        ("stauts=failed", "'stauts' (did you mean status?)"),
        ("x=1&stauts=", "'x'; no 'stauts' (did you mean status?)"),
        ("status=failed&q", "no query parameter 'q'."),
    ],
)
def test_it_names_the_nearest_one(query: str, near: str) -> None:
    with pytest.raises(BadParameter) as refusal:
        require_known(QueryDict(query), NAMES)

    assert near in refusal.value.detail
    assert "It takes cursor, model, page_size, status, version." in refusal.value.detail


def test_it_takes_what_there_is() -> None:
    require_known(QueryDict("model=a&model=b&format=json"), NAMES)


def test_it_stays_short_for_many_long_names() -> None:
    query = QueryDict("&".join(f"{'x' * 1000}{number}=" for number in range(50)))
    with pytest.raises(BadParameter) as refusal:
        require_known(query, ())

    assert len(refusal.value.detail) < 1000


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), ADDRESSES, ids=str)
def test_it_is_refused_by_each_address(
    api: APIClient, penguins: ModelVersion, owner: User, method: str, path: str
) -> None:
    api.force_authenticate(owner)
    response = api.generic(method.upper(), f"{path}?outpts=predict", headers={"Accept": "*/*"})

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    if method != "head":
        assert "'outpts'" in response.json()["detail"]


@pytest.mark.django_db
def test_it_takes_each_parameter_that_the_document_names(api: APIClient, penguins: ModelVersion, owner: User) -> None:
    """And no other: the two lists are one."""
    api.force_authenticate(owner)
    described = 0
    for path, operations in document(api)["paths"].items():
        for method, operation in operations.items():
            names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            for name in names:
                url = path.format(id=UNKNOWN, model="penguins", tag="1.0", upload=UNKNOWN, number=1)
                response: Any = api.generic(method.upper(), f"{url}?{name}=", headers={"Accept": "*/*"})
                content = b"".join(response.streaming_content) if response.streaming else response.content
                assert b"has no query parameter" not in content, (path, name)
                described += 1
    assert described > 8
