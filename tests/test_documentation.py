"""The documents name what exists: pages, paths, commands, and each setting with its default."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
# A changelog names what there was.
OF_TODAY = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
_FOLDERS = "benchmark|deployment|docs|examples|mlserve|predictions|registry|static|templates|tests|.github|.ci"
# Set by Lambda, the system or mlserve itself: no settings.
_NOT_SETTINGS = re.compile(r"AWS_LAMBDA_\w+|DJANGO_SETTINGS_MODULE|LD_LIBRARY_PATH|MLSERVE_SUPERVISED")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """Those that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_it_links_to_pages_and_headings_that_exist(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)) if "://" not in link]

    broken = []
    for link in links:
        page, _, anchor = link.partition("#")
        target = path.parent / page if page else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def named_paths(path: Path) -> set[str]:
    """What stands in backticks, or in a drawing, and begins with a folder of the repository."""
    found = re.findall(rf"(?:(?<=`)|(?<=\s))((?:{_FOLDERS})/[\w./-]+)", text_of(path))
    return {each.rstrip(".") for each in found}


@pytest.mark.parametrize("path", OF_TODAY, ids=name_of)
def test_it_names_files_that_exist(path: Path) -> None:
    # `registry/formats/loading.load` names a function.
    there = {each for each in named_paths(path) if (ROOT / each).exists() or (ROOT / each).with_suffix(".py").exists()}

    assert named_paths(path) - there == set()


@pytest.mark.parametrize("path", OF_TODAY, ids=name_of)
def test_it_names_commands_that_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE)
    code = "\n".join(re.findall(r"```sh\n.*?```|`[^`\n]+`", text_of(path), re.DOTALL))

    assert set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", code, re.MULTILINE)) - set(targets) == set()
    assert set(re.findall(r"manage\.py ([a-z_]+)", code)) - set(get_commands()) == set()


def test_it_has_one_line_for_each_document() -> None:
    index = text_of(ROOT / "docs" / "README.md")
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "README.md"]

    listed = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", index, re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in pages)


def documented() -> dict[str, str]:
    """Each variable of docs/settings.md with its default; "" where that is no value, or depends on the machine."""
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| (?:`([^`]+)`(?=,| \|))?", SETTINGS, re.MULTILINE)
    return {variable: default for variable, default in rows if not default.endswith("/")}


def read_in(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(variable, default) of what a module reads: `env.text("NAME")`, `os.environ.get("NAME", "default")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            names, reader = [node.slice], ""
        elif isinstance(node, ast.Call):
            names, reader = node.args, ast.unparse(node.func)
        else:
            continue
        constants = [each.value for each in names if isinstance(each, ast.Constant)]
        if constants and (re.fullmatch(r"os\.environ\.\w+|env\.\w+", reader) or isinstance(node, ast.Subscript)):
            yield str(constants[0]), str(constants[1]) if len(constants) > 1 else ""


def read_by_the_product() -> dict[str, str]:
    paths = [path for app in ("mlserve", "registry", "predictions") for path in (ROOT / app).rglob("*.py")]
    found = [pair for path in paths for pair in read_in(ast.parse(text_of(path)))]
    return {name: default for name, default in found if not _NOT_SETTINGS.fullmatch(name)}


def test_it_explains_each_variable_that_is_read_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \|", SETTINGS, re.MULTILINE)

    assert sorted(rows) == sorted(read_by_the_product())


_SETTINGS_OF_A_PROCESS = (
    "import json, mlserve.settings as s; print(json.dumps({n: repr(v) for n, v in vars(s).items()}))"
)


def settings_with(**variables: str) -> dict[str, str]:
    """The settings of a server that knows no other variable."""
    environment = {"PATH": "", "SECRET_KEY": "x" * 50, **variables}
    command = [sys.executable, "-c", _SETTINGS_OF_A_PROCESS]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: value for name, value in found.items() if name.isupper()}


def test_it_says_the_defaults(tmp_path: Path) -> None:
    """A server that is told all of them is the same as one that is told none."""
    read = {name: default for name, default in read_by_the_product().items() if default}
    said = {name: default for name, default in documented().items() if default}
    told = {name: default for name, default in said.items() if name not in read}

    assert len(told) > 20
    assert {name: default for name, default in said.items() if name in read} == read
    assert settings_with(MLSERVE_DATA_DIR=str(tmp_path)) == settings_with(MLSERVE_DATA_DIR=str(tmp_path), **told)
