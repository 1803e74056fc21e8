"""The cast and the things of the suite: real pipelines, published through the real flow."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.storage import storages
from django.db import connection
from django.test import TransactionTestCase
from rest_framework.test import APIClient

from registry.inspection import slots
from registry.inspection.version_request import VersionRequest, version_request
from registry.management.commands import upload_model
from registry.models import ModelVersion
from registry.publishing.publish import Published, publish
from registry.uploads.worker import inspect_next
from tests import pipelines
from tests.flushing import Flush
from tests.inspections import Inspections
from tests.shared import folder_of_the_run, one_at_a_time
from tests.stand_ins import aws as aws_stand_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "penguins"


@pytest.fixture(autouse=True)
def _own_files(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Artifacts and caches of a test lie in its own folder, and nothing that a process remembers outlives it."""
    from mlserve.observability import repeated_lines
    from mlserve.operations import health
    from predictions.models import payloads
    from predictions.runtime import incidents, loaded_models
    from predictions.serving import in_place
    from predictions.worker import draining
    from registry.publishing import lookup

    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {
            "BACKEND": "registry.storage.disk.AtomicFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "artifacts")},
        },
    }
    settings.MLSERVE_CACHE_DIR = tmp_path / "cache"
    monkeypatch.setattr(health, "_recent", health.RecentAnswer(health._check_all))
    repeated_lines.forget_all()
    loaded_models.forget_all()
    incidents.forget_all()
    payloads.unreachable.forget_all()
    draining.paces.forget_all()
    in_place.paces.forget_all()
    lookup.forget_all()  # a test's first version has the same id as the last test's
    cache.clear()
    yield
    storages._storages.clear() if hasattr(storages, "_storages") else None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's, whose end must not meet a connection: a thread of a test's server may outlive its test, because
    a client keeps it for a next request.
    """
    with django_db_blocker.unblock():
        flush = Flush()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush)
        yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            _end_other_sessions()


def _end_other_sessions() -> None:
    """PostgreSQL drops no database that is in use."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")
        for _ in range(100):
            cursor.execute(f"SELECT count(*) {others}")
            if cursor.fetchone()[0] == 0:
                return
            time.sleep(0.05)


@pytest.fixture(scope="session")
def penguins_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's pipeline, trained once for all processes of the run."""
    artifact = folder_of_the_run(tmp_path_factory) / "penguins" / "model.joblib"
    artifact.parent.mkdir(exist_ok=True)
    with one_at_a_time(artifact):
        return artifact if artifact.exists() else pipelines.train_penguins(artifact)


@pytest.fixture
def penguins_request() -> VersionRequest:
    """The example as `penguins` 1.0, with all that describes it."""
    names = {"schema": "validation.py", "sample": "sample.csv", "expected": "expected.csv", "form": "form.json"}
    files = {kind: EXAMPLE / name for kind, name in names.items()}
    return version_request({"model": "penguins", "tag": "1.0"}, files)


@pytest.fixture(scope="session")
def inspect_once(tmp_path_factory: pytest.TempPathFactory) -> Inspections:
    return Inspections(folder_of_the_run(tmp_path_factory) / "inspections")


@pytest.fixture
def real_inspections() -> None:
    """Asked for by tests of what an inspection does to this process: each publication starts one."""


@pytest.fixture(autouse=True)
def _publishing_inspects_once(
    request: pytest.FixtureRequest, inspect_once: Inspections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a view, a command or a worker of this process publishes."""
    if "real_inspections" not in request.fixturenames:
        for function in (publish, inspect_next):
            defaults = {**(function.__kwdefaults__ or {}), "inspect": inspect_once}
            monkeypatch.setattr(function, "__kwdefaults__", defaults)
        for module in (slots, upload_model):
            monkeypatch.setattr(module, "inspect", inspect_once)


@pytest.fixture
def penguins(publish_penguins: Callable[..., Published]) -> ModelVersion:
    """The live version 1.0 of the public model `penguins`."""
    version: ModelVersion = publish_penguins(is_public=True, promote=True, by="owner").version
    return version


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The Chromium of a file. Not of the whole run: it keeps an event loop in this thread meanwhile, which Django takes
    for asynchronous code of ours.
    """
    from tests.browser import running_browser

    with pytest.MonkeyPatch.context() as patch, running_browser() as chromium:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield chromium


@pytest.fixture
def penguin() -> dict[str, Any]:
    """One valid raw record."""
    return {
        "island": "Biscoe",
        "bill_length_mm": 46.1,
        "bill_depth_mm": 13.2,
        "flipper_length_mm": 211,
        "body_mass_g": 4500,
        "sex": "female",
        "year": 2007,
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """`save(pipeline)` writes an artifact and gives its path."""

    def to_file(pipeline: Any, name: str = "model.joblib", **options: Any) -> Path:
        return pipelines.save(pipeline, tmp_path / name, **options)

    return to_file


@pytest.fixture
def owner(db: None) -> User:
    """Uploads and promotes."""
    return User.objects.create_superuser("owner", password="owner-password")


@pytest.fixture
def reader(db: None) -> User:
    """Has an account and no permissions."""
    return User.objects.create_user("reader", password="reader-password")


@pytest.fixture
def api() -> APIClient:
    """A client of the API, a stranger until it signs in."""
    return APIClient()


@pytest.fixture(scope="session")
def _aws_server() -> Iterator[aws_stand_in.StandIn]:
    with aws_stand_in.running() as stand_in:
        yield stand_in


@pytest.fixture
def aws(_aws_server: aws_stand_in.StandIn, monkeypatch: pytest.MonkeyPatch) -> aws_stand_in.StandIn:
    """The stand-in for AWS, which every client of this test reaches, also in its child processes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _aws_server.endpoint_url)
    return _aws_server


@pytest.fixture
def artifacts_in_s3(settings: Any, aws: aws_stand_in.StandIn) -> str:
    """Artifacts of this test go to S3, into a bucket of its own; the name of the bucket."""
    bucket = aws.new_bucket()
    options = {
        "bucket_name": bucket,
        "default_acl": None,
        "file_overwrite": True,
        "object_parameters": {"ServerSideEncryption": "AES256"},
    }
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {"BACKEND": "registry.storage.s3.S3ArtifactStorage", "OPTIONS": options},
    }
    return bucket


@pytest.fixture
def publish_penguins(
    db: None, penguins_artifact: Path, penguins_request: VersionRequest, inspect_once: Inspections
) -> Callable[..., Published]:
    """`publish_penguins("2.0")` registers the example under another tag."""

    def under(tag: str = "1.0", *, artifact: Path | None = None, by: str = "", **more: Any) -> Published:
        request = dataclasses.replace(penguins_request, tag=tag, **more)
        return publish(artifact or penguins_artifact, request, by=by, inspect=inspect_once)

    return under
