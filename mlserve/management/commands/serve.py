"""`manage.py serve`: the web server and the prediction workers under one supervisor."""

import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings
from django.core.management.base import CommandError

from mlserve.orphans import end_with_input
from mlserve.supervisor import Program, Supervisor
from mlserve.terminal import TerminalCommand
from mlserve.webserver import PortTaken, require_free_port, run_web_server


class Command(TerminalCommand):
    help = (
        "Runs the web server and the prediction workers until Ctrl-C or SIGTERM. Whichever dies is started again; "
        "when one dies for good, both stop. Requests that were accepted are answered before the end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        cores = min(2, os.cpu_count() or 1)
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"), help="address to listen at")
        parser.add_argument("--port", type=_port, default=os.environ.get("PORT", "8000"), help="port to listen at")
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
        parser.add_argument("--only", choices=("web", "worker"), help="run one part only, for several machines")
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="first migrate; with DEBUG=1 also make an admin and register the example, else collect static files",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["only"]:
            self._run_part(options)
            return
        try:
            require_free_port(options["host"], options["port"])
        except PortTaken as error:
            raise CommandError(str(error)) from error
        lines = self._prepare() if options["prepare"] else []
        supervisor = Supervisor(_programs(options))
        address = f"http://{options['host']}:{options['port']}"
        sys.exit(supervisor.run(lambda: self._greet(address, lines)))

    def _prepare(self) -> list[str]:
        from mlserve.laptop import prepare

        return prepare()

    def _run_part(self, options: dict[str, Any]) -> None:
        if os.environ.get("MLSERVE_SUPERVISED"):
            end_with_input()
        if options["only"] == "web":
            run_web_server(options["host"], options["port"], options["web_processes"])
            return
        from predictions.cluster import run_cluster

        run_cluster(options["workers"])

    def _greet(self, address: str, lines: list[str]) -> None:
        started = time.monotonic()
        while not _answers(f"{address}/healthz"):
            if time.monotonic() > started + 60:
                self.stderr.write("The web server does not answer yet.")
                return
            time.sleep(0.05)
        page = [
            "",
            f"  mlserve is ready at   {address}/",
            f"  API documentation     {address}/api/docs",
            f"  Admin                 {address}/admin/",
            "",
            *(f"  {line}" for line in lines),
            *([""] if lines else []),
            "  Ctrl-C stops it.",
            "",
        ]
        self.stdout.write("\n".join(page))
        self.stdout.flush()


def _programs(options: dict[str, Any]) -> list[Program]:
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "serve"]
    worker = [*manage, "--only", "worker", "--workers", str(options["workers"])]
    web = [*manage, "--only", "web", "--host", options["host"], "--port", str(options["port"])]
    web += ["--web-processes", str(options["web_processes"])]
    task_seconds: int = settings.MLSERVE_DRAIN_SECONDS + settings.MLSERVE_BATCH_SECONDS
    # The web server ends first: requests that wait for a result still need the workers.
    return [
        Program("worker", worker, stop_seconds=task_seconds + 10),
        Program("web server", web, stop_seconds=settings.MLSERVE_MAX_WAIT + 20),
    ]


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310 - our own http address
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


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
