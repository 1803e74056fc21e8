"""What browsers are told not to do with answers, and that our pages need nothing of it."""

import os
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer
from rest_framework.test import APIClient

from predictions.serving.submission import submit
from registry.models import ModelVersion
from tests.browser import browsing
from tests.paths import ROOT

UPLOAD_PAGE = "/admin/registry/modelversion/add/"
_LISTENER = (
    "addEventListener('securitypolicyviolation', e => console.error(e.violatedDirective, e.blockedURI, e.sample))"
)
# Of addresses that differ in ids only, so many are visited.
_OF_EACH_KIND = 1
# Downloads.
_NO_PAGES = frozenset({"/api/schema", "/metrics"})
_STARTS = ("/", "/admin/", "/api/docs", "/api/models", "/api/predict", "/nothing", "/problems/not-found")


class Visits:
    """A walk along all links of the pages, with whatever the browser complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url
        self.seen: dict[str, int] = {}
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.add_init_script(_LISTENER)

    def walk(self, *starts: str) -> None:
        pending = [urljoin(self._url, start) for start in starts]
        while pending:
            url = pending.pop(0)
            kind = self._kind(url)
            if self.seen.get(kind, 0) < _OF_EACH_KIND and url.startswith(self._url) and kind not in _NO_PAGES:
                self.seen[kind] = self.seen.get(kind, 0) + 1
                pending += self._links(url)

    def _links(self, url: str) -> list[str]:
        answer = self._page.goto(url, wait_until="load")
        assert answer
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return []
        links: list[str] = self._page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        return [urldefrag(link)[0] for link in links]

    def _kind(self, url: str) -> str:
        return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "N", urlsplit(url).path)

    def _hear(self, message: ConsoleMessage) -> None:
        # Pages about errors are pages, too.
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            self.complaints.append(f"{self._page.url}: {message.text}")


@pytest.mark.django_db(transaction=True)
def test_it_lets_no_page_need_more(
    live_server: LiveServer, penguins: ModelVersion, penguin: dict[str, Any], client: Client, owner: User,
    browser: Browser,
) -> None:  # fmt: skip
    """Chromium visits every page that links lead to, as an administrator and as a stranger."""
    submit(penguins, penguin, outputs=["predict", "predict_proba"], user=AnonymousUser(), wait_seconds=20)
    client.force_login(owner)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    with browsing(browser) as page:
        visits = Visits(page, live_server.url)
        visits.walk("/login", "/models/penguins")
        visits.seen.clear()
        page.goto(f"{live_server.url}/models/penguins?example=1")
        page.get_by_role("button", name="Tell the species").click()
        page.wait_for_selector("#result .value")
        page.context.add_cookies([session])  # type: ignore[list-item]
        visits.walk(*_STARTS)
        page.goto(f"{live_server.url}/api/docs")
        page.wait_for_selector(".opblock")
        page.locator(".opblock-summary").first.click()
        page.wait_for_selector(".opblock-body")

    assert visits.complaints == []
    assert {"/", "/admin/", "/api/docs", UPLOAD_PAGE, "/api/models"} <= set(visits.seen)
    assert len(visits.seen) > 40


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
@pytest.mark.parametrize(
    "url", ["/", "/models/penguins", "/login", "/nothing", "/api/models", "/api/nothing", "/api/docs"]
)
def test_it_restricts_every_answer(penguins: ModelVersion, client: Client, url: str, accept: str) -> None:
    headers = client.get(url, headers={"Accept": accept}).headers

    is_page = headers["Content-Type"].startswith("text/html")
    policy = headers["Content-Security-Policy"]
    assert ("default-src 'self'" if is_page else "default-src 'none'") in policy
    assert "unsafe" not in policy
    for name in ("base-uri 'none'", "frame-ancestors 'none'"):
        assert name in policy
    assert "no-store" in headers["Cache-Control"]
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_it_lets_the_upload_page_send_to_the_bucket(
    artifacts_in_s3: str, aws: Any, client: Client, owner: User
) -> None:
    client.force_login(owner)

    policies = [client.get(url).headers["Content-Security-Policy"] for url in (UPLOAD_PAGE, "/admin/")]

    assert f"connect-src 'self' {aws.endpoint_url}" in policies[0]
    assert "connect-src" not in policies[1]


@pytest.mark.django_db
def test_it_lets_the_upload_page_send_to_this_server_only(client: Client, owner: User) -> None:
    client.force_login(owner)

    assert "connect-src" not in client.get(UPLOAD_PAGE).headers["Content-Security-Policy"]


_COOKIES = """
from django.conf import settings
print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_PATH, settings.CSRF_COOKIE_PATH,
      settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY,
      settings.SESSION_COOKIE_SAMESITE, settings.SESSION_COOKIE_AGE // 3600)
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "sessionid csrftoken / / False False True Lax 336"),
        ({"DEBUG": "0"}, "__Host-sessionid __Host-csrftoken / / True True True Lax 12"),
        (
            {"DEBUG": "0", "MLSERVE_BASE_PATH": "/web"},
            "__Secure-sessionid __Secure-csrftoken /web /web True True True Lax 12",
        ),
    ],
)
def test_it_names_cookies_so_that_browsers_protect_them(variables: dict[str, str], expected: str) -> None:
    environment = {**os.environ, "ALLOWED_HOSTS": "example.org", "DJANGO_SETTINGS_MODULE": "mlserve.settings"}
    command = [sys.executable, "-c", _COOKIES]
    done = subprocess.run(
        command, env={**environment, **variables}, cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == expected.split()


@pytest.mark.django_db
def test_it_keeps_no_result_in_a_cache(penguins: ModelVersion, penguin: dict[str, Any], api: APIClient) -> None:
    answer = api.post("/api/predict", penguin, headers={"Prefer": "wait=20"})

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
