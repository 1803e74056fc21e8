"""The system's Chromium, as tests of pages drive it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, Response, sync_playwright

from tests.requirements import require_program

# Chromium's own sandbox needs what containers lack; it only ever sees the pages under test.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Ends the calling test where there is no Chromium. Keeps an event loop in this thread for as long as it runs."""
    chromium = require_program(
        "chromium", "apt-get install chromium", also_called=("chromium-browser", "google-chrome")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def browsing(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page without cookies or storage of another one; fails when a script or a resource of ours did."""
    complaints: list[str] = []
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: complaints.extend(_missing(response)))
        yield page
    assert complaints == []


def _missing(response: Response) -> list[str]:
    return [response.url] if "/static/" in response.url and response.status >= 400 else []
