"""Each named check: well on a healthy deployment, and what it says about a broken one."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployment import checks
from deployment.checking import Check, run
from deployment.checks import account, environment, functions, inside, models, package, queue
from deployment.findings import Finding, NotYet, Status
from tests.deployment.told import ENVIRONMENT, ToldEvidence


def break_function(stage: str, **changes: Any) -> Callable[[ToldEvidence], None]:
    return lambda evidence: evidence.functions[stage].update(changes)


def break_variable(stage: str, name: str, value: str) -> Callable[[ToldEvidence], None]:
    return lambda evidence: evidence.functions[stage]["Environment"]["Variables"].update({name: value})


def break_report(part: str, **changes: Any) -> Callable[[ToldEvidence], None]:
    def change(evidence: ToldEvidence) -> None:
        for told in evidence.told_self_reports.values():
            told[part].update(changes)

    return change


def break_mapping(**changes: Any) -> Callable[[ToldEvidence], None]:
    return lambda evidence: evidence.told_mapping.update(changes)


FROM_VALUES: list[tuple[Callable[..., Finding], tuple[str, ...]]] = [
    (environment.complete, ()), (environment.secret_key, ()), (environment.database_url, ()),
    (environment.debug_off, ()), (environment.wait_fits_the_gateway, ()), (environment.batch_fits_the_worker, ()),
    (environment.inspection_fits_the_worker, ()), (environment.retry_exceeds_timeout, ()),
    (environment.keep_warm_off, ("web",)), (environment.timeout, ("web",)), (environment.timeout, ("worker",)),
    (functions.there, ("web",)), (functions.same_code, ()), (functions.handler, ("worker",)),
    (functions.memory, ("web",)), (functions.memory, ("worker",)), (queue.mapping, ()), (queue.partial_batches, ()),
    (queue.concurrency, ()), (inside.answers, ("web",)), (inside.same_secret_key, ()), (inside.database, ("web",)),
    (inside.storage, ("worker",)), (inside.queue, ("web",)), (inside.database_encrypted, ()), (inside.migrations, ()),
    (inside.administrator, ()), (inside.oldest_queued, ()), (inside.body_size, ()), (models.memory, ()),
    (models.disk, ()), (models.packages, ()), (inside.sandbox, ("worker",)),
]  # fmt: skip


@pytest.mark.parametrize(("look", "stage"), FROM_VALUES)
def test_it_finds_nothing_wrong_with_a_healthy_deployment(look: Callable[..., Finding], stage: tuple[str, ...]) -> None:
    finding = look(ToldEvidence(), *stage)

    assert (finding.status, finding.fix) == (Status.OK, "")


BROKEN: list[tuple[Callable[..., Finding], tuple[str, ...], Callable[[ToldEvidence], None], Status, str]] = [
    (environment.complete, (), break_variable("worker", "MLSERVE_BUCKET", ""), Status.FAILED, "MLSERVE_BUCKET is not"),
    (environment.secret_key, (), break_variable("worker", "SECRET_KEY", "short"), Status.FAILED, "5 characters"),
    (environment.database_url, (), break_variable("worker", "DATABASE_URL", "sqlite:///x"), Status.FAILED, "sqlite"),
    (environment.debug_off, (), break_variable("web", "DEBUG", "1"), Status.FAILED, "web"),
    (environment.timeout, ("web",), break_function("web", Timeout=60), Status.FAILED, "stops after 29"),
    (environment.wait_fits_the_gateway, (), break_variable("web", "MLSERVE_MAX_WAIT", "28"), Status.FAILED, "28 s"),
    (environment.batch_fits_the_worker, (), break_function("worker", Timeout=80), Status.FAILED, "ends after 80"),
    (environment.inspection_fits_the_worker, (), break_function("worker", Timeout=140), Status.FAILED, "120 s"),
    (environment.retry_exceeds_timeout, (), break_report("settings", task_retry_seconds=60), Status.FAILED, "60"),
    (functions.there, ("web",), break_function("web", State="Failed"), Status.FAILED, "Failed"),
    (functions.same_code, (), break_function("web", CodeSha256="b3RoZXI="), Status.FAILED, "web 6f74686572"),
    (functions.handler, ("web",), break_function("web", Handler="handler.lambda_handler"), Status.FAILED, "handler."),
    (functions.memory, ("worker",), break_function("worker", MemorySize=512), Status.FAILED, "1024 MB to start"),
    (functions.memory, ("web",), break_function("web", MemorySize=512), Status.WARNING, "less than one core"),
    (queue.mapping, (), break_mapping(State="Disabled"), Status.FAILED, "Disabled"),
    (queue.partial_batches, (), break_mapping(FunctionResponseTypes=[]), Status.FAILED, "not set"),
    (queue.concurrency, (), break_mapping(ScalingConfig={}), Status.FAILED, "no limit"),
    (inside.database, ("web",), break_report("database", error="OperationalError: gone"), Status.FAILED, "gone"),
    (inside.storage, ("web",), break_report("storage", error="403"), Status.FAILED, "403"),
    (inside.queue, ("web",), break_report("queue", error="no queue"), Status.FAILED, "no queue"),
    (inside.database_encrypted, (), break_report("database", is_encrypted=False), Status.WARNING, "not encrypted"),
    (inside.migrations, (), break_report("migrations", missing=["registry.0002_x"]), Status.FAILED, "registry.0002_x"),
    (inside.body_size, (), break_report("settings", max_body_bytes=5 * 2**20), Status.WARNING, "5.0 MiB"),
    (inside.administrator, (), break_report("people", administrators=0), Status.WARNING, "no administrator"),
    (inside.oldest_queued, (), break_report("waiting", oldest_queued_seconds=300.0), Status.WARNING, "300 s"),
    (inside.oldest_queued, (), break_report("waiting", oldest_queued_seconds=3600.0), Status.FAILED, "3600 s"),
    (inside.sandbox, ("web",), break_report("sandbox", missing=["files"]), Status.WARNING, "read every file"),
    (models.memory, (), break_report("models", live=[
        {"version": "big 1", "size_bytes": 2**30, "inspected_with": {}}]), Status.FAILED, "3472 MB"),
    (models.disk, (), break_report("models", live=[
        {"version": "big 1", "size_bytes": 2**30, "inspected_with": {}}]), Status.FAILED, "1024 MiB does not fit"),
    (models.disk, (), break_function("worker", EphemeralStorage={"Size": 420}), Status.FAILED, "/tmp of 420 MiB"),
    (models.disk, (), break_report("settings", max_artifact_bytes=2**30), Status.WARNING, "uploads of 1024 MiB"),
    (models.packages, (), break_report("process", packages={"scikit-learn": "1.8.0"}), Status.WARNING, "1.8.0"),
    (account.clock, ("web",), break_report("database", skew_seconds=42.0), Status.FAILED, "42 s"),
]  # fmt: skip


@pytest.mark.parametrize(("look", "stage", "harm", "status", "words"), BROKEN)
def test_it_says_what_is_wrong_and_how_to_correct_it(
    look: Callable[..., Finding],
    stage: tuple[str, ...],
    harm: Callable[[ToldEvidence], None],
    status: Status,
    words: str,
) -> None:
    evidence = ToldEvidence()
    evidence.account.identity = {"Arn": "arn", "Account": "1", "skew_seconds": 0.0}
    harm(evidence)

    finding = look(evidence, *stage)

    assert finding.status is status, finding
    assert words in finding.found
    assert finding.fix


def test_it_tells_keys_that_differ_between_the_stages() -> None:
    evidence = ToldEvidence()
    evidence.told_self_reports["web"]["settings"]["secret_key_fingerprint"] = "0" * 16

    assert inside.same_secret_key(evidence).status is Status.FAILED


def test_it_warns_when_the_next_deploy_would_change_the_key() -> None:
    evidence = ToldEvidence({**ENVIRONMENT, "SECRET_KEY": "another-key-in-the-shell-of-the-one-who-checks-it"})

    finding = inside.same_secret_key(evidence)

    assert finding.status is Status.WARNING
    assert "another-key" not in finding.found + finding.fix


def test_it_never_shows_a_secret() -> None:
    every = [each for each in checks.CHECKS if each.look.__module__ != "deployment.checks.front"]

    text = repr([row.as_json() for row in run(every, ToldEvidence(), checks.STAGES)])

    assert ENVIRONMENT["SECRET_KEY"] not in text
    assert "secret-of-the-database" not in text


@pytest.mark.parametrize("look", [environment.complete, environment.timeout, environment.wait_fits_the_gateway])
def test_it_looks_at_the_plan_before_the_first_deploy(look: Callable[..., Finding]) -> None:
    evidence = ToldEvidence().forget_functions()

    finding = look(evidence, "worker") if look is environment.timeout else look(evidence)

    assert finding.status is Status.OK


def test_it_refuses_a_plan_that_cannot_work_before_the_first_deploy() -> None:
    evidence = ToldEvidence().forget_functions()
    evidence.told_settings["worker"]["timeout_seconds"] = 60

    assert environment.batch_fits_the_worker(evidence).status is Status.FAILED


def test_it_is_not_yet_known_before_the_first_deploy() -> None:
    evidence = ToldEvidence().forget_functions()

    rows = run([Check("mapping", queue.mapping), Check("database", inside.database, checks.STAGES)], evidence, ["web"])

    assert [(row.stage, row.finding.status) for row in rows] == [("", Status.NOT_YET), ("web", Status.NOT_YET)]


def test_it_goes_on_after_a_check_that_breaks() -> None:
    def broken(_: Any) -> Finding:
        raise ZeroDivisionError

    (row,) = run([Check("odd", broken)], ToldEvidence(), checks.STAGES)

    assert row.finding.status is Status.NOT_KNOWN
    assert "ZeroDivisionError" in row.finding.found


def test_it_has_one_name_per_check() -> None:
    names = [check.name for check in checks.CHECKS]

    assert len(names) == len(set(names))


def packed(folder: Path, files: dict[str, bytes]) -> ToldEvidence:
    (folder / "var").mkdir()
    with zipfile.ZipFile(folder / "var" / "package.zip", "w") as package_file:
        for name, content in files.items():
            package_file.writestr(name, content)
    return ToldEvidence(root=folder)


def test_it_weighs_the_package_unzipped(tmp_path: Path) -> None:
    finding = package.size(packed(tmp_path, {"big.so": bytes(1_000_000)}))

    assert (finding.status, finding.found.partition(" of")[0]) == (Status.OK, "1.0 MB unzipped")


def test_it_refuses_a_package_above_the_limit(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(package, "LIMIT_BYTES", 1_000_000)

    assert package.size(packed(tmp_path, {"big.so": bytes(1_000_001)})).status is Status.FAILED


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env", b"x"),
        ("mlserve/.env.local", b"x"),
        ("var/mlserve.sqlite3", b"x"),
        ("keys/server.pem", b"x"),
        ("zappa_settings.py", ENVIRONMENT["SECRET_KEY"].encode()),
        ("mlserve/settings.py", b"DATABASE_URL = '" + ENVIRONMENT["DATABASE_URL"].encode() + b"'"),
    ],
)
def test_it_finds_what_must_not_be_in_a_package(tmp_path: Path, name: str, content: bytes) -> None:
    finding = package.without_secrets(packed(tmp_path, {"mlserve/urls.py": b"", name: content}))

    assert finding.status is Status.FAILED
    assert name in finding.found
    assert "secret-of-the-database" not in finding.found


def test_it_leaves_public_certificates_in_a_package(tmp_path: Path) -> None:
    assert package.without_secrets(packed(tmp_path, {"botocore/cacert.pem": b"x"})).status is Status.OK


def test_it_compares_the_package_with_the_runtime(tmp_path: Path) -> None:
    evidence = packed(tmp_path, {"numpy/core.cpython-312-x86_64-linux-gnu.so": b""})

    finding = package.runtime(evidence)

    assert (finding.status, finding.found) == (
        Status.FAILED, "the package is for python3.12, the function runs python3.13",
    )  # fmt: skip


@pytest.mark.parametrize(("runtime", "status"), [("python3.9", Status.FAILED), ("python3.11", Status.WARNING)])
def test_it_knows_how_long_amazon_supports_a_runtime(tmp_path: Path, runtime: str, status: Status) -> None:
    evidence = ToldEvidence(root=tmp_path)
    evidence.functions["worker"]["Runtime"] = runtime

    assert package.runtime(evidence).status is status


@pytest.mark.parametrize(("python", "status"), [("311", Status.FAILED), ("313", Status.OK)])
def test_it_knows_which_libraries_run_on_lambda(tmp_path: Path, python: str, status: Status) -> None:
    evidence = packed(tmp_path, {
        f"numpy/core.cpython-{python}-x86_64-linux-gnu.so": b"",
        "numpy-2.4.dist-info/WHEEL": f"Tag: cp{python}-cp{python}-manylinux_2_27_x86_64\n".encode(),
    })  # fmt: skip

    assert package.libraries(evidence).status is status


def test_it_says_that_there_is_no_package_yet(tmp_path: Path) -> None:
    with pytest.raises(NotYet, match="make package"):
        package.size(ToldEvidence(root=tmp_path))
