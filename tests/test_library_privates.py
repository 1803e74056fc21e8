"""What this project uses of libraries beyond their documentation: each such name, why, and that it is still there.

Each of these libraries has an upper bound in pyproject.toml or a pinned version; read this table before raising it.
"""

import ast
import importlib
import inspect
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("mlserve", "registry", "predictions", "deployment")


@dataclass(frozen=True)
class Private:
    """`parameters` are those of a callable; `says` is what its source must contain, where we count on a behaviour."""

    name: str
    why: str
    parameters: str | None = None
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


_SENTINEL = "django_q.cluster:Sentinel"
DJANGO_Q = [
    Private(
        f"{_SENTINEL}.__init__",
        "the guard runs in this process and is told when to stop, instead of in a process of its own",
        "self stop_event start_event cluster_id broker timeout start",
        ("self.pool_size =", "self.task_queue =", "self.result_queue =", "self.event_out =", "self.pool = []"),
    ),
    Private(f"{_SENTINEL}.start", "a queue that does not answer yet must not end the cluster", "self",
            ("self.broker.ping()", "self.spawn_cluster()", "self.guard()")),
    Private(f"{_SENTINEL}.spawn_cluster", "part of `start`", "self"),
    Private(f"{_SENTINEL}.guard", "part of `start`; asks the stop event, and the schedule every 30 s only", "self",
            ("self.stop_event.wait(cycle)", "counter >= 30", "scheduler(broker=self.broker)")),
    Private(f"{_SENTINEL}.spawn_process", "makes processes of our own functions", "self target args",
            ("if target == worker:", "p.timer = args[2]")),
    Private(f"{_SENTINEL}.spawn_worker", "gives workers our tasks only, and timers whose lock is never lost", "self"),
    Private(f"{_SENTINEL}.spawn_monitor", "ends the process with its cluster", "self"),
    Private(f"{_SENTINEL}.spawn_pusher", "tells the broker whether a worker is idle", "self"),
    Private(f"{_SENTINEL}.reincarnate", "a worker that was killed ends the cluster", "self process",
            ("process.timer.value == 0", "process == self.monitor", "process == self.pusher")),
    Private(f"{_SENTINEL}.stop", "ends the wait of the pusher first", "self", ("while self.pusher.is_alive():",)),
    Private("django_q.worker:worker", "runs in our worker processes; its timer says what it does",
            "task_queue result_queue timer timeout",
            ("post_spawn.send(", "timer.value = -1  # Idle", "timer.value = 0", "task_queue.get")),
    Private("django_q.monitor:monitor", "files results in a process that ends with its cluster", "result_queue broker"),
    Private("django_q.scheduler:scheduler", "a cluster that starts looks at the schedule at once", "broker",
            ("select_for_update()", "next_run__lt", "except Exception:")),
    Private("django_q.brokers.orm:ORM.dequeue", "one look at the table; it sleeps only when it finds nothing", "self",
            ("sleep(Conf.POLL)",)),
    Private("django_q.brokers:Broker.__setstate__", "a broker is pickled into its processes", "self state"),
    Private("django_q.signing:SignedPackage.loads", "reads a message without running what it names", "obj"),
    Private("django_q.signing:BadSignature", "what that raises"),
    Private("django_q.conf:Conf", "django-q2's settings, as it understood them", None,
            ("POLL =", "RETRY =", "TIMEOUT =", "SQS =", "REDIS =")),
    Private("django_q.admin", "the pages of its tables, which ours take the place of"),
]  # fmt: skip
OTHERS = [
    Private("storages.backends.s3:S3Storage._save", "Django's hook for a storage, overridden to translate errors; it "
            "goes by way of `bucket`, which is one per process here", "self name content", ("self.bucket",)),
    Private("rest_framework.request", "whether a test has said who asks", None, ("'_force_auth_user'",)),
    Private("rest_framework.utils.urls:replace_query_param", "DRF's own way to write the link to the next page",
            "url key val"),
]  # fmt: skip
# Installed beside what is deployed, so that another Python looks.
ZAPPA = {
    "zappa.cli:ZappaCLI.create_package": "self output use_zappa_release",
    "zappa.cli:ZappaCLI.load_settings": "self settings_file session",
    "zappa.cli:ZappaCLI.callback": "self position",
    "zappa.cli:ZappaCLI.check_venv": "self",
    "zappa.cli:ZappaCLI.check_for_update": "self",
    "zappa.cli:ZappaCLI.remove_uploaded_zip": "self",
    "zappa.cli:ZappaCLI.handle": "self argv",
    "zappa.cli:ZappaCLI.override_stage_config_setting": "self key val",
    "zappa.core:Zappa.upload_to_s3": "self source_path bucket_name disable_progress",
    "zappa.core:Zappa.update_stack": "self name working_bucket wait update_only disable_progress",
}
# The documented part.
PUBLIC = {
    "django_q.brokers:Broker", "django_q.brokers:get_broker", "django_q.brokers.orm:ORM", "django_q.signals:post_spawn",
    "django_q.tasks:async_task", "django_q.cluster:Sentinel", "zappa.cli:ZappaCLI", "storages.backends.s3:S3Storage",
    *(f"django_q.models:{name}" for name in ("Failure", "OrmQ", "Schedule", "Success")),
}  # fmt: skip
# Of Python and Django, which have their own policies of change.
OF_OTHER_LIBRARIES = {
    "_ArgumentGroup": "argparse: in type hints only",
    "_asdict": "documented for named tuples",
    "_base_executable": "sys: the Python that a virtual environment was made from; absent elsewhere",
    "_base_manager": "documented by Django",
    "_cached_user": "Django: the user that a middleware has looked up already; absent elsewhere",
    "_default_manager": "documented by Django",
    "_exit": "documented for os",
    "_fields": "documented for named tuples",
    "_impl": "scikit-learn: which of libsvm's machines an estimator is; where absent, the artifact is refused",
    "_make": "documented for named tuples",
    "_meta": "documented by Django",
    "_preprocessor": "scikit-learn: where HistGradientBoosting encodes categories; where absent, less is known",
    "_raw_delete": "Django: DELETE without looking for what refers to the rows",
    "_state": "documented by Django",
    "_store": "Django: the headers of a response with their spelling",
    "_validate_data": "scikit-learn: what a tree of neighbours asks of its metric; where absent, it is refused",
}


