"""Who may import whom, how large a file may be, what the web process loads: read from the source, not run.

A new module must be entered into `LAYERS` (and into ARCHITECTURE.md); the failing test says so.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
APPS = ("mlserve", "registry", "predictions")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Each module of an app may import those in lines above its own; neighbours do not know each other.
LAYERS: dict[str, list[str]] = {
    "mlserve": [
        "rates library_settings times",
        "permissions addresses audit errors env parameters dotenv orphans prefer static_files secret_key logs",
        "request_ids tally",
        "renderers jsonbody bodies metadata terminal prepared children log_lines tracing models",
        "lean monitoring openapi_responses browser_headers",
        "problems settings handlers rate_counts",
        "throttling leftovers",
        "tokens apps",
        # From here on the project stands on its apps; nothing in them may import it.
        "health metrics openapi pages laptop supervisor greeting vitals admin",
        "urls wsgi sign_in",
        "webserver lambda_http",
        "lambda_entry management",
    ],
    "registry": [
        "privacy environment landlock system_calls trusted_list unloadable",
        "cage trusted_names pickle_streams",
        "pickle_names json_schema violations report golden json_files",
        "staging signals remembered remote_address digest s3_client array_types array_addresses loaded_objects",
        "schema form_config skops_files unpickling remote artifact_cache bucket_settings admission",
        "frames samples remote_uploads findings",
        "pipelines formats sending",
        "schema_sources",
        "inspector",
        "direct_upload golden_check incident disk_transfer s3_transfer admin_rows disk s3 buckets",
        "models storage inspection checks transfers",
        "publishing incoming comparison deletion serializers lookup",
        "uploads readmission received_files",
        "upload_inspection",
        "forms views",
        "upload_views upload_admin incident_admin",
        "admin urls management apps",
    ],
    "predictions": [
        "rests pace",
        "status batching gathering group_commit doorbell payloads questions rehearsal figure time_limit call_marker",
        "redaction counting",
        "answers controls transitions sqs_messages redis_messages",
        "sqs",
        "models forms",
        "runtime queue workers waiting reading listing claiming",
        "execution figures recording retention personal_data verification warming attendance brokers incidents",
        "in_place draining golden_checks serializers",
        "watchdog",
        "submission",
        "tasks views personal_data_views pages cluster checks sweep_admin",
        "admin urls page_urls management apps deliveries",
    ],
}
# What both apps stand on.
SHARED = {
    "errors", "env", "orphans", "prefer", "renderers", "jsonbody", "terminal", "prepared", "lean", "problems",
    "logs", "tally", "tracing", "permissions", "children", "addresses", "audit", "leftovers",
}  # fmt: skip
# Say "Pure." in their docstring, or run in the inspection's child process, which has no Django.
PURE = {
    "mlserve.errors", "mlserve.orphans", "mlserve.prefer", "mlserve.secret_key", "mlserve.rates",
    "mlserve.request_ids", "mlserve.tally",
    "predictions.batching", "predictions.gathering", "predictions.group_commit", "predictions.rests",
    "predictions.pace",
    *(f"registry.{name}" for name in (
        "schema", "environment", "trusted_list", "trusted_names", "unloadable", "pickle_streams", "pickle_names",
        "unpickling", "skops_files", "privacy", "json_schema", "json_files", "violations", "frames", "formats",
        "pipelines", "samples", "form_config", "report", "schema_sources", "inspector", "golden", "staging",
        "remote_address", "landlock", "system_calls", "cage", "findings", "array_types", "array_addresses",
        "loaded_objects",
    )),
}  # fmt: skip
# One door per outside system: the only modules that import each package.
DOORS = {
    "pickle": {"registry.formats", "registry.pickle_names", "registry.unpickling"},
    "joblib": {"registry.unpickling"},
    "skops": {"registry.skops_files"},
    "django_q": {
        "predictions.queue", "predictions.brokers", "predictions.cluster", "predictions.apps",
        "predictions.admin",  # shows django-q2's own tables
    },
    "boto3": set(),  # by way of django-storages only
    "botocore": {
        "registry.s3_client", "registry.s3", "mlserve.parameters", "predictions.sqs_messages",
    },
    "redis": {"predictions.redis_messages", "mlserve.rate_counts"},
    "knox": {"mlserve.models", "mlserve.tokens"},
    "axes": {"mlserve.leftovers", "mlserve.sign_in"},
    "storages": {"registry.s3"},
    "urllib3": {"registry.remote"},
    "prometheus_client": {"mlserve.metrics"},
    "opentelemetry": {"mlserve.tracing"},
    "sentry_sdk": {"mlserve.monitoring"},
}  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the project by its dotted name, migrations apart."""
    paths = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
    return {_dotted(path): ast.parse(path.read_text("utf-8")) for path in paths}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(name: str) -> set[str]:
    """What a module imports, also inside functions, but not what it names for type checkers only."""
    return set(_imported(modules()[name]))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        yield from (names & set(modules())) or {node.module}
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def app_and_layer(name: str) -> tuple[str, int | None]:
    """`registry.management.commands.upload_model` belongs to the layer of `management`."""
    app, _, rest = name.partition(".")
    role = rest.partition(".")[0]
    lines = [line.split() for line in LAYERS[app]]
    return app, next((number for number, line in enumerate(lines) if role in line), None)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


