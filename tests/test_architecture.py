"""Who may import whom, how large a file may be, what the web process loads: read from the source, not run.

The order of packages is the table in ARCHITECTURE.md. Each test lists all offenders at once.
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

from tests.paths import ROOT

APPS = ("mlserve", "registry", "predictions")
FOLDERS = (*APPS, "deployment", "benchmark", "tests", "examples")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_MODULES_OF_A_PACKAGE = 18
# Django looks for models and admin classes there.
WITH_CODE_IN_INIT = {"registry.models", "predictions.models", "registry.admin", "predictions.admin"}
# One gateway per outside system: the packages or modules that may import it.
DOORS = {
    "pickle": ("registry.formats",),
    "joblib": ("registry.formats.pickle_load",),
    "skops": ("registry.formats.skops_load",),
    "django_q": (
        "predictions.queue.wake_ups", "predictions.queue.brokers", "predictions.worker.cluster", "predictions.apps",
        "predictions.admin.predictions",  # shows django-q2's own tables
    ),
    "boto3": ("registry.storage.s3_client", "registry.storage.s3"),
    "s3transfer": ("registry.storage.s3_client",),  # what boto3's transfers raise
    "botocore": (
        "registry.storage.s3_client", "registry.storage.s3", "mlserve.conf.parameters",
        "predictions.queue.sqs_messages",
    ),
    "storages": ("registry.storage.s3",),
    "redis": ("predictions.queue.redis_messages",),
    "knox": ("mlserve.models", "mlserve.access.tokens"),
    "axes": ("mlserve.access.expired_rows", "mlserve.access.sign_in"),
    "urllib3": ("registry.client.server",),
    "prometheus_client": ("mlserve.operations.metrics",),
    "opentelemetry": ("mlserve.observability.tracing",),
    "sentry_sdk": ("mlserve.observability.monitoring",),
}  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the project by its dotted name, without migrations."""
    paths = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
    return {_dotted(path): ast.parse(path.read_text("utf-8")) for path in paths}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports_of(name: str) -> frozenset[str]:
    """What a module imports, also inside functions, but not what it names for type checkers only."""
    return frozenset(_imported(modules()[name]))


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


@cache
def rows() -> list[dict[str, bool]]:
    """The rows of the table in ARCHITECTURE.md: the names of each, and whether it calls them pure."""
    table = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("\n## Packages\n")[2]
    cells = re.findall(r"^\| (`\w+/.*?) \|", table, flags=re.MULTILINE)
    return [
        {path.removesuffix("/").removesuffix(".py").replace("/", "."): bool(pure)
         for path, pure in re.findall(r"`([\w/.]+)`( \(pure\))?", cell)}
        for cell in cells
    ]  # fmt: skip


@cache
def place_of(name: str) -> tuple[int, str] | None:
    """The row of a module, and the name there: `registry.api` for `registry.api.views`."""
    parts = name.split(".")
    return next(
        ((number, ".".join(parts[:2])) for number, row in enumerate(rows()) if ".".join(parts[:2]) in row), None
    )


def is_within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def calls_itself_pure(name: str) -> bool:
    return bool(re.search(r"\bPure[.;:,]", ast.get_docstring(modules()[name]) or ""))


def is_pure(name: str) -> bool:
    return calls_itself_pure(name) or any(row.get(".".join(name.split(".")[:2])) for row in rows())


def is_package(name: str) -> bool:
    return (ROOT / name.replace(".", "/") / "__init__.py").exists()