def parameters_of(name: str) -> str | None:
    found = found_as(name)
    return " ".join(inspect.signature(found).parameters) if inspect.isroutine(found) else None


def found_as(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split(".") if path else ():
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("private", [*DJANGO_Q, *OTHERS], ids=str)
def test_it_finds_what_it_counts_on(private: Private) -> None:
    source = inspect.getsource(found_as(private.name)).replace('"', "'")

    assert parameters_of(private.name) == private.parameters
    assert [words for words in private.says if words.replace('"', "'") not in source] == []


def test_it_finds_what_it_counts_on_of_zappa(deploy_python: Path) -> None:
    parts = (inspect.getsource(function) for function in (found_as, parameters_of))
    code = "import importlib, inspect, json, sys\nfrom typing import Any\n" + "\n".join(parts)
    code += "\nprint(json.dumps({name: parameters_of(name) for name in sys.argv[1:]}))"

    done = subprocess.run([deploy_python, "-c", code, *ZAPPA], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == ZAPPA


def test_it_overrides_nothing_else_of_the_cluster() -> None:
    from django_q.cluster import Sentinel

    from predictions.worker.cluster import GuardedSentinel

    overridden = {name for name, value in vars(GuardedSentinel).items() if inspect.isfunction(value)} & set(
        vars(Sentinel)
    )

    assert {f"{_SENTINEL}.{name}" for name in overridden} <= {private.name for private in DJANGO_Q}


def test_it_overrides_nothing_else_of_zappa() -> None:
    own = {"__init__"}
    (stage,) = [
        node
        for path, tree in product_code()
        if path.name == "zappa_stage.py"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]

    methods = {node.name for node in stage.body if isinstance(node, ast.FunctionDef)} - own

    assert {f"zappa.cli:ZappaCLI.{name}" for name in methods} <= set(ZAPPA)


def test_it_imports_nothing_else() -> None:
    listed = PUBLIC | {private.name for private in (*DJANGO_Q, *OTHERS)}
    libraries = ("django_q", "storages", "zappa")

    imported = {
        f"{node.module}:{alias.name}" if node.module in ("zappa.cli",) or "." in node.module
        else f"{node.module}.{alias.name}"
        for _, tree in product_code()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in libraries
        for alias in node.names
    }  # fmt: skip

    assert {
        name for name in imported if name not in listed and not any(f"{name}." in other for other in listed)
    } == set()
    # `import django_q.tasks` would escape the check above.
    whole = [alias.name for _, tree in product_code() for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    assert [name for name in whole if name.partition(".")[0] in libraries] == []


def test_it_uses_no_other_private_name() -> None:
    own = {name for _, tree in product_code() for name in names_made_in(tree)}
    listed = {private.name.rpartition(".")[2] for private in OTHERS} | {"_force_auth_user"} | set(OF_OTHER_LIBRARIES)

    used = {
        name: path
        for path, tree in product_code()
        for name in names_used_in(tree)
        if name.startswith("_") and not name.startswith("__") and name not in own
    }

    assert {name: str(path) for name, path in used.items() if name not in listed} == {}
    assert set(OF_OTHER_LIBRARIES) - set(used) == set()


@cache
def product_code() -> list[tuple[Path, ast.Module]]:
    paths = [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [(path, ast.parse(path.read_text("utf-8"))) for path in paths if "migrations" not in path.parts]


def names_made_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def names_used_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            yield from (str(each.value) for each in node.args[1:2] if isinstance(each, ast.Constant))
