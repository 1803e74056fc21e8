"""`manage.py serve`: the model host, the prediction workers and the web server under one supervisor."""

import gc
import multiprocessing
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from mlserve.conf.env import Env
from mlserve.observability import logs
from mlserve.observability.log_lines import log_uncaught_errors
from mlserve.observability.monitoring import require_packages, start_monitoring
from mlserve.processes.children import CAN_FORK, Child, execute, fork
from mlserve.processes.orphans import end_with_input
from mlserve.processes.secret_memory import hide_memory
from mlserve.processes.supervisor import Program, Supervisor
from mlserve.processes.temporary_folders import temporary_folder
from mlserve.server.database import report_missing_migrations, wait_for_database, wait_until_migrated
from mlserve.server.greeting import Greeting, about_address, asked_at, in_url
from mlserve.server.webserver import PortTaken, UnknownHost, import_web_server, require_free_port, run_web_server
from mlserve.terminal import TerminalCommand
from registry.sandbox.measurement import parts_in_force
from registry.sandbox.sandbox import FILES

env = Env()
_MODELS_STOP_SECONDS = 5.0
_ONLY = "run one part only, for several machines, with the processes of models that it needs"
# For calls of models that run when the service is asked to stop.
_LAST_CALLS_SECONDS = 4.0


