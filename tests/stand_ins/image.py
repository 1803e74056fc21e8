"""What a container engine would make of a Dockerfile, on this machine: its commands are run as written, by root, each
path of the image in place of this machine's. Its base image is this machine with the Python of this run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tests.paths import ROOT
from tests.stand_ins.sandbox import namespaces

_SCRIPT = Path(__file__).with_name("image.sh")
_STEP_SECONDS = 300
# Folders of the image that a Dockerfile of ours may write to, by the name that image.sh has for them.
_FOLDERS = ("srv", "lib", "cache")


@dataclass(frozen=True)
class Instruction:
    """`value` is its argument, with continued lines joined."""

    name: str
    value: str

    @property
    def exec_form(self) -> list[str]:
        """Of CMD, ENTRYPOINT. Raises ValueError for the shell form."""
        found: list[str] = json.loads(self.value)
        return found


def instructions(text: str) -> list[Instruction]:
    """Without comments, also those between continued lines."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def context(root: Path, ignored: str) -> Iterator[Path]:
    """The files that an engine gets to see, relative to `root`. Of a folder whose whole is left out it sees none."""
    patterns = [line.strip() for line in ignored.splitlines() if line.strip() and not line.startswith("#")]
    tops = [path for path in sorted(root.iterdir()) if not _is_ignored(path.relative_to(root), patterns)]
    for path in (each for top in tops for each in [top, *sorted(top.rglob("*"))]):
        if path.is_file() and not _is_ignored(path.relative_to(root), patterns):
            yield path.relative_to(root)


def _is_ignored(path: Path, patterns: Sequence[str]) -> bool:
    """Of several patterns of .dockerignore that match, the last one counts."""
    is_ignored = False
    for pattern in patterns:
        if any(_matches(each.as_posix(), pattern.lstrip("!").rstrip("/")) for each in (path, *path.parents)):
            is_ignored = not pattern.startswith("!")
    return is_ignored


def _matches(name: str, pattern: str) -> bool:
    """`*` matches no slash; `**/` matches any folders."""
    if pattern.startswith("**/"):
        parts = name.split("/")
        return any(_matches("/".join(parts[start:]), pattern[3:]) for start in range(len(parts)))
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


@dataclass
class Image:
    """Built from a Dockerfile into `folder`. `environment` is that of its ENV lines."""

    folder: Path
    dockerfile: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    place: str = "/"

    def build(self) -> None:
        """Run everything in order. Raises AssertionError with the output of the command that failed."""
        _copy_etc(self.folder / "etc")
        for name in _FOLDERS:
            (self.folder / name).mkdir()
        for step in instructions(self.dockerfile.read_text("utf-8")):
            self._take(step)

    def only(self, name: str) -> Instruction:
        """The one instruction of that name."""
        [found] = [each for each in instructions(self.dockerfile.read_text("utf-8")) if each.name == name]
        return found

    def command(self, *arguments: str, variables: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
        """(command line, environment) of a container; its ENTRYPOINT comes first."""
        return self._inside(self.user, [*self.only("ENTRYPOINT").exec_form, *arguments], variables or {})

    def run(self, *command: str, variables: Mapping[str, str] | None = None) -> str:
        """What a command without the ENTRYPOINT prints. Raises AssertionError."""
        return _output(*self._inside(self.user, command, variables or {}))

    def path(self, name: str) -> Path:
        """Where a file of the working folder lies on this machine."""
        return self.folder / self.place.lstrip("/") / name

    def _take(self, step: Instruction) -> None:
        if step.name == "ENV":
            self.environment |= dict(each.split("=", 1) for each in shlex.split(step.value))
        elif step.name == "WORKDIR":
            self.place = step.value
        elif step.name == "USER":
            self.user = step.value
        elif step.name == "COPY":
            self._copy(*step.value.split())
        elif step.name == "RUN":
            _output(*self._inside(self.user, ["sh", "-c", step.value], {"PIP_NO_INDEX": "1"}))

    def _copy(self, source: str, target: str) -> None:
        wanted = source.rstrip("/")
        found = [each for each in context(ROOT, (ROOT / ".dockerignore").read_text("utf-8"))
                 if each.as_posix() == wanted or wanted in map(Path.as_posix, each.parents)]  # fmt: skip
        assert found, f"COPY {source}: there is no such file, or .dockerignore leaves it out"
        for each in found:
            place = self.path(target) / each.relative_to(wanted) if source.endswith("/") else self.path(target) / each
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / each, place)

    def _inside(
        self, user: str, command: Sequence[str], variables: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath, "/usr/sbin", "/sbin"])
        python, own = Path(sys.base_prefix), Path(sys.prefix).resolve()
        hidden = _first_hidden(python) or _first_hidden(own)
        helper = {"HIDDEN": str(hidden or ""), "PYTHON": str(python), "ENVIRONMENT": str(own)}
        environment = {"PATH": path, **self.environment, **variables, **helper}
        shell = ["sh", str(_SCRIPT), str(self.folder), user, self.place]
        return [*namespaces(), *shell, *command], environment


def _copy_etc(target: Path) -> None:
    """What programs need of it; accounts among it, to which a command may add."""
    shutil.copytree("/etc", target, symlinks=True, ignore=lambda folder, names: {
        name for name in names if not os.access(Path(folder, name), os.R_OK) and not Path(folder, name).is_symlink()
    })  # fmt: skip


def _first_hidden(path: Path) -> Path | None:
    """The outermost folder on the way to `path` that other users may not enter."""
    return next((each for each in [*path.parents][::-1] if not each.stat().st_mode & 0o001), None)


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
