"""An ordinary user in a real browser: from “Sign in” to a token, and a prediction with it."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from mlserve.models import ApiToken
from registry.models import Model, ModelVersion
from tests.browser import browsing
from tests.predictions.draining_worker import draining_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("width", [360, 1200])
def test_it_leads_from_signing_in_to_a_prediction(
    browser: Browser, live_server: LiveServer, reader: User, penguins: ModelVersion, penguin: dict[str, Any], width: int
) -> None:
    Model.objects.update(is_public=False)
    with draining_worker(), browsing(browser, viewport={"width": width, "height": 800}) as page:
        page.goto(live_server.url)
        page.get_by_role("link", name="Sign in").first.click()
        page.get_by_label("Username").fill("reader")
        page.get_by_label("Password").fill("reader-password")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Your account").click()
        require_no_sideways_scrolling(page, width, "account")
        page.get_by_label("Name").fill("nightly-scoring")
        page.get_by_role("button", name="Make the token").click()
        secret = page.locator("#secret").inner_text()
        require_no_sideways_scrolling(page, width, "token")

        answer = httpx.post(
            f"{live_server.url}/api/models/penguins/predict",
            json=penguin,
            headers={"Authorization": f"Bearer {secret}", "Prefer": "wait=20"},
            timeout=30,
        )
        page.get_by_role("link", name="Back to your account").click()
        expect(page.get_by_text("succeeded")).to_be_visible()
        require_no_sideways_scrolling(page, width, "account-after")
        page.get_by_text("Revoke…").click()
        page.get_by_role("button", name="Revoke nightly-scoring").click()
        expect(page.get_by_role("status")).to_contain_text("is revoked")
        page.get_by_role("link", name="Change your password").click()
        require_no_sideways_scrolling(page, width, "password")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("link", name="Sign in").first).to_be_visible()

    assert answer.status_code == 200
    assert answer.json()["result"]["predictions"] == ["Gentoo"]
    assert ApiToken.objects.get().state() == "revoked"


def require_no_sideways_scrolling(page: Page, width: int, name: str) -> None:
    """Pictures to look at are written where SCREENSHOTS says."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)