class Command(TerminalCommand):
    help = (
        "Runs the web server, the prediction workers and the processes of models until Ctrl-C or SIGTERM. Whichever "
        "dies is started again; when one dies for good, all stop. Accepted requests are answered before the end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        cores = min(2, os.cpu_count() or 1)
        parser.add_argument("--host", help="address or host name to listen at (default: HOST, or 127.0.0.1)")
        parser.add_argument("--port", type=_port, help="port to listen at (default: PORT, or 8000)")
        parser.add_argument(
            "--workers",
            type=_count,
            default=settings.MLSERVE_WORKERS,
            metavar="N",
            help="processes that predict (default: %(default)s, or MLSERVE_WORKERS)",
        )
        parser.add_argument(
            "--web-processes", type=_count, default=cores, metavar="N", help="of the web server (default: %(default)s)"
        )
        parser.add_argument("--only", choices=tuple(_PARTS), metavar="{web,worker}", help=_ONLY)
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="first migrate; with DEBUG=1 also make an admin and register the example, else collect static files",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if CAN_FORK:
            # Python 3.14 would start the processes of granian and django-q2 anew instead, and share nothing.
            multiprocessing.set_start_method("fork", force=True)
        logs.name_process("supervisor")
        if FILES not in parts_in_force():
            hide_memory()  # a model's process, which runs as the same user, could look into those of the service
        log_uncaught_errors(quotes_values=settings.ON_LAPTOP)
        require_packages()
        _settle_address(options)
        if os.environ.get("MLSERVE_SUPERVISED"):
            end_with_input()
            _PARTS[options["only"]](options)
            return
        # The web server ends first: requests that wait for a result still need the workers.
        parts = [options["only"]] if options["only"] else ["worker", "web"]
        if "web" not in parts:
            _begin(options)
            _supervise(options, parts)
        try:
            require_free_port(options["host"], options["port"])
        except (PortTaken, UnknownHost) as error:
            raise CommandError(str(error)) from error
        base_path = settings.FORCE_SCRIPT_NAME or ""
        lines = [*_begin(options), *about_address(options["host"])]
        greeting = Greeting(options["host"], options["port"], lines, self.stdout, base_path=base_path)
        _supervise(options, parts, greeting)


def _settle_address(options: dict[str, Any]) -> None:
    """Raises ImproperlyConfigured. On a laptop the host by which it is called, and greets, is allowed."""
    if options["host"] is None:
        options["host"] = env.address("HOST", "127.0.0.1")
    else:
        options["host"] = Env({"--host": options["host"]}).address("--host", "")
    if options["port"] is None:
        options["port"] = env.port("PORT", "8000")
    if settings.ON_LAPTOP:
        settings.ALLOWED_HOSTS.append(in_url(asked_at(options["host"])))


def _begin(options: dict[str, Any]) -> list[str]:
    """Wait for the database, and prepare it or say what it lacks; the lines to greet with.

    Raises django.db.Error when it cannot be asked.
    """
    wait_for_database()
    lines = _prepare_in_a_thread() if options["prepare"] else []
    report_missing_migrations()
    connections.close_all()
    return lines


def _prepare_in_a_thread() -> list[str]:
    """Its connections to database and storage end with the thread; no forked process may share them."""
    from mlserve.server.laptop import prepare

    def prepare_and_leave() -> list[str]:
        try:
            return prepare()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(prepare_and_leave).result()


def _run_web(options: dict[str, Any]) -> None:
    logs.name_process("web")
    run_web_server(options["host"], options["port"], options["web_processes"])


def _run_worker(options: dict[str, Any]) -> None:
    from predictions.worker.cluster import run_cluster

    logs.name_process("worker")
    wait_until_migrated()
    run_cluster(options["workers"], when_spawned=start_monitoring)


def _run_models(_options: dict[str, Any]) -> None:
    from predictions.runtime.keeper import Keeper

    logs.name_process("models")
    Keeper().run()


_PARTS: dict[str, Callable[[dict[str, Any]], None]] = {"web": _run_web, "worker": _run_worker, "models": _run_models}


def _supervise(
    options: dict[str, Any], parts: Sequence[str], at_each_look: Callable[[], None] = lambda: None
) -> NoReturn:
    """Run the parts, and the one with the processes of models, until the end; never returns."""
    from predictions.model_host.start import SOCKET, PathTooLong, require_short_path
    from predictions.runtime.host_access import use_host_at

    with temporary_folder("models") as folder:
        try:
            require_short_path(folder / SOCKET)
        except PathTooLong as error:
            raise CommandError(str(error)) from error
        use_host_at(folder / SOCKET)
        sys.exit(Supervisor(_programs(options, parts), when_stopping=_hurry_models).run(at_each_look))


def _hurry_models() -> None:
    """A model that hangs must not hold up the end; a host that does not answer ends with its keeper."""
    from predictions.model_host.errors import HostUnavailable
    from predictions.runtime import host_access

    with suppress(HostUnavailable):
        host_access.client().hurry(_LAST_CALLS_SECONDS)


def _programs(options: dict[str, Any], parts: Sequence[str]) -> list[Program]:
    """The parts, behind the one with the processes of models, which stops last: the others need it."""
    from predictions.worker.cluster import WORKER_DIED_STATUS

    start = _by_forking(options, parts) if CAN_FORK else _by_executing(options)
    task_seconds: int = settings.MLSERVE_DRAIN_SECONDS + settings.MLSERVE_BATCH_SECONDS
    programs = {
        "models": Program("keeper of models", lambda: start("models"), stop_seconds=_MODELS_STOP_SECONDS),
        # A worker that is killed must not take the service along, however often that happens.
        "worker": Program(
            "worker", lambda: start("worker"), stop_seconds=task_seconds + 10, restart_status=WORKER_DIED_STATUS
        ),
        "web": Program("web server", lambda: start("web"), stop_seconds=settings.MLSERVE_MAX_WAIT + 20),
    }
    return [programs[part] for part in dict.fromkeys(["models", *parts])]


def _by_forking(options: dict[str, Any], parts: Sequence[str]) -> Callable[[str], Child]:
    """All is imported once, here; the parts and their processes share it."""
    import predictions.runtime.keeper
    import predictions.worker.cluster  # noqa: F401

    if "web" in parts:
        import_web_server()
    connections.close_all()
    gc.freeze()  # the collector writes into each object that it visits, and a page that was written is shared no more
    # A request makes some thousand objects; looking through them every 700 costs it a twelfth of its time.
    gc.set_threshold(10_000, 20, 20)
    return lambda part: fork(part, lambda: _PARTS[part](options))


def _by_executing(options: dict[str, Any]) -> Callable[[str], Child]:
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "serve"]
    for name in ("host", "port", "workers", "web_processes"):
        command += [f"--{name.replace('_', '-')}", str(options[name])]
    return lambda part: execute([*command, "--only", part])


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise ValueError(text)
    return number
