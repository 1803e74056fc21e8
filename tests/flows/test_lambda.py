"""mlserve on the stand-in for AWS, from `make deploy` to a result: a real package, real processes, real PostgreSQL.

What these tests cannot show: whether AWS's permissions suffice, its networks, its other limits and its speed.
"""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import lxml.html
import pandas as pd
import pytest

from tests.flows.on_lambda import QUEUE, WORKER, OnLambda
from tests.flows.sleeping import save_sleeper
from tests.pipelines import EXAMPLE


@pytest.fixture(scope="module")
def on_lambda(
    new_on_lambda: Callable[[], OnLambda], package: Path, penguins_artifact: Path, tmp_path_factory: Any
) -> Iterator[OnLambda]:
    """Deployed by `make deploy`; `penguins` is uploaded through API Gateway, `sleeper` beside it."""
    service, sleeper = new_on_lambda(), save_sleeper(tmp_path_factory.mktemp("sleeper"))
    service.environment |= sleeper.variables
    try:
        service.deploy(_with_module(package, sleeper.module))
        service.make_admin("ada")
        schema = f"{EXAMPLE / 'validation.py'}:RawData"
        options = ["--model", "penguins", "--tag", "1.0", "--schema", schema, "--public", "--promote"]
        _upload(service, penguins_artifact, *options, "--to", service.url)
        _upload(service, sleeper.artifact, *sleeper.upload_options)
        yield service
    finally:
        service.close()


def _with_module(package: Path, module: Path) -> Path:
    """As it is built where that module is installed."""
    own = Path(shutil.copyfile(package, module.with_name("package.zip")))
    with zipfile.ZipFile(own, "a") as added:
        added.write(module, module.name)
    return own


def _upload(service: OnLambda, artifact: Path, *options: str) -> None:
    done = service.manage("upload_model", str(artifact), *options, MLSERVE_TOKEN=service.token)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{service.logs()}"


@pytest.fixture
def quickly_seen_again(on_lambda: OnLambda) -> Iterator[None]:
    """Failed messages come again after a second instead of half an hour."""
    sqs, url = on_lambda.region.client("sqs"), on_lambda.queue_url()
    names = ["VisibilityTimeout", "Policy", "RedrivePolicy"]  # moto forgets what is not set again
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={**before, "VisibilityTimeout": "1"})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


def test_it_predicts_by_way_of_the_queue(on_lambda: OnLambda, penguin: dict[str, Any], penguins_artifact: Path) -> None:
    rows = [penguin, {**penguin, "bill_length_mm": 38.0, "flipper_length_mm": 180}]

    accepted = on_lambda.predict("penguins", rows)

    assert accepted.status_code == 202, accepted.text
    ended = on_lambda.ended(accepted.json()["prediction_id"])
    expected = joblib.load(penguins_artifact).predict(pd.DataFrame(rows)).tolist()
    assert (ended["status"], ended["result"]["predictions"]) == ("succeeded", expected)
    on_lambda.wait_for(lambda: on_lambda.waiting_messages() == 0, "an empty queue")


def test_it_answers_who_waits(on_lambda: OnLambda, penguin: dict[str, Any]) -> None:
    answered = on_lambda.predict("penguins", penguin, Prefer="wait=25")

    assert answered.status_code == 200, answered.text
    assert answered.headers["Preference-Applied"] == "wait=25"
    assert answered.json()["status"] == "succeeded"


def test_it_inspected_the_upload_in_the_worker(on_lambda: OnLambda, penguins_artifact: Path) -> None:
    bucket = on_lambda.environment["MLSERVE_BUCKET"]
    keys = [each["Key"] for each in on_lambda.region.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]

    name, _, password = on_lambda.token.partition(":")

    found = httpx.get(f"{on_lambda.url}/api/models/penguins/versions/1.0", auth=(name, password), timeout=60).json()

    assert (found["size_bytes"], found["uploaded_by"]) == (penguins_artifact.stat().st_size, "ada")
    assert any(found["sha256"] in key for key in keys)
    assert not [key for key in keys if key.startswith("uploads/")]


