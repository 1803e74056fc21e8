"""The content of the Lambda package, as a list of what is allowed in it, so that no `.env` and no database gets in.

Libraries come from this Python's own environment, file by file as each distribution lists them. Modules of one's own
that artifacts need (MLSERVE_TRUSTED_MODULES) come from the checkout, or are a library like any other.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

# Folder of the checkout → what its files end with. `collected/` is made by collectstatic and comes from elsewhere.
PROJECT = {
    "mlserve": (".py",),
    "registry": (".py",),
    "predictions": (".py",),
    "templates": (".html",),
}
COLLECTED = "collected"

# Libraries of requirements.txt that mlserve does not need on Lambda.
NOT_ON_LAMBDA = {
    # Lambda's Python brings AWS's own SDK, and what only that uses.
    "boto3", "botocore", "s3transfer", "jmespath", "urllib3",
    # The web server of a machine, its queue, and the `.env` of a laptop.
    "granian", "click", "redis", "python-dotenv",
    # rich's highlighting and Markdown, of which no command prints any.
    "pygments", "markdown-it-py", "mdurl",
    # skops's model cards.
    "prettytable", "wcwidth",
    # drf-spectacular's `--validate`, a command for development.
    "jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "attrs",
}  # fmt: skip
# No function imports these. deployment/trial.py fails when something needed is left out.
_UNUSED = re.compile(
    r"""
      (^|/)__pycache__/ | \.py[co]$
    | \.(pyi|pyx|pxd|pxi|tp|h|hpp|c|cpp|f90|f|a|map|po|rst|typed|in|build|src)$
    | (^|/)(tests|_tests|conftest\.py)(/|$) | ^joblib/test/
    | (^|/)locale/(?!en/)[^/]+/LC_MESSAGES/
    | ^[^/]+\.dist-info/(?!(METADATA|WHEEL)$)
    | ^(django/contrib/[^/]+|rest_framework|drf_spectacular_sidecar)/static/   # collected already
    | ^django/contrib/(gis|flatpages|sitemaps|syndication|redirects|humanize)/
    | ^django/conf/(app|project)_template/
    | ^sklearn/datasets/(data|descr|images)/
    | ^scipy/(datasets|misc|odr|_build_utils)/
    | ^scipy/io/_fast_matrix_market/.*\.so$   # Matrix Market files
    | ^yaml/_yaml\.                           # its parser in C; only api/schema writes YAML, on demand
    | ^numpy/(distutils|doc|_core/include|_core/lib)/
    | ^(numpy|scipy)/(.+/)?_(simd|test_[^/]+|[^/]+_tests)\.[^/]*so$        # for their own tests
    | ^narwhals/_(dask|duckdb|ibis|spark_like)/ | ^pydantic/v1/             # for what is not there
    | ^django/db/backends/(mysql|oracle)/
    """,
    re.VERBOSE,
)


class Incomplete(Exception):
    """The environment that the package is made from lacks a distribution, or has another version of it."""


@dataclass(frozen=True)
class Entry:
    """One file of the package: its name there, and its bytes or where they come from."""

    name: str
    source: Path | bytes

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def entries(root: Path, site_packages: Path, collected: Path, *, trusted: Iterable[str] = ()) -> list[Entry]:
    """Everything, by name. `collected` is the folder that collectstatic filled, `trusted` is MLSERVE_TRUSTED_MODULES.

    Raises Incomplete.
    """
    libraries = wanted(site_packages, (root / "requirements.txt").read_text("utf-8"))
    installed = [each for library in libraries for each in _files_of(library)]
    found = [*_project(root), *_static(collected), *installed]
    own = {re.split(r"[.:]", name)[0] for name in trusted} - {_top_of(entry) for entry in found}
    return sorted([*found, *(each for name in sorted(own) for each in _own(root, name))], key=lambda entry: entry.name)


def wanted(site_packages: Path, requirements: str) -> list[Distribution]:
    """The installed distributions that belong in. Raises Incomplete for what is missing or another version."""
    installed = {_normalized(each.name): each for each in distributions(path=[str(site_packages)])}
    pinned = {name for name, _, _ in _pins(requirements)}
    lacking = [
        f"{name}=={version}"
        for name, version, is_conditional in _pins(requirements)
        if (name not in installed and not is_conditional)
        or (name in installed and installed[name].version != version)
    ]  # fmt: skip
    if lacking:
        raise Incomplete(f"{site_packages} lacks {', '.join(lacking)}: install requirements-deploy.txt")
    return [installed[name] for name in sorted(pinned - NOT_ON_LAMBDA) if name in installed]


def _pins(requirements: str) -> Iterator[tuple[str, str, bool]]:
    """(name, version, whether only some platforms need it) of each requirement."""
    pins = re.findall(r"^([\w.-]+)(?:\[[\w., -]+\])?==([^\s;\\]+)(.*)$", requirements, re.MULTILINE)
    for name, version, rest in pins:
        yield _normalized(name), version, ";" in rest


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _project(root: Path) -> Iterator[Entry]:
    for folder, suffixes in PROJECT.items():
        for path in (root / folder).rglob("*"):
            if path.suffix in suffixes and path.is_file() and not path.is_symlink():
                yield Entry(path.relative_to(root).as_posix(), path)


def _own(root: Path, name: str) -> Iterator[Entry]:
    """A module beside manage.py, or a whole package: what is trusted may import the rest of it."""
    paths = [path for path in (root / f"{name}.py", *(root / name).rglob("*.py")) if path.is_file()]
    if not paths:
        raise Incomplete(
            f"MLSERVE_TRUSTED_MODULES names {name}, which is not in the package: put it beside manage.py, or, as a "
            "library, into requirements.txt and requirements-deploy.txt"
        )
    for path in paths:
        if not path.is_symlink():
            yield Entry(path.relative_to(root).as_posix(), path)


def _top_of(entry: Entry) -> str:
    """The top-level module or package of a file."""
    return entry.name.partition("/")[0].removesuffix(".py")


def _static(collected: Path) -> Iterator[Entry]:
    for path in collected.rglob("*"):
        if path.is_file():
            yield Entry(f"{COLLECTED}/{path.relative_to(collected).as_posix()}", path)


def _files_of(library: Distribution) -> Iterator[Entry]:
    """The files of a distribution without its scripts, which are outside of site-packages."""
    for file in library.files or ():
        name = PurePosixPath(file).as_posix()
        if not name.startswith("..") and not _UNUSED.search(name):
            yield Entry(name, Path(str(library.locate_file(file))))


def sizes(entries: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Bytes by top-level name; a distribution's metadata counts separately."""
    found: dict[str, int] = {}
    for name, size in entries:
        top = name.partition("/")[0]
        part = "metadata" if top.endswith(".dist-info") else top.removesuffix(".libs")
        found[part] = found.get(part, 0) + size
    return dict(sorted(found.items(), key=lambda item: -item[1]))