ALL = sorted(name for name in modules() if "." in name)
FILES = sorted(
    path.relative_to(ROOT)
    for folder in (*APPS, "deployment", "benchmark", "tests", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


@pytest.mark.parametrize("name", ALL)
def test_it_has_a_place_for_each_module(name: str) -> None:
    assert app_and_layer(name)[1] is not None, f"{name} is new: enter it into LAYERS and ARCHITECTURE.md"


@pytest.mark.parametrize("app", APPS)
def test_it_names_each_module_once(app: str) -> None:
    names = " ".join(LAYERS[app]).split()

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ALL)
def test_it_imports_downwards_only(name: str) -> None:
    app, layer = app_and_layer(name)
    own = [other for other in imports_of(name) if other in modules() and other.startswith(f"{app}.")]

    upwards = [
        other for other in own
        if (app_and_layer(other)[1] or 0) >= (layer or 0) and other.split(".")[1] != name.split(".")[1]
    ]  # fmt: skip
    assert upwards == []


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("mlserve.")])
def test_it_knows_only_the_apps_below_its_own(name: str) -> None:
    """`predictions` may import `registry`, never back; both stand on a part of `mlserve`."""
    imported = imports_of(name)

    if name.startswith("registry."):
        assert not [other for other in imported if is_within(other, "predictions")]
    assert {other.split(".")[1] for other in imported if other.startswith("mlserve.")} <= SHARED


@pytest.mark.parametrize("name", [f"mlserve.{name}" for name in sorted(SHARED)])
def test_it_knows_no_app_in_what_both_stand_on(name: str) -> None:
    assert not [other for other in imports_of(name) if is_within(other, "registry") or is_within(other, "predictions")]


@pytest.mark.parametrize("name", ALL)
def test_it_lists_each_module_that_calls_itself_pure(name: str) -> None:
    docstring = ast.get_docstring(modules()[name]) or ""

    assert not re.search(r"\bPure[.;:]", docstring) or name in PURE or name.startswith("predictions.")


def pure_modules() -> list[str]:
    says_so = {name for name in ALL if re.search(r"\bPure[.;:]", ast.get_docstring(modules()[name]) or "")}
    return sorted((PURE | says_so) & set(ALL))


@pytest.mark.parametrize("name", pure_modules())
def test_it_keeps_the_core_free_of_django(name: str) -> None:
    """Also by way of another module of ours."""
    imported = imports_of(name)

    assert not [other for other in imported if is_within(other, "django") or is_within(other, "rest_framework")]
    assert {other for other in imported if other in modules()} <= set(pure_modules())


@pytest.mark.parametrize("package", DOORS)
def test_it_has_one_door_per_outside_system(package: str) -> None:
    users = {name for name in modules() if any(is_within(other, package) for other in imports_of(name))}

    assert users <= DOORS[package]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_keeps_files_short(path: Path) -> None:
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_keeps_functions_short(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_leaves_nothing_for_later(path: Path) -> None:
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))

    assert re.findall(rf"\b({words})\b", (ROOT / path).read_text("utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_names_modules_for_a_thing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "common", "services", "base", "misc"}


def test_it_does_not_depend_on_its_benchmark() -> None:
    assert not [name for name in ALL if any(is_within(other, "benchmark") for other in imports_of(name))]


def test_it_runs_without_its_deployment() -> None:
    """It is not in the package; only the command that looks at a deployment knows it."""
    users = {name for name in ALL if any(is_within(other, "deployment") for other in imports_of(name))}

    assert users <= {"mlserve.management.commands.deploy_check"}


_SERVE_A_LIST = """
import sys
from wsgiref.util import setup_testing_defaults

import mlserve.wsgi
from django.core.management import call_command

call_command("migrate", verbosity=0)
for path in ("/api/models", "/healthz", "/api/schema"):
    environ = {"PATH_INFO": path, "HTTP_ACCEPT": "application/json"}
    setup_testing_defaults(environ)
    environ["HTTP_HOST"] = "localhost"
    answers = []
    b"".join(mlserve.wsgi.application(environ, lambda status, headers: answers.append(status)))
    assert answers == ["200 OK"], (path, answers)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sklearn", "pandas", "scipy", "joblib"}))
"""


def test_it_loads_no_scikit_learn_to_list_models(tmp_path: Path) -> None:
    """A web process that runs alone, as on Lambda, would pay 200 MB and a second for it at each start."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/web.sqlite3", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-c", _SERVE_A_LIST],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


_START_ON_LAMBDA = """
import sys

import mlserve.lambda_entry

heavy = {"sklearn", "pandas", "scipy", "numpy", "joblib", "pydantic", "rich", "granian", "boto3"}
print(sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


def test_it_loads_nothing_heavy_before_the_first_request_on_lambda(tmp_path: Path) -> None:
    """Each of them costs every cold start of the web function a tenth of a second or more."""
    environment = {**os.environ, "MLSERVE_DATA_DIR": str(tmp_path), "AWS_LAMBDA_FUNCTION_NAME": "mlserve-web"}

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _START_ON_LAMBDA],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