def test_it_shows_pages_below_the_stage(on_lambda: OnLambda) -> None:
    home = on_lambda.home
    with on_lambda.browser() as browser:
        page = lxml.html.fromstring(browser.get(home.join("models/penguins")).text)
        addresses = [*page.xpath("//@href"), *page.xpath("//@src"), *page.xpath("//form/@action")]
        style = browser.get(home.join(page.xpath("//link[@rel='stylesheet']/@href")[0]))

    assert [each for each in addresses if not each.startswith(("/web/", "#", "https://", "data:"))] == []
    assert (style.status_code, style.headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert style.headers["Content-Encoding"] == "gzip"
    assert "immutable" in style.headers["Cache-Control"]


def test_it_predicts_by_a_form(on_lambda: OnLambda, penguin: dict[str, Any]) -> None:
    address = on_lambda.home.join("models/penguins")
    with on_lambda.browser() as browser:
        form = lxml.html.fromstring(browser.get(address).text).xpath("//form[.//*[@name='island']]")[0]
        fields = {**dict(form.form_values()), **{name: str(value) for name, value in penguin.items()}}
        answered = browser.post(address.join(form.action or ""), data=fields)

    assert answered.status_code == 200, answered.text
    assert "Gentoo" in answered.text


def test_it_logs_in(on_lambda: OnLambda) -> None:
    name, _, password = on_lambda.token.partition(":")
    with on_lambda.browser() as browser:
        shown = browser.get(on_lambda.home.join("admin/"))
        form = lxml.html.fromstring(shown.text).forms[0]
        fields = {**dict(form.form_values()), "username": name, "password": password}
        inside = browser.post(shown.url.join(form.action or ""), data=fields)

    assert (inside.status_code, inside.url) == (200, on_lambda.home.join("admin/")), inside.text
    assert "/web/admin/registry/modelversion/" in inside.text


def test_it_gives_addresses_that_work(on_lambda: OnLambda, penguin: dict[str, Any]) -> None:
    home = on_lambda.home
    with on_lambda.browser() as browser:
        accepted = browser.post(home.join("api/predict"), json=penguin)
        found = [browser.get(home.join(each)) for each in (accepted.json()["url"], accepted.headers["Location"])]
        kind = browser.get(browser.get(home.join("api/models/nobody")).json()["type"])

    assert [each.json()["prediction_id"] for each in found] == [accepted.json()["prediction_id"]] * 2
    assert (kind.status_code, kind.url) == (200, home.join("problems/not-found"))


def test_it_answers_programs_as_programs_where_nothing_is(on_lambda: OnLambda) -> None:
    unknown = httpx.get(f"{on_lambda.url}/api/nothing", timeout=60)

    assert (unknown.status_code, unknown.headers["Content-Type"]) == (404, "application/problem+json")
    assert "/web/api/docs" in unknown.json()["detail"]


def test_it_turns_the_pages_of_a_list(on_lambda: OnLambda, penguin: dict[str, Any]) -> None:
    home, account = on_lambda.home, httpx.BasicAuth(*on_lambda.token.split(":", 1))
    with on_lambda.browser() as browser:
        made = [browser.post(home.join("api/predict"), json=penguin, auth=account).json() for _ in range(2)]
        newest = browser.get(home.join("api/predict?page_size=1"), auth=account).json()
        older = browser.get(newest["next"], auth=account).json()

    listed = [each["prediction_id"] for page in (newest, older) for each in page["results"]]
    assert listed == [each["prediction_id"] for each in reversed(made)]


def test_it_describes_its_api_below_the_stage(on_lambda: OnLambda) -> None:
    home = on_lambda.home
    with on_lambda.browser() as browser:
        described = browser.get(home.join("api/schema"), headers={"Accept": "application/json"}).json()
        docs = browser.get(home.join("api/docs"))
        script = browser.get(home.join("api/docs?script="))

    assert [server["url"] for server in described["servers"]] == ["/web"]
    assert "/api/models" in described["paths"]
    assert 'src="/web/api/docs?script="' in docs.text
    assert 'url: "schema"' in script.text  # beside /web/api/docs


def test_it_puts_a_poisoned_message_aside(
    on_lambda: OnLambda, quickly_seen_again: None, penguin: dict[str, Any]
) -> None:
    sqs = on_lambda.region.client("sqs")

    sqs.send_message(QueueUrl=on_lambda.queue_url(), MessageBody="not signed")
    accepted = on_lambda.predict("penguins", penguin)

    assert on_lambda.ended(accepted.json()["prediction_id"])["status"] == "succeeded"
    on_lambda.wait_for(lambda: on_lambda.waiting_messages(f"{QUEUE}-dead") == 1, "the dead letter")
    on_lambda.wait_for(lambda: on_lambda.waiting_messages() == 0, "an empty queue")
    sqs.purge_queue(QueueUrl=on_lambda.queue_url(f"{QUEUE}-dead"))


def test_it_predicts_again_what_a_killed_worker_held(on_lambda: OnLambda) -> None:
    prediction_id = on_lambda.predict("sleeper", {"seconds": 2}).json()["prediction_id"]
    on_lambda.wait_for(lambda: on_lambda.state(prediction_id) == ("running", 1), "a worker")

    assert on_lambda.region.functions.kill_busy(WORKER) >= 1
    on_lambda.let_leases_run_out()
    assert on_lambda.region.tick() == 1

    ended = on_lambda.ended(prediction_id)
    assert (ended["status"], ended["result"]["predictions"]) == ("succeeded", [1.5])
    assert on_lambda.state(prediction_id) == ("succeeded", 2)
    # The message of the delivery that was killed comes again in half an hour, which no other test wants to wait for.
    on_lambda.region.client("sqs").purge_queue(QueueUrl=on_lambda.queue_url())


def test_it_gives_up_on_a_model_that_hangs(on_lambda: OnLambda, penguin: dict[str, Any]) -> None:
    hanging = on_lambda.predict("sleeper", {"seconds": 1000}).json()["prediction_id"]
    other = on_lambda.predict("penguins", penguin).json()["prediction_id"]

    ended = on_lambda.ended(hanging, seconds=90)

    assert (ended["status"], ended["error"]["title"]) == ("failed", "The prediction was given up")
    assert on_lambda.ended(other)["status"] == "succeeded"


def test_it_loses_nothing_while_the_database_is_gone(
    on_lambda: OnLambda, quickly_seen_again: None, penguin: dict[str, Any]
) -> None:
    with on_lambda.deliveries_paused():
        accepted = on_lambda.predict("penguins", penguin)
        on_lambda.database.set("refuse")
    try:
        refused = on_lambda.predict("penguins", penguin)
        on_lambda.wait_for(lambda: "Task 'attend' failed" in on_lambda.logs(), "a failed delivery")
    finally:
        on_lambda.database.set("pass")

    assert (refused.status_code, refused.json()["title"]) == (503, "A part of the service is unavailable")
    assert on_lambda.ended(accepted.json()["prediction_id"])["status"] == "succeeded"
    on_lambda.wait_for(lambda: on_lambda.waiting_messages() == 0, "an empty queue")


@pytest.mark.parametrize(
    ("size_bytes", "kind"), [(int(4.2 * 2**20), "application/problem+json"), (5 * 2**20, "application/json")]
)
def test_it_refuses_large_bodies_by_itself_before_lambda_does(on_lambda: OnLambda, size_bytes: int, kind: str) -> None:
    headers = {"Content-Type": "application/json"}
    answered = httpx.post(f"{on_lambda.url}/api/predict", content=b" " * size_bytes, headers=headers, timeout=60)

    assert (answered.status_code, answered.headers["Content-Type"]) == (413, kind)


def test_it_is_well_by_its_own_judgement(on_lambda: OnLambda) -> None:
    def is_ready() -> bool:
        """Each minute the worker asks one of the models that were inspected by another Python than Lambda's."""
        on_lambda.region.tick()
        return httpx.get(f"{on_lambda.url}/readyz", timeout=60).status_code == 200

    on_lambda.wait_for(is_ready, "the service to be ready", seconds=120)

    done = on_lambda.manage("deploy_check", "--json", "--url", on_lambda.url)

    assert done.returncode == 0, done.stdout
