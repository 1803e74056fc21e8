"""What a string addresses by a dotted name is there: settings, hooks of Django and Zappa, programs that are started.

A module that moves takes its imports along, but no string does.
"""

import ast
import re
from pathlib import Path

from django.apps import apps

from tests.paths import ROOT

_OURS = r"(?:mlserve|registry|predictions|deployment|benchmark|tests)(?:\.[A-Za-z_]\w*)+"
_PROGRAM = re.compile(rf"-m[\s\",']+({_OURS}|deployment|benchmark)\b")
_IMPORT = re.compile(rf"^\s*(?:from ({_OURS}|mlserve|registry|predictions) import ([\w, ]+))", re.MULTILINE)
# Names of other things: a logger and attributes of WSGI and of traces, the salt of signatures in stored rows.
_NO_MODULES = {
    "mlserve.access", "mlserve.trace", "mlserve.process", "mlserve.prediction_id", "mlserve.request_id",
    "registry.admission",
}  # fmt: skip
# Files, and ids of system checks.
_NO_NAME = re.compile(r"\.(json|py|sqlite3|[EW]\d{3})\Z")
_SOURCES = sorted(
    path
    for folder in ("mlserve", "registry", "predictions", "deployment", "benchmark")
    for path in (ROOT / folder).rglob("*.py")
)
_STARTERS = [
    ROOT / "Makefile",
    ROOT / "Dockerfile",
    ROOT / "Dockerfile.server",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
]


def _strings(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _is_of_django(name: str) -> bool:
    """A permission, or a model of an app."""
    label, _, rest = name.partition(".")
    if label not in {config.label for config in apps.get_app_configs()}:
        return False
    models = list(apps.get_app_config(label).get_models())
    actions = {f"{action}_{model._meta.model_name}" for model in models for action in model._meta.default_permissions}
    own = {codename for model in models for codename, _ in model._meta.permissions}
    return rest.lower() in {model._meta.model_name for model in models} | actions | own


def _is_there(name: str) -> bool:
    """A module, or what one defines: read from the source, since some of it needs packages that are not installed."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        source = next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.exists()), None)
        if source is not None:
            return count == len(parts) or parts[count] in _defined(source)
    return False


def _defined(source: Path) -> set[str]:
    """The names at the top of a module."""
    names: set[str] = set()
    for node in ast.parse(source.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.ImportFrom() | ast.Import():
                names.update(alias.asname or alias.name for alias in node.names)
            case ast.Assign() | ast.AnnAssign():
                names.update(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            case _:
                pass
    return names


def test_it_finds_what_strings_name() -> None:
    named = {
        (str(path.relative_to(ROOT)), text)
        for path in _SOURCES
        for text in _strings(path)
        if re.fullmatch(_OURS, text) and text not in _NO_MODULES and not _NO_NAME.search(text)
    }

    assert len(named) > 30
    assert not [(path, name) for path, name in sorted(named) if not _is_of_django(name) and not _is_there(name)]


def test_it_finds_what_is_started_by_name() -> None:
    texts = [path.read_text("utf-8") for path in (*_STARTERS, *_SOURCES)]
    started = {name for text in texts for name in _PROGRAM.findall(text)}

    assert {"registry.inspection.child", "mlserve.conf.dotenv", "deployment"} <= started
    assert not [name for name in sorted(started) if not _is_there(name)]


def test_it_finds_what_programs_in_strings_import() -> None:
    imported = {
        (str(path.relative_to(ROOT)), f"{module}.{name}" if name else module)
        for path in (*_SOURCES, *sorted((ROOT / "tests").rglob("*.py")))
        for text in _strings(path)
        for module, names in _IMPORT.findall(text)
        for name in re.findall(r"\w+", re.sub(r" as \w+", "", names)) or [""]
    }

    assert len(imported) > 30
    assert not [(path, name) for path, name in sorted(imported) if not _is_there(name)]


def test_it_finds_what_zappa_calls() -> None:
    named = set(re.findall(rf'"({_OURS})"', (ROOT / "zappa_settings.json").read_text("utf-8")))

    assert {"mlserve.lambda_entry.lambda_handler", "deployment.callbacks.post"} <= named
    assert not [name for name in sorted(named) if not _is_there(name)]


def test_it_keeps_the_names_that_rows_and_messages_hold() -> None:
    """Schedules in the database and signed messages on their way outlive a release."""
    kept = ["predictions.tasks.attend", "predictions.tasks.inspect_uploads", "predictions.tasks.sweep"]

    assert [name for name in kept if not _is_there(name)] == []
