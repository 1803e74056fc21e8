"""The time that a service sees, which can jump while it runs; the machine's own clock is left alone."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """`variables` are set where processes shall see it; `lacking` says why they cannot, or is empty."""

    def __init__(self, folder: Path, name: str = "clock") -> None:
        self._offset = folder / f"{name}.offset"
        self.set(0)
        library = folder / "clock.so"
        self.lacking = "" if library.exists() else _compile(library)
        preloaded = {"LD_PRELOAD": str(library), "TORTURE_CLOCK": str(self._offset)}
        self.variables: Mapping[str, str] = {} if self.lacking else preloaded

    def set(self, offset_seconds: int) -> None:
        """At once, for every process that sees it."""
        with self._offset.open("r+b" if self._offset.exists() else "wb", buffering=0) as file:
            file.write(offset_seconds.to_bytes(8, "little", signed=True))


def _compile(library: Path) -> str:
    """What prevented it, or nothing."""
    if (compiler := shutil.which("cc")) is None:
        return "there is no C compiler: apt-get install gcc"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"clock.c does not compile: {done.stderr.strip()[-200:]}"
