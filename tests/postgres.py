"""pytest plugin: `--database` picks the temporary database that the whole run uses.

`settings.py` reads DATABASE_URL when it is imported, which pytest-django does before any
conftest.py; hence a plugin (`-p tests.postgres`) that comes even earlier. A DATABASE_URL of the
developer never counts.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from benchmark.postgres import MISSING, find_programs, owner_of_cluster
from tests.requirements import everything_is_required

# Holds the cluster until its standard input ends, however the test process dies, even by SIGKILL.
_KEEPER = """
trap '' INT TERM HUP
cat
"$1/pg_ctl" stop --silent --mode=immediate --pgdata="$2/data"
rm -rf "$2"
"""
_skip_reason = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="the temporary database for this run (default: sqlite)",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    os.environ["DATABASE_URL"] = _temporary_sqlite(early_config)
    if early_config.known_args_namespace.database == "postgres":
        if programs := find_programs():
            os.environ["DATABASE_URL"] = _temporary_postgres(early_config, programs)
        elif everything_is_required():
            raise pytest.UsageError(MISSING)
        else:
            early_config.stash[_skip_reason] = MISSING
    return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if reason := config.stash.get(_skip_reason, None):
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: temporary {config.option.database}"


@pytest.fixture(scope="session")
def database(pytestconfig: pytest.Config) -> str:
    """Which database this run is on: sqlite or postgres."""
    kind: str = pytestconfig.option.database
    return kind


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """The URL of a PostgreSQL in any case: that of this run, or one that lives as long as this process."""
    if pytestconfig.option.database == "postgres":
        return os.environ["DATABASE_URL"]
    if programs := find_programs():
        return _temporary_postgres(pytestconfig, programs)
    if everything_is_required():
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING)


def _temporary_sqlite(config: pytest.Config) -> str:
    folder = tempfile.TemporaryDirectory(prefix="mlserve-sqlite-")
    config.add_cleanup(folder.cleanup)
    return f"sqlite:///{folder.name}/mlserve.sqlite3"


def _temporary_postgres(config: pytest.Config, programs: Path) -> str:
    """Start a cluster that lives as long as this process; its URL.

    1. make its folder, and the keeper that stops the cluster and removes the folder
    2. make and start the cluster, reachable only by a socket in that folder
    3. make the database that settings.py finds; pytest-django puts its own beside it
    """
    folder = Path(tempfile.mkdtemp(prefix="mlserve-postgres-"))
    if owner := owner_of_cluster():
        shutil.chown(folder, owner["user"], owner["group"])
    _keep(config, programs, folder)
    data = ["--pgdata", str(folder / "data")]
    settings = f"-F -h '' -k {shlex.quote(str(folder))}"
    log = str(folder / "log")
    _run([programs / "initdb", *data, "--username=mlserve", "--auth=trust", "--no-sync"], folder)
    _run([programs / "pg_ctl", "start", "--wait", *data, "--log", log, "-o", settings], folder)
    with psycopg.connect(f"host={folder} user=mlserve dbname=postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE mlserve")
    return f"postgres://mlserve@{quote(str(folder), safe='')}/mlserve"


def _keep(config: pytest.Config, programs: Path, folder: Path) -> None:
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", programs, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        **owner_of_cluster(),
    )

    def release() -> None:
        # Ends its standard input, then waits until nothing is left.
        keeper.communicate()

    config.add_cleanup(release)


def _run(command: list[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, **owner_of_cluster())
    if done.returncode:
        raise pytest.UsageError(f"{command[0]} failed: {done.stderr.strip()}")
