"""Results as ratios, as JSON and as Markdown tables."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
DATABASES = ("sqlite", "postgres")
# A client that is not this much faster than the fastest server slows what it measures.
_ENOUGH_HEADROOM = 5
# The forgetful one stores nothing although the others do.
PEERS = ("stored", "handwritten", "handwritten_forgetful", "handwritten_async")
_ALONE = ("floor_", "client_")


@dataclass(frozen=True)
class Comparison:
    """Mlserve's figure over the peer's; a goal, by database, is the most where less is better, else the least."""

    workload: str
    peer: str
    figure: str
    goals: tuple[float, float]
    less_is_better: bool

    def goal(self, database: str) -> float:
        return self.goals[DATABASES.index(database)]

    def is_met(self, ratio: float, database: str) -> bool:
        return ratio <= self.goal(database) if self.less_is_better else ratio >= self.goal(database)

    def goal_in_words(self, database: str) -> str:
        return f"{'at most' if self.less_is_better else 'at least'} {self.goal(database):g}"


COMPARISONS = (
    Comparison("sync_1row_c32", "handwritten", "requests_per_s", (4, 3), less_is_better=False),
    Comparison("sync_1row_c1", "handwritten", "p50_ms", (1.25, 1.5), less_is_better=True),
    Comparison("sync_100rows_c8", "handwritten", "rows_per_s", (1.3, 1.3), less_is_better=False),
    Comparison("async_burst_2000_c32", "handwritten_async", "results_per_s", (6, 5), less_is_better=False),
    Comparison("async_1row_c1", "handwritten_async", "p50_ms", (1, 1), less_is_better=True),
    Comparison("async_10k_rows", "handwritten_async", "seconds", (1, 1), less_is_better=True),
)
_FIGURES = {
    "requests_per_s": "requests/s", "rows_per_s": "rows/s", "results_per_s": "results/s",
    "accepted_per_s": "accepted/s", "seconds": "seconds", "p50_ms": "p50, ms", "p95_ms": "p95, ms",
    "p99_ms": "p99, ms", "cpu_ms_per_request": "CPU ms per request", "idle_pss_mb": "idle, PSS, MB",
    "idle_rss_mb": "idle, RSS, MB", "load_pss_mb": "under load, PSS, MB", "load_rss_mb": "under load, RSS, MB",
}  # fmt: skip


def ratios(results: Results) -> dict[str, float]:
    """Mlserve over its peers, and with many rows stored over an empty table; without what was not measured."""
    found = {}
    for each in COMPARISONS:
        ours = results.get(each.workload, {}).get(each.figure)
        theirs = results.get(each.peer, {}).get(each.workload, {}).get(each.figure)
        stored = results.get("stored", {}).get(each.workload, {}).get(each.figure)
        if ours and theirs:
            found[each.workload] = round(ours / theirs, 3)
        if ours and stored:
            found[f"stored_{each.workload}"] = round(stored / ours, 3)
    return found


def notes(results: Results) -> list[str]:
    """Warnings about the reliability of the numbers."""
    skipped = [
        f"`{name}` was skipped: {results[name]['skipped']}." for name in PEERS if "skipped" in results.get(name, {})
    ]
    failed = [
        f"**`{workload}` of {system or 'mlserve'} failed**: {values['error']}"
        for system, workload, values in _measured(results)
        if "error" in values
    ]
    return [*skipped, *failed, *_doubts_about_the_client(results)]


def _doubts_about_the_client(results: Results) -> list[str]:
    ceiling = results.get("client_ceiling", {}).get("requests_per_s", 0.0)
    rates = {
        f"`{workload}` of {system or 'mlserve'}": values.get("requests_per_s") or values.get("accepted_per_s") or 0.0
        for system, workload, values in _measured(results)
    }
    fastest = max(rates, key=lambda name: rates[name], default="")
    if not fastest or ceiling >= _ENOUGH_HEADROOM * rates[fastest]:
        return []
    doubt = (
        f"The client alone reaches {ceiling:,.0f} requests/s, only {ceiling / rates[fastest]:.1f} times {fastest} "
        f"({rates[fastest]:,.0f}/s): the client may have slowed the fastest system."
    )
    return [doubt]


def _measured(results: Results) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """System ("" for mlserve), workload and figures of all that both have."""
    for name, values in results.items():
        if name not in PEERS and not name.startswith(_ALONE):
            yield "", name, values
    for peer in PEERS:
        for workload, values in results.get(peer, {}).items():
            if workload != "skipped":
                yield peer, workload, values


def write_json(path: Path, machine: Mapping[str, object], results: Results, database: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "database": database, "results": results, "ratios": ratios(results)}
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def markdown(machine: Mapping[str, Any], results: Results, database: str = "sqlite") -> str:
    """Ratios first, then every figure, then the CPU time of each process, then the machine."""
    parts = [
        _ratio_table(ratios(results), database),
        _figure_table(results),
        _alone_table(results),
        _cpu_table(results),
        *notes(results),
    ]
    return "\n\n".join(part for part in [*parts, _machine_line(machine)] if part)


def _ratio_table(found: Mapping[str, float], database: str) -> str:
    compared = [(each, found[each.workload]) for each in COMPARISONS if each.workload in found]
    rows = [
        f"| `{each.workload}` | {ratio:.2f} | {_FIGURES[each.figure]}, mlserve over `{each.peer}` "
        f"| {each.goal_in_words(database)} | {'yes' if each.is_met(ratio, database) else '**no**'} |"
        for each, ratio in compared
    ]
    grown = [(each, found[name]) for each in COMPARISONS if (name := f"stored_{each.workload}") in found]
    rows += [
        f"| `stored_{each.workload}` | {ratio:.2f} | {_FIGURES[each.figure]}, many rows stored over none | | |"
        for each, ratio in grown
    ]
    return _table("| workload | ratio | of | goal | met |", rows)


def _figure_table(results: Results) -> str:
    columns = ["", *(name for name in PEERS if name in results)]
    by_row: dict[tuple[str, str], dict[str, float]] = {}
    for system, workload, values in _measured(results):
        for figure in _FIGURES:
            if figure in values:
                by_row.setdefault((workload, figure), {})[system] = values[figure]
    rows = [
        f"| `{workload}` | {_FIGURES[figure]} | {' | '.join(_number(values.get(system)) for system in columns)} |"
        for (workload, figure), values in by_row.items()
    ]
    return _table(f"| | | {' | '.join(name or 'mlserve' for name in columns)} |", rows)


def _alone_table(results: Results) -> str:
    """What was measured without any server."""
    rows = [
        f"| `{name}` | {_FIGURES[figure]} | {_number(values[figure])} |"
        for name, values in results.items()
        if name.startswith(_ALONE)
        for figure in ("p50_ms", "rows_per_s", "requests_per_s")
        if figure in values
    ]
    return _table("| | | alone |", rows)


def _cpu_table(results: Results) -> str:
    """CPU time in the last round, whose connections the kernel may have distributed unevenly."""
    rows = [
        f"| {system or 'mlserve'} | `{process}` | {seconds:.2f} |"
        for system, workload, values in _measured(results)
        if workload == "sync_1row_c32" and values.get("cpu_seconds")
        for process, seconds in values["cpu_seconds"][-1].items()
    ]
    return _table("| `sync_1row_c32`, last round | process | CPU seconds |", rows)


def _machine_line(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_mb']:,} MB, {machine['kernel']}, "
        f"Python {machine['python']}, load before the run {machine['load_before']}; {packages}, "
        f"redis-server {machine['redis-server'] or 'not installed'}"
        f"{f', PostgreSQL {postgres}' if (postgres := machine.get('postgres')) else ''}."
    )


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows]) if rows else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_markdown(path: Path, text: str, database: str = "sqlite") -> None:
    """Between the two markers of the file for this database; with them at its end where it has none."""
    name = "benchmark" if database == "sqlite" else f"benchmark on {database}"
    begin, end = f"<!-- {name}: begin, written by make bench -->", f"<!-- {name}: end -->"
    block = f"{begin}\n\n{text}\n\n{end}"
    before = path.read_text("utf-8") if path.exists() else ""
    head, has_begin, rest = before.partition(begin)
    _, has_end, tail = rest.partition(end)
    if has_begin and has_end:
        path.write_text(f"{head}{block}{tail}", "utf-8")
    else:
        path.write_text(f"{before}{chr(10) if before else ''}{block}\n", "utf-8")
