"""pytest plugin: the same environment for the suite on every machine.

A variable that a developer has set for a server, or real AWS credentials, must not change what
tests do. `settings.py` reads the environment when it is imported, which pytest-django does before
any conftest.py; hence a plugin (`-p tests.environment`) that comes even earlier.
"""

import os
import signal
import tempfile
from collections.abc import Generator

import pytest

_OURS = ("MLSERVE_", "AWS_", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SENTRY_", "OTEL_")
_KEPT = {"MLSERVE_REQUIRE_ALL"}
_FOR_TESTS = {
    # Plain HTTP, as on a laptop; `make check` covers the settings of a server.
    "DEBUG": "1",
    "SECRET_KEY": "only-for-tests-and-long-enough-for-every-check-of-its-length",
    # Also for the `manage.py` of a child process, which would read it from a developer's `.env`.
    "MLSERVE_NEW_MODELS": "private",
    # Pipelines of the tests refer to functions and classes of their modules.
    "MLSERVE_TRUSTED_MODULES": "tests",
    # A client that reaches past the local server fails at once instead of finding a real account.
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    for name in [name for name in os.environ if name.startswith(_OURS) and name not in _KEPT]:
        del os.environ[name]
    os.environ.update(_FOR_TESTS)
    _be_as_in_a_terminal(early_config)
    return (yield)


def _be_as_in_a_terminal(config: pytest.Config) -> None:
    """Also in the background, under `nohup` or from cron: what a process has of these, its children inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.fstat(0)
    except OSError:  # closed, and the next file that is opened would become the standard input
        os.open(os.devnull, os.O_RDONLY)
    if not os.access(os.environ.get("HOME", ""), os.W_OK):
        home = tempfile.TemporaryDirectory(prefix="mlserve-home-")
        config.add_cleanup(home.cleanup)
        os.environ["HOME"] = home.name
