import json

import pytest

from registry.inspection.report import CHECKS, Check, Report, Status, report_from_json, with_skipped

PASSED = tuple(Check(name, "passed", "Fine.") for name in CHECKS)


def with_check(name: str, status: Status, detail: str = "Odd.", fix: str = "Fix it.") -> Report:
    return Report(tuple(Check(name, status, detail, fix) if check.name == name else check for check in PASSED))


def test_it_accepts_when_every_check_passed() -> None:
    report = Report(PASSED)

    assert report.is_accepted
    assert report.summary() == "12 of 12 checks passed"


def test_it_accepts_with_a_warning() -> None:
    report = with_check("batching", "warning")

    assert report.is_accepted
    assert [check.name for check in report.warnings] == ["batching"]
    assert report.summary() == "12 of 12 checks passed, 1 with a warning"


def test_it_sums_up_the_first_failure_with_its_fix() -> None:
    report = with_check("schema", "failed")

    assert not report.is_accepted
    assert report.summary() == "There is a schema of one raw record: no. Odd. Fix it."


def test_it_ends_what_was_found_before_it_says_what_to_do() -> None:
    report = Report((Check("predicts", "failed", "ValueError: too far", "Go back."),))

    assert report.summary() == "The pipeline predicts the raw data: no. ValueError: too far. Go back."


@pytest.mark.parametrize(
    "report", [Report(PASSED, {"load_seconds": 0.1}), with_check("json", "failed")], ids=["ok", "no"]
)
def test_it_survives_the_database(report: Report) -> None:
    assert report_from_json(json.loads(json.dumps(report.as_json()))) == report


def test_it_is_json_with_the_question_of_each_check() -> None:
    body = with_check("json", "failed").as_json()

    assert body["accepted"] is False
    assert [check["name"] for check in body["checks"]] == list(CHECKS)
    assert body["checks"][8] == {
        "name": "json", "status": "failed", "detail": "Odd.", "fix": "Fix it.", "question": "Its answers survive JSON",
    }  # fmt: skip


def test_it_lists_what_was_not_reached() -> None:
    checks = with_skipped((*PASSED[:2], Check("pipeline", "failed", "No.")))

    assert [check.name for check in checks] == list(CHECKS)
    assert [check.status for check in checks] == ["passed", "passed", "failed", *["skipped"] * 9]


def test_it_reads_an_empty_report() -> None:
    assert report_from_json({}) == Report(())
