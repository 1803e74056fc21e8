"""The system's Chromium, as tests of pages drive it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, Response, sync_playwright

from tests.requirements import require_program

# Chromium's own sandbox needs what containers lack; it only ever sees the pages under test.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def require_chromium() -> str:
    """The path of the browser; ends the calling test where there is none."""
    return require_program("chromium", "apt-get install chromium", also_called=("chromium-browser", "google-chrome"))


@contextmanager
def browsing(executable: str, **options: Any) -> Iterator[Page]:
    """A page of a fresh browser; fails when a script or a resource of ours did."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: complaints.extend(_missing(response)))
        yield page
        browser.close()
    assert complaints == []


def _missing(response: Response) -> list[str]:
    return [response.url] if "/static/" in response.url and response.status >= 400 else []
