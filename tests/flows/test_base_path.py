"""Below a path of a host, behind a real nginx that takes the path away, and behind one that passes it on."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.service import Service, free_port
from tests.requirements import require_program
from tests.waiting import wait_until

_CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        location {location} {{ proxy_pass http://127.0.0.1:{target}{path}; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def below_web(tmp_path_factory: pytest.TempPathFactory, prepared: Service) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("below"), like=prepared, variables={"MLSERVE_BASE_PATH": "/web"})
    service.launch()
    service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")
    yield service
    service.stop()


@pytest.fixture(params=[("/web/", "/"), ("/web/", ""), ("/web", "/")], ids=["strips", "keeps", "leaves-two-slashes"])
def through(request: Any, tmp_path: Path, below_web: Service) -> Iterator[httpx.Client]:
    """A client of nginx, of each style."""
    nginx = require_program("nginx", "apt-get install nginx-light")
    port, configuration = free_port(), tmp_path / "nginx.conf"
    tmp_path.chmod(0o755)
    location, path = request.param
    configuration.write_text(
        _CONFIGURATION.format(folder=tmp_path, port=port, target=below_web.port, location=location, path=path)
    )
    with (
        subprocess.Popen([nginx, "-p", tmp_path, "-c", configuration], stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):

        def answers() -> bool:
            try:
                return client.get("/web/healthz").status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, lambda: f"nginx: {(tmp_path / 'error.log').read_text()}", seconds=30)
            yield client
        finally:
            process.terminate()


def test_it_predicts_and_names_an_address_that_can_be_followed(through: httpx.Client, penguin: dict[str, Any]) -> None:
    answer = through.post("/web/api/predict", json=penguin, headers={"Prefer": "wait=20"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["url"].startswith(f"{through.base_url}/web/api/predict/".replace("//web", "/web"))
    assert through.get(answer.json()["url"]).json()["result"] == answer.json()["result"]


@pytest.mark.parametrize("page", ["/web/", "/web/models/penguins", "/web/login", "/web/api/docs"])
def test_it_shows_pages_whose_links_and_files_are_there(through: httpx.Client, page: str) -> None:
    shown = through.get(page)
    linked = set(re.findall(r'(?:href|src|action)="(/[^"#?]*)', shown.text))

    assert shown.status_code == 200
    assert linked
    assert [link for link in linked if not link.startswith("/web/")] == []
    assert {through.get(link).status_code for link in linked} <= {200, 302, 405}


def test_it_lets_a_person_sign_in(through: httpx.Client, below_web: Service) -> None:
    password = re.findall(r"The password is (\S+)", below_web.manage("make_admin", "admin"))[0]
    first = through.get("/web/admin/")
    assert (first.status_code, first.headers["Location"]) == (302, "/web/admin/login/?next=/web/admin/")

    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', through.get(first.headers["Location"]).text)[0]
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    signed_in = through.post(first.headers["Location"], data=form)

    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, "/web/admin/")
    assert "Log out" in through.get("/web/admin/").text


def test_it_has_nothing_elsewhere(through: httpx.Client) -> None:
    assert through.get("/web/nothing").status_code == 404
    assert through.get("/web/api/nothing").json()["instance"] == "/web/api/nothing"
