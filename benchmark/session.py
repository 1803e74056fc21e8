"""One run of the benchmark: start all systems, measure them alternately, stop all."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import systems, workloads
from benchmark.asking import accepts
from benchmark.connection import BadAnswer
from benchmark.dialects import HANDWRITTEN, WrongAnswer
from benchmark.example import Example, make_example
from benchmark.figures import medians, rounded
from benchmark.plan import Effort, Round, Workload
from benchmark.postgres import Cluster
from benchmark.programs import DidNotStart, Program, free_port, run_to_end
from benchmark.systems import System

MLSERVE, STORED = "mlserve", "stored"
_WARM_UP_SECONDS = 1.0
_NO_REDIS = "redis-server is not installed: apt-get install redis-server"


def say(line: str) -> None:
    """Print progress; only results go to standard output."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Session:
    """`results` by the names of the contract: mlserve's workloads at the top, those of the others below theirs."""

    effort: Effort
    workloads: Sequence[Workload]
    stored_rows: int = 0
    # Of which all systems have databases; None: SQLite for mlserve, and the others store nothing.
    cluster: Cluster | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self, folder: Path) -> None:
        """Raises DidNotStart when a system does not start at all.

        What goes wrong later ends that workload of that system, and is listed in `failures`.
        """
        say("Training the example model …")
        example = make_example(folder)
        self._measure_floors(example)
        self._measure_ceiling(example)
        with ExitStack() as stack:
            running = self._start(example, stack)
            for workload in self.workloads:
                self._measure(workload, [system for system in running if workload.fits(system)])
            for system in running:
                if system.name != MLSERVE:
                    self._show(system.name)

    def _measure_floors(self, example: Example) -> None:
        say("Timing pipeline.predict alone …")
        command = [sys.executable, "-m", "benchmark.floors", str(example.artifact), str(self.effort.floor_seconds)]
        printed = run_to_end(command, {**os.environ, "OMP_NUM_THREADS": "1"})
        for line in printed.splitlines():
            name, _, values = line.partition(" ")
            self._record(name, rounded(json.loads(values)))

    def _measure_ceiling(self, example: Example) -> None:
        say("Measuring the client alone …")
        port = free_port()
        command = [sys.executable, "-m", "benchmark.responder", str(port)]
        responder = Program("responder", command, os.environ, example.folder / "responder.log")
        try:
            responder.wait_until(lambda: accepts(port), pause_seconds=0.02)
            values = workloads.ceiling(port, HANDWRITTEN, example, seconds=self.effort.floor_seconds)
        finally:
            responder.stop()
        self._record("client_ceiling", rounded(values))

    def _start(self, example: Example, stack: ExitStack) -> list[System]:
        """Those that have a workload, started and warm; the stack stops them."""
        prepared = [
            systems.mlserve(MLSERVE, example, cluster=self.cluster),
            systems.handwritten("handwritten", example, cluster=self.cluster),
        ]
        if self.stored_rows:
            say(f"Storing {self.stored_rows:,} predictions …")
            prepared.insert(1, systems.mlserve(STORED, example, cluster=self.cluster, stored_rows=self.stored_rows))
        if self.cluster:
            prepared.append(systems.handwritten("handwritten_forgetful", example))
        if redis := systems.redis_server(example.folder):
            program, port = redis
            stack.callback(program.stop)
            prepared.append(systems.handwritten_async("handwritten_async", example, port, cluster=self.cluster))
        else:
            say(f"handwritten_async is skipped: {_NO_REDIS}")
            self._record("handwritten_async", {"skipped": _NO_REDIS})
        wanted = [system for system in prepared if any(workload.fits(system) for workload in self.workloads)]
        for system in wanted:
            say(f"Starting {system.name} …")
            stack.callback(system.stop)
            system.start()
            self._warm_up(system)
        return wanted

    def _warm_up(self, system: System) -> None:
        try:
            workloads.put_under_load(system, seconds=_WARM_UP_SECONDS)
        except (WrongAnswer, BadAnswer) as error:
            self._fail(system, "the warm-up", error)

    def _measure(self, workload: Workload, fitting: Sequence[System]) -> None:
        """All rounds of one workload; the systems take turns, each first as often as the others."""
        if workload.alone:
            for system in fitting:
                system.stop()
        rounds: dict[str, list[Round]] = {system.name: [] for system in fitting}
        failed: set[str] = set()
        for number in range(workload.rounds(self.effort)):
            for system in fitting if number % 2 == 0 else reversed(fitting):
                if system.name in failed:
                    continue
                try:
                    measured = workload.measure(system, self.effort)
                except (WrongAnswer, BadAnswer, DidNotStart) as error:
                    failed.add(system.name)
                    self._fail(system, workload.name, error)
                    self._keep(system.name, workload.name, {"error": str(error)})
                    continue
                rounds[system.name].append(measured)
                say(f"{workload.name} {system.name}: {_in_short(measured)}")
        for name in [system.name for system in fitting if system.name not in failed]:
            self._keep(name, workload.name, _summary(rounds[name]))

    def _fail(self, system: System, workload: str, error: Exception) -> None:
        self.failures.append(f"{workload} of {system.name}: {error}")
        say(f"FAILED: {self.failures[-1]}\n{system.last_lines()}")

    def _keep(self, system: str, workload: str, result: dict[str, Any]) -> None:
        if system == MLSERVE:
            self._record(workload, result)
        else:
            self.results.setdefault(system, {})[workload] = result

    def _record(self, name: str, result: dict[str, Any]) -> None:
        self.results[name] = result
        self._show(name)

    def _show(self, name: str) -> None:
        print(json.dumps({"name": name, **self.results.get(name, {})}), flush=True)


def _summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians; beside them each round's numbers, so that the noise can be seen, and CPU times where watched."""
    values = [rounded(each.values) for each in rounds]
    summary: dict[str, Any] = {**rounded(medians(values)), "rounds": values}
    if any(each.cpu_seconds for each in rounds):
        summary["cpu_seconds"] = [rounded(each.cpu_seconds) for each in rounds]
    return summary


def _in_short(measured: Round) -> str:
    return ", ".join(f"{name} {value:,.4g}" for name, value in rounded(measured.values).items())