# Apps themselves are empty.
ALL = sorted(name for name in modules() if "." in name)
FILES = sorted(
    path.relative_to(ROOT)
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def test_it_has_a_place_for_each_module() -> None:
    """A new package is entered into the table of ARCHITECTURE.md."""
    assert [name for name in ALL if place_of(name) is None] == []


def test_it_lists_each_package_once_and_none_that_is_gone() -> None:
    named = [name for row in rows() for name in row]

    assert [name for name in named if name not in modules() or named.count(name) > 1] == []


def test_it_imports_upwards_in_the_table_only() -> None:
    wrong = []
    for name in ALL:
        row, package = place_of(name) or (0, name)
        for other in imports_of(name) & set(ALL):
            other_row, other_package = place_of(other) or (0, other)
            if other_package != package and other_row >= row:
                wrong.append(f"{name} imports {other}")

    assert not wrong, "\n".join(sorted(wrong))


def test_it_keeps_the_core_free_of_django() -> None:
    """Also by way of another module of ours."""
    wrong = [
        f"{name} imports {other}"
        for name in ALL
        if is_pure(name)
        for other in imports_of(name)
        if is_within(other, "django", "rest_framework")
        or (other in ALL and not is_pure(other) and not is_package(other))
    ]

    assert not wrong, "\n".join(sorted(wrong))


def test_it_has_one_door_per_outside_system() -> None:
    wrong = [
        f"{name} imports {package}"
        for package, doors in DOORS.items()
        for name in modules()
        if any(is_within(other, package) for other in imports_of(name)) and not is_within(name, *doors)
    ]

    assert not wrong, "\n".join(sorted(wrong))


def test_it_says_in_each_package_what_it_is_and_has_no_code_there() -> None:
    """A package that imported its modules would load NumPy into the web process."""
    wrong = []
    for name in ALL:
        if is_package(name) and not is_within(name, *(f"{app}.management" for app in APPS), "mlserve.times"):
            code = [node for node in modules()[name].body if not isinstance(node, ast.Expr)]
            if not ast.get_docstring(modules()[name]) or (code and name not in WITH_CODE_IN_INIT):
                wrong.append(name)

    assert wrong == []


def test_it_keeps_packages_small() -> None:
    folders = [path.parent for path in FILES if path.parts[0] in APPS and path.name != "__init__.py"]

    assert {str(each) for each in folders if folders.count(each) > MAX_MODULES_OF_A_PACKAGE} == set()


def test_it_keeps_files_short() -> None:
    lines = {str(path): len((ROOT / path).read_text("utf-8").splitlines()) for path in FILES}

    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_it_keeps_functions_short() -> None:
    long = {}
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long[f"{path} {node.name}"] = (node.end_lineno or 0) - node.lineno + 1

    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


def test_it_leaves_nothing_for_later() -> None:
    words = re.compile("|".join(rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "X" * 3)))

    assert [str(path) for path in FILES if words.search((ROOT / path).read_text("utf-8"))] == []


def test_it_names_modules_for_a_thing() -> None:
    vague = {"utils", "util", "helpers", "common", "services", "base", "misc"}

    assert [str(path) for path in FILES if path.stem in vague or path.parent.name in vague] == []


def test_it_runs_without_its_benchmark_and_its_deployment() -> None:
    """They are not in the package; only the command that looks at a deployment knows one."""
    users = {name for name in ALL if any(is_within(other, "benchmark", "deployment") for other in imports_of(name))}

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
_START_ON_LAMBDA = """
import sys

import mlserve.lambda_entry

heavy = {"sklearn", "pandas", "scipy", "numpy", "joblib", "pydantic", "rich", "granian", "boto3"}
print(sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


@pytest.mark.parametrize(
    ("program", "variables"),
    [
        pytest.param(_SERVE_A_LIST, {"DATABASE_URL": "sqlite:///{folder}/web.sqlite3"}, id="web"),
        pytest.param(
            _START_ON_LAMBDA,
            {"MLSERVE_DATA_DIR": "{folder}", "AWS_LAMBDA_FUNCTION_NAME": "mlserve-web"},
            id="lambda",
        ),
    ],
)
def test_it_loads_nothing_heavy_before_it_must(program: str, variables: dict[str, str], tmp_path: Path) -> None:
    """Listing models on Lambda would pay 200 MB and a second for scikit-learn; each of the others costs a cold start
    of the web function a tenth of a second or more.
    """
    own = {name: value.format(folder=tmp_path) for name, value in variables.items()}

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, **own, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
