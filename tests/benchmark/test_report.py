import json
from pathlib import Path
from typing import Any

import pytest

from benchmark import report

MACHINE = {
    "cpu": "Abacus",
    "cores": 2,
    "memory_mb": 4096,
    "kernel": "Linux 6",
    "python": "3.11.7",
    "load_before": 0.1,
    "packages": {"django": "5.2"},
    "redis-server": None,
}


@pytest.fixture
def results() -> dict[str, dict[str, Any]]:
    """Mlserve is four times as fast with many callers, a little slower with one, and failed once."""
    return {
        "client_ceiling": {"requests_per_s": 50_000.0},
        "floor_predict_1": {"p50_ms": 3.5, "rows_per_s": 280.0},
        "sync_1row_c32": {"requests_per_s": 1600.0, "cpu_seconds": [{"7 web": 9.0}, {"7 web": 1.25}]},
        "sync_1row_c1": {"p50_ms": 5.5},
        "async_1row_c1": {"error": "status 503"},
        "rss": {"idle_pss_mb": 400.0},
        "handwritten": {"sync_1row_c32": {"requests_per_s": 400.0}, "sync_1row_c1": {"p50_ms": 4.0}},
        "handwritten_async": {"async_1row_c1": {"p50_ms": 13.0}},
        "stored": {"sync_1row_c32": {"requests_per_s": 1500.0}},
    }


def test_it_divides_ours_by_theirs(results: dict[str, dict[str, Any]]) -> None:
    ratios = report.ratios(results)

    assert (ratios["sync_1row_c32"], ratios["sync_1row_c1"]) == (4.0, 1.375)


def test_it_divides_many_stored_by_none(results: dict[str, dict[str, Any]]) -> None:
    assert report.ratios(results)["stored_sync_1row_c32"] == pytest.approx(0.938)


def test_it_has_no_ratio_of_what_failed_or_was_not_measured(results: dict[str, dict[str, Any]]) -> None:
    assert set(report.ratios(results)) == {"sync_1row_c32", "sync_1row_c1", "stored_sync_1row_c32"}


def test_it_has_no_ratio_to_a_skipped_peer(results: dict[str, dict[str, Any]]) -> None:
    results["handwritten_async"] = {"skipped": "redis-server is not installed"}
    results["async_1row_c1"] = {"p50_ms": 9.0}

    assert "async_1row_c1" not in report.ratios(results)
    assert "redis-server is not installed" in report.markdown(MACHINE, results)


def test_it_shows_what_failed(results: dict[str, dict[str, Any]]) -> None:
    assert "**`async_1row_c1` of mlserve failed**: status 503" in report.markdown(MACHINE, results)


def test_it_begins_with_the_ratios_and_whether_they_reach_their_goals(results: dict[str, dict[str, Any]]) -> None:
    lines = report.markdown(MACHINE, results).splitlines()

    assert lines[2] == "| `sync_1row_c32` | 4.00 | requests/s, mlserve over `handwritten` | at least 4 | yes |"
    assert lines[3] == "| `sync_1row_c1` | 1.38 | p50, ms, mlserve over `handwritten` | at most 1.25 | **no** |"


def test_it_has_other_goals_on_postgresql(results: dict[str, dict[str, Any]]) -> None:
    text = report.markdown({**MACHINE, "postgres": "15.18"}, results, "postgres")

    assert "| `sync_1row_c1` | 1.38 | p50, ms, mlserve over `handwritten` | at most 1.5 | yes |" in text
    assert text.endswith("PostgreSQL 15.18.")


def test_it_shows_every_system_beside_mlserve(results: dict[str, dict[str, Any]]) -> None:
    text = report.markdown(MACHINE, results)

    assert "| `sync_1row_c32` | requests/s | 1,600 | 1,500 | 400 | – |" in text
    assert "| mlserve | `7 web` | 1.25 |" in text
    assert "Abacus, 2 cores" in text


def test_it_warns_of_a_client_that_is_hardly_faster_than_the_servers(results: dict[str, dict[str, Any]]) -> None:
    assert not any("client" in note for note in report.notes(results))

    results["client_ceiling"]["requests_per_s"] = 3200.0

    assert any("only 2.0 times `sync_1row_c32` of mlserve" in note for note in report.notes(results))


def test_it_writes_the_contract_as_json(results: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "var" / "bench.json"

    report.write_json(path, MACHINE, results, "sqlite")

    written = json.loads(path.read_text("utf-8"))
    assert written == {"machine": MACHINE, "database": "sqlite", "results": results, "ratios": report.ratios(results)}


def test_it_replaces_what_stands_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n", "utf-8")

    report.write_markdown(page, "first")
    page.write_text(page.read_text("utf-8") + "\nAfter it.\n", "utf-8")
    report.write_markdown(page, "on PostgreSQL", "postgres")
    report.write_markdown(page, "second")

    text = page.read_text("utf-8")
    assert text.startswith("# Performance\n\n<!--")
    assert "\n\nAfter it.\n" in text
    assert text.endswith("\n\non PostgreSQL\n\n<!-- benchmark on postgres: end -->\n")
    assert "\n\nsecond\n\n" in text
    assert "first" not in text
