"""The admin's upload page in a real browser: artifacts in parts, what goes wrong on the way, and without a script."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from registry.models import ModelVersion
from registry.models.direct_upload import DirectUpload, Status
from registry.publishing.publish import Published
from tests.browser import browsing
from tests.conftest import EXAMPLE
from tests.registry.inspecting import inspecting

pytestmark = pytest.mark.django_db(transaction=True)

UPLOAD = "/admin/registry/modelversion/add/"
PARTS = "**/api/uploads/*/parts/*"
PATIENCE_MS = 60_000


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, client: Client, owner: User) -> Iterator[Page]:
    """A page of the owner's browser."""
    with browsing(browser) as page:
        sign_in(page, live_server, client, owner)
        page.set_default_timeout(PATIENCE_MS)
        yield page


@pytest.fixture
def worker() -> Iterator[None]:
    with inspecting():
        yield


@pytest.fixture
def bad_artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"hello, world")
    return path


def sign_in(page: Page, live_server: LiveServer, client: Client, user: User) -> None:
    client.force_login(user)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )


def fill(page: Page, live_server: LiveServer, artifact: Path, *, tag: str = "1.0") -> None:
    page.goto(f"{live_server.url}{UPLOAD}?model=penguins")
    page.get_by_label("Tag:").fill(tag)
    page.get_by_label("Artifact:").set_input_files(artifact)
    page.get_by_label("Schema:").set_input_files(EXAMPLE / "validation.py")
    page.get_by_label("Sample:").set_input_files(EXAMPLE / "sample.csv")
    page.get_by_label("Expected answers:", exact=True).set_input_files(EXAMPLE / "expected.csv")


def submit(page: Page) -> None:
    page.get_by_role("button", name="Inspect and register").click()


def expect_registered(page: Page) -> None:
    expect(page.get_by_text("registered, 12 of 12 checks passed.")).to_be_visible(timeout=PATIENCE_MS)


def expect_problem(page: Page, text: str) -> None:
    expect(page.get_by_role("alert")).to_contain_text(text, timeout=PATIENCE_MS)


def test_it_sends_the_artifact_past_the_form(
    place: str, worker: None, page: Page, live_server: LiveServer, penguins_artifact: Path
) -> None:
    fill(page, live_server, penguins_artifact)
    page.get_by_label("Title:").fill("Penguins")
    page.get_by_label("Who may use the model:").select_option("true")
    page.get_by_label("Promote at once").check()
    submit(page)

    expect_registered(page)
    version = ModelVersion.objects.get()
    assert page.url.endswith(f"/admin/registry/modelversion/{version.pk}/change/")
    assert version == DirectUpload.objects.get().version
    assert (version.is_live, version.uploaded_by, version.model.title) == (True, "owner", "Penguins")
    assert version.model.is_public
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('upload'))") == []


def test_it_sends_the_name_of_the_column_with_the_answers(
    worker: None, page: Page, live_server: LiveServer, penguins_artifact: Path, tmp_path: Path
) -> None:
    rows, answers = [(EXAMPLE / name).read_text().splitlines() for name in ("sample.csv", "expected.csv")]
    lines = [f"{row},{answer}" for row, answer in zip(rows, ["species", *answers[1:]], strict=True)]
    sample = tmp_path / "sample.csv"
    sample.write_text("\n".join(lines))
    fill(page, live_server, penguins_artifact)
    page.get_by_label("Expected answers:", exact=True).set_input_files([])
    page.get_by_label("Sample:").set_input_files(sample)
    page.get_by_label("Column of answers:").fill("species")
    submit(page)

    expect_registered(page)


def test_it_posts_the_form_without_a_script(
    browser: Browser, live_server: LiveServer, client: Client, owner: User, penguins_artifact: Path
) -> None:
    with browsing(browser, java_script_enabled=False) as page:
        sign_in(page, live_server, client, owner)
        fill(page, live_server, penguins_artifact)
        submit(page)
        expect_registered(page)

    assert ModelVersion.objects.count() == 1
    assert not DirectUpload.objects.exists()


def test_it_shows_the_report_of_a_refusal_and_keeps_the_form(
    worker: None, page: Page, live_server: LiveServer, bad_artifact: Path
) -> None:
    fill(page, live_server, bad_artifact)
    submit(page)

    expect_problem(page, "Refused, nothing was registered.")
    expect(page.get_by_role("alert")).to_be_focused()
    rows = page.get_by_role("region", name="Inspection report").locator("tbody tr")
    expect(rows).to_have_count(12)
    expect(rows.filter(has_text="✗ failed")).to_contain_text("The file unpickles")
    expect(rows.filter(has_text="✗ failed")).to_contain_text("Save the fitted pipeline with")
    expect(page.get_by_label("Tag:")).to_have_value("1.0")
    expect(page.get_by_role("button", name="Inspect and register")).to_be_enabled()
    assert page.get_by_label("Artifact:").evaluate("(field) => field.files[0].name") == "model.pkl"


