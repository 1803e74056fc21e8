"""The environment variables of a process in which an uploader's code will run. Pure."""

import os
from pathlib import Path

# Only what an interpreter needs: the process must not see keys, passwords or addresses.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT", "LD_LIBRARY_PATH")

# On few rows, threads and processes cost more than they save, and the sandbox may refuse them. joblib then runs its
# tasks one after the other.
_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("NUMEXPR_MAX_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"), "1"),
    "JOBLIB_MULTIPROCESSING": "0",
}


def clean_environment(code: Path, home: Path = Path(os.devnull)) -> dict[str, str]:
    """`code` is the folder that `python -m` finds this project in, `home` where libraries look for settings."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    search = [str(code), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(search), "HOME": str(home), "TMPDIR": str(home), **_ONE_THREAD}
