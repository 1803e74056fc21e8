"""What a run counted, as a table, as JSON and as Markdown for docs/reliability.md."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.torture.faults import BY_NAME
from tests.torture.session import Result

_COUNTS = (
    "asked", "accepted", "ended succeeded", "ended failed", "ended canceled", "invalid", "refused", "unanswered",
    "unanswered and stored", "answered 503 and stored", "rows", "steps", "tried again", "starts by the unit",
    "MB at the end", "killed amid a call, healthy", "lost", "blamed, healthy", "violations",
)  # fmt: skip
_FEWEST = 50


def table(result: Result) -> str:
    """Markdown: a line per fault, and what was counted altogether."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    minutes = result.seconds / 60
    yield f"{result.database}, storage {result.store}, queue {result.queue}; {minutes:.0f} minutes, SEED={result.seed}"
    yield ""
    yield (
        "| fault | what | times | accepted | refused (503) | connection cut | wrong or lost | slowest recovery, s | "
        "p99, healthy |"
    )
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, each in sorted(result.figures.items(), key=lambda item: list(BY_NAME).index(item[0])):
        yield (
            f"| `{name}` | {BY_NAME[name].about} | {each.injected} | {each.accepted} | {each.refused} | "
            f"{each.unanswered} | {each.violations} | {max(each.recoveries):.1f} | "
            f"{_ratio(each.waited, result.quiet)} |"
        )
    for name, why in result.skipped.items():
        yield f"| `{name}` | {BY_NAME[name].about} | – {why} | | | | | | |"
    yield ""
    bad = [each for name, figures in result.figures.items() if BY_NAME[name].model for each in figures.waited]
    yield (
        f"One row of a healthy model for who waits, p99: {_percentile(result.quiet) * 1000:.0f} ms in quiet "
        f"({len(result.quiet)} requests), {_ratio(bad, result.quiet)} times that while models misbehave "
        f"({len(bad)} requests). The last column has this ratio for each fault."
    )
    yield ""
    yield "; ".join(f"{name}: {result.counts[name]:,}" for name in _COUNTS) + "."


def _ratio(waited: Sequence[float], quiet: Sequence[float]) -> str:
    """Empty where there are too few for a percentile."""
    return f"{_percentile(waited) / _percentile(quiet):.1f}" if min(len(waited), len(quiet)) >= _FEWEST else ""


def _percentile(seconds: Sequence[float]) -> float:
    """The 99th."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] if ordered else 0.0


def write_json(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_plain(result), indent=1) + "\n")


def _plain(result: Result) -> dict[str, Any]:
    figures = {name: asdict(each) for name, each in result.figures.items()}
    return {**vars(result), "figures": figures, "counts": dict(result.counts)}


def write_markdown(path: Path, result: Result) -> None:
    """Between the marks of this database in the file; they must be there."""
    begin, end = f"<!-- torture {result.database}: begin -->", f"<!-- torture {result.database}: end -->"
    text = path.read_text("utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{path} lacks the lines {begin} and {end}, between which the figures go")
    path.write_text(pattern.sub(lambda _: f"{begin}\n{table(result)}{end}", text), "utf-8")
