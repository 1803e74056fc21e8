"""Who guesses passwords is locked out: at the sign-in page, in the admin and over HTTP Basic."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from mlserve.access import throttling
from mlserve.access.expired_rows import forget_callers
from mlserve.access.tokens import make_token
from mlserve.conf.rates import Rate
from registry.models import ModelVersion
from tests.mlserve.http.test_both_chains import RECORD, URL, Program, basic

pytestmark = pytest.mark.django_db

HOME, AWAY = "198.51.100.7", "203.0.113.9"
Try = Callable[[str, str, str], int]


@pytest.fixture(autouse=True)
def _few_tries(settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    throttling.forget_all()


def by_page(name: str, password: str, address: str) -> int:
    return int(Client().post("/login", {"username": name, "password": password}, REMOTE_ADDR=address).status_code)


def by_admin(name: str, password: str, address: str) -> int:
    return int(
        Client().post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address).status_code
    )


def by_basic(name: str, password: str, address: str) -> int:
    ask: Any = Program().get
    return int(ask("/api/models", HTTP_AUTHORIZATION=basic(name, password), REMOTE_ADDR=address).status_code)


@pytest.fixture(params=[by_page, by_admin, by_basic])
def sign_in(request: pytest.FixtureRequest) -> Try:
    tried: Try = request.param
    return tried


def test_it_locks_a_name_at_one_address(owner: User, sign_in: Try) -> None:
    right = sign_in("owner", "owner-password", AWAY)
    for _ in range(3):
        sign_in("owner", "guess", HOME)

    assert sign_in("owner", "owner-password", HOME) == 429
    assert sign_in("owner", "owner-password", AWAY) == right
    assert right in (200, 302)


def test_it_says_the_same_about_names_that_do_not_exist(owner: User, sign_in: Try) -> None:
    tries = [[sign_in(name, "guess", HOME) for _ in range(5)] for name in ("owner", "nobody")]

    assert tries[0] == tries[1]
    assert tries[0][-1] == 429


def test_it_opens_again_after_a_while(owner: User, sign_in: Try) -> None:
    right = sign_in("owner", "owner-password", AWAY)
    for _ in range(4):
        sign_in("owner", "guess", HOME)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))

    assert sign_in("owner", "owner-password", HOME) == right


def test_it_tells_when_to_come_back(owner: User) -> None:
    for _ in range(3):
        by_page("owner", "guess", HOME)
    page = Client().post("/login", {"username": "owner", "password": "guess"}, REMOTE_ADDR=HOME)
    ask: Any = Program().get
    problem = ask("/api/models", HTTP_AUTHORIZATION=basic("owner", "guess"), REMOTE_ADDR=HOME)

    assert (page.status_code, page.headers["Retry-After"]) == (429, "900")
    assert "Too many wrong passwords" in page.content.decode()
    assert (problem.status_code, problem.headers["Retry-After"]) == (429, "900")
    assert problem.json()["type"].endswith("/problems/too-many-requests")
    assert "Too many wrong passwords" in problem.json()["detail"]


def test_it_keeps_nothing_that_was_sent_but_names(owner: User) -> None:
    Client().post("/login?next=/secret-page", {"username": "owner", "password": "gu3ss", "next": "/s3cret"})
    ask: Any = Program().post
    ask(URL, {"diagnosis": "s3cret"}, HTTP_AUTHORIZATION=basic("owner", "gu3ss"))

    kept = str(list(AccessAttempt.objects.values()))
    assert "gu3ss" not in kept
    assert "s3cret" not in kept


def test_it_adds_no_rows_while_it_is_locked(owner: User, sign_in: Try) -> None:
    for _ in range(8):
        sign_in("owner", "guess", HOME)

    assert AccessAttempt.objects.get().failures_since_start == 3


def test_it_forgets_soon(owner: User) -> None:
    by_page("owner", "guess", HOME)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))

    assert forget_callers() == 1
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("name", ["o" * 151, "o" * 5000, "ow\0ner", "ow\nner", ""])
@pytest.mark.parametrize("password", ["guess", "gu\0ess", ""])
def test_it_refuses_unknown_names_and_passwords(owner: User, name: str, password: str) -> None:
    assert by_basic(name, password, HOME) == 401


def test_it_reads_no_body_of_a_caller_with_a_wrong_password(penguins: ModelVersion, owner: User) -> None:
    response = Program().generic(
        "POST", URL, "{" * 50, content_type="application/json", HTTP_AUTHORIZATION=basic("owner", "guess")
    )

    assert response.status_code == 401


def test_it_counts_a_wrong_password_as_many_requests(
    penguins: ModelVersion, settings: Any, owner: User, sign_in: Try
) -> None:
    """Many names from one address exceed no limit of a name, and each try costs a hash."""
    settings.MLSERVE_RATE_ADDRESS = Rate(35, 3600)
    statuses = [sign_in(f"name-{number}", "guess", HOME) for number in range(8)]

    assert 429 not in statuses[:3]
    assert set(statuses[4:]) == {429}
    assert sign_in("owner", "owner-password", AWAY) in (200, 302)


def test_it_locks_a_household_of_ipv6(owner: User) -> None:
    for number in range(3):
        by_page("owner", "guess", f"2001:db8::{number}")

    assert by_page("owner", "owner-password", "2001:db8::ffff") == 429
    assert by_page("owner", "owner-password", "2001:db8:0:1::1") == 302


def test_it_costs_a_token_nothing(penguins: ModelVersion, reader: User) -> None:
    for _ in range(3):
        by_basic("reader", "guess", HOME)
    _, secret = make_token(reader, name="t", scopes=["predict"], days=1, created_by="")
    ask: Any = Program().post
    assert ask(URL, RECORD, HTTP_AUTHORIZATION=f"Bearer {secret}", REMOTE_ADDR=HOME).status_code == 202


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://testserver", 200),
        ("https://portal.example", 200),
        ("http://portal.example", 403),
        ("https://a.firm.example", 200),
        ("https://firm.example.evil", 403),
        ("https://[", 403),
        (None, 200),
    ],
)
def test_it_does_not_do_what_another_site_asks_a_browser_for(
    owner: User, settings: Any, origin: str | None, status: int
) -> None:
    """A form of any site is sent with the name and password that a browser remembers."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://portal.example", "https://*.firm.example"]
    said = {} if origin is None else {"HTTP_ORIGIN": origin}
    signed_in: Any = {"HTTP_AUTHORIZATION": basic("owner", "owner-password"), **said}

    erased = [client().post("/api/predict/erase", **signed_in).status_code for client in (Client, Program)]
    read = Client().get("/api/predict", **signed_in)

    assert erased == [status, status]
    assert read.status_code == 200