def test_it_says_what_is_wrong_before_anything_is_sent(
    page: Page, live_server: LiveServer, bad_artifact: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.xlsx"
    rows.write_bytes(b"PK")
    fill(page, live_server, bad_artifact, tag="1/2")
    page.get_by_label("Sample:").set_input_files(rows)
    submit(page)

    expect(page.locator(".field-tag")).to_contain_text("'1/2' cannot be a tag.")
    expect(page.locator(".field-sample")).to_contain_text("must end in .csv, .tsv")
    expect(page.get_by_label("Tag:")).to_be_focused()
    assert not DirectUpload.objects.exists()


def test_it_sends_nothing_for_a_tag_that_holds_other_bytes(
    publish_penguins: Callable[..., Published], page: Page, live_server: LiveServer, bad_artifact: Path
) -> None:
    publish_penguins()
    fill(page, live_server, bad_artifact)
    submit(page)

    expect_problem(page, "penguins 1.0 is another artifact. A version never changes: upload under a new tag.")
    assert not DirectUpload.objects.exists()


def test_it_sends_nothing_that_is_too_large(
    settings: Any, page: Page, live_server: LiveServer, penguins_artifact: Path
) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = 1000
    fill(page, live_server, penguins_artifact)
    submit(page)

    expect_problem(page, "this server takes 1000 bytes at most")
    assert not DirectUpload.objects.exists()


def test_it_tries_a_part_again_when_the_connection_is_lost(
    worker: None, page: Page, live_server: LiveServer, penguins_artifact: Path
) -> None:
    lost: list[str] = []

    def lose_two(route: Route) -> None:
        lost.append(route.request.url)
        route.abort() if len(lost) <= 2 else route.continue_()

    page.route(PARTS, lose_two)
    fill(page, live_server, penguins_artifact)
    submit(page)

    expect_registered(page)
    assert len(lost) == 3


def test_it_goes_on_when_asked_to_try_again(
    worker: None, page: Page, live_server: LiveServer, penguins_artifact: Path
) -> None:
    page.route(PARTS, lambda route: route.fulfill(status=401))
    fill(page, live_server, penguins_artifact)
    submit(page)
    expect_problem(page, "You are signed out. Sign in in another tab, then try again.")
    page.unroute(PARTS)
    page.get_by_role("button", name="Try again").click()

    expect_registered(page)
    assert DirectUpload.objects.count() == 1


def test_it_goes_on_after_the_page_was_loaded_again(
    worker: None, page: Page, live_server: LiveServer, penguins_artifact: Path
) -> None:
    submitting = "**/api/models/penguins/versions"
    page.route(submitting, lambda route: route.fulfill(status=403))
    fill(page, live_server, penguins_artifact)
    submit(page)
    expect_problem(page, "The server answered 403.")

    page.unroute(submitting)
    page.route(PARTS, lambda route: route.abort())  # nothing is sent twice
    fill(page, live_server, penguins_artifact)
    submit(page)

    expect_registered(page)
    assert DirectUpload.objects.count() == 1


def test_it_abandons_what_is_canceled(page: Page, live_server: LiveServer, penguins_artifact: Path) -> None:
    page.route(PARTS, lambda route: None)  # for ever under way
    fill(page, live_server, penguins_artifact)
    submit(page)
    expect(page.get_by_role("status")).to_have_text("Sending the file")
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.get_by_role("button", name="Cancel the upload").click()

    expect_problem(page, "Canceled, nothing was registered.")
    expect(page.get_by_role("button", name="Inspect and register")).to_be_enabled()
    assert DirectUpload.objects.get().status == Status.CANCELED


def test_it_shows_each_check_as_it_is_done(page: Page, live_server: LiveServer, penguins_artifact: Path) -> None:
    fill(page, live_server, penguins_artifact)
    submit(page)
    expect(page.get_by_role("status")).to_have_text("Waiting for a worker")
    checks = [{"name": "names", "status": "passed"}, {"name": "loads", "status": "warning"}]
    progress = {"step": "inspecting", "checks": checks}
    DirectUpload.objects.update(progress=progress)

    expect(page.get_by_role("status")).to_have_text("A worker inspects the file")
    items = page.get_by_role("list", name="Checks of the inspection").get_by_role("listitem")
    expect(items.nth(0)).to_have_text("It refers only to trusted classes and functions ✓ passed")
    expect(items.nth(1)).to_have_text("The file unpickles ⚠ warning")
    assert page.get_by_role("progressbar").evaluate("(bar) => [bar.value, bar.max]") == [2, 12]
    expect(page.get_by_role("button", name="Cancel the upload")).to_have_count(0)
