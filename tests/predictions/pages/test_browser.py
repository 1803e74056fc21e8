"""The pages in a real browser, with and without JavaScript."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from predictions import tasks
from predictions.models import Prediction
from registry.models import ModelVersion
from tests.browser import browsing
from tests.predictions.conftest import Submit
from tests.predictions.draining_worker import draining_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("with_script", [True, False])
def test_it_predicts(browser: Browser, live_server: LiveServer, penguins: ModelVersion, with_script: bool) -> None:
    with draining_worker(), browsing(browser, java_script_enabled=with_script) as page:
        page.goto(f"{live_server.url}/models/penguins")
        page.get_by_role("link", name="Fill in an example").click()
        page.get_by_label("Island").select_option("Biscoe")
        page.get_by_role("button", name="Tell the species").click()

        expect(page.locator("#result .value")).to_have_text("an Adélie penguin")
        expect(page.get_by_label("Island")).to_have_value("Biscoe")
        expect(page.get_by_role("button", name="Tell the species")).to_be_enabled()


def test_it_goes_back_and_reloads_without_predicting_again(
    browser: Browser, live_server: LiveServer, penguins: ModelVersion
) -> None:
    with draining_worker(), browsing(browser) as page:
        page.goto(f"{live_server.url}/models/penguins?example=1")
        page.get_by_role("button", name="Tell the species").click()
        answer = page.locator("#result .value")
        expect(answer).to_have_text("an Adélie penguin")
        address = page.url

        page.reload()
        expect(answer).to_have_text("an Adélie penguin")
        page.go_back()
        expect(page.get_by_role("button", name="Tell the species")).to_be_enabled()
        expect(answer).to_have_count(0)
        page.go_forward()
        expect(answer).to_have_text("an Adélie penguin")

        assert page.url == address
    assert Prediction.objects.count() == 1


@pytest.mark.parametrize("with_script", [True, False])
def test_it_shows_the_request_in_three_languages(
    browser: Browser, live_server: LiveServer, penguins: ModelVersion, with_script: bool
) -> None:
    with browsing(browser, java_script_enabled=with_script) as page:
        page.goto(f"{live_server.url}/models/penguins")
        page.get_by_text("Use it from code").click()
        code = page.locator(".tabs pre")

        expect(code.filter(visible=True)).to_contain_text("curl ")
        page.get_by_text("JavaScript", exact=True).click()
        expect(code.filter(visible=True)).to_contain_text("await fetch(")
        page.keyboard.press("ArrowLeft")
        expect(code.filter(visible=True)).to_contain_text("import requests")
        expect(code.filter(visible=True)).to_have_count(1)


def test_it_shows_where_the_slider_stands(browser: Browser, live_server: LiveServer, penguins: ModelVersion) -> None:
    with browsing(browser) as page:
        page.goto(f"{live_server.url}/models/penguins")
        slider, output = page.get_by_role("slider", name="Flipper length"), page.locator(".slider output")
        unknown = page.get_by_label("not known: Flipper length")

        slider.press("ArrowRight")
        expect(output).to_have_text("201")
        unknown.check()
        expect(output).to_have_text("–")
        slider.press("ArrowRight")
        expect(output).to_have_text("202")
        expect(unknown).not_to_be_checked()


def test_it_lets_the_server_judge(browser: Browser, live_server: LiveServer, penguins: ModelVersion) -> None:
    with browsing(browser) as page:
        page.goto(f"{live_server.url}/models/penguins?example=1")
        page.get_by_label("Bill length").fill("300")
        page.get_by_label("Year").fill("")
        page.get_by_role("button", name="Tell the species").click()

        alert = page.get_by_role("alert")
        expect(alert.get_by_role("link")).to_have_text(["Year is required.", "Bill length (mm) must be at most 80."])
        alert.get_by_role("link", name="Bill length").click()
        expect(page.get_by_label("Bill length")).to_be_focused()


def test_it_stops_what_would_be_posted_as_empty(
    browser: Browser, live_server: LiveServer, penguins: ModelVersion
) -> None:
    with browsing(browser) as page:
        page.goto(f"{live_server.url}/models/penguins?example=1")
        page.get_by_label("Bill length").fill("")
        page.get_by_label("Bill length").press_sequentially("1e")
        page.get_by_role("button", name="Tell the species").click()

        expect(page.get_by_label("Bill length")).to_be_focused()
        expect(page.get_by_role("alert")).to_have_count(0)
        assert page.url.endswith("?example=1")


@pytest.mark.parametrize("with_script", [True, False])
def test_it_shows_the_result_once_it_is_there(
    browser: Browser, live_server: LiveServer, submit_rows: Submit, with_script: bool
) -> None:
    prediction = submit_rows()

    with browsing(browser, java_script_enabled=with_script) as page:
        page.goto(f"{live_server.url}/predictions/{prediction.pk}")
        expect(page.get_by_role("heading", name="Waiting for a worker…")).to_be_visible()
        with draining_worker():
            expect(page.locator(".value")).to_have_text("a gentoo penguin")


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_it_never_scrolls_sideways(
    browser: Browser, live_server: LiveServer, penguin: dict[str, Any], submit_rows: Submit, width: int
) -> None:
    one, many = submit_rows(), submit_rows([penguin] * 3)
    tasks.drain()
    addresses = ["/", "/models/penguins", f"/predictions/{one.pk}", f"/predictions/{many.pk}", "/nothing"]

    with browsing(browser, viewport={"width": width, "height": 800}) as page:
        for address in addresses:
            page.goto(live_server.url + address)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
