"""Fields of an upload in the words of the place where a report is shown."""

import re
from pathlib import Path

import pytest

from registry.inspection.report import Check, Report
from registry.inspection.wording import in_shell, on_page

ROOT = Path(__file__).parents[3]


def test_it_names_options_in_a_shell() -> None:
    text = "Give `sample`, or `allow_other_versions`; not `of one's own`."

    assert in_shell(text) == "Give --sample, or --allow-other-versions; not `of one's own`."


def test_it_names_labels_on_a_page() -> None:
    assert on_page("Give `sample` or `schema`.", {"sample": "Sample"}) == "Give “Sample” or “schema”."


def test_it_renders_every_text_of_a_report() -> None:
    report = Report((Check("accepts", "warning", "No `sample`.", "Give `sample`."),))

    (check,) = report.worded(in_shell).checks

    assert (check.detail, check.fix) == ("No --sample.", "Give --sample.")


@pytest.mark.parametrize("package", ["inspection", "formats", "pipelines", "schema"])
def test_it_finds_no_option_of_the_shell_in_what_all_places_show(package: str) -> None:
    """The admin has no --sample. Texts are written for the API, with fields in backticks."""
    sources = {path: path.read_text() for path in (ROOT / "registry" / package).glob("*.py")}
    sources.pop(ROOT / "registry/inspection/wording.py", None)

    written = re.compile(r"(?<![\w`-])--(?:schema|sample|form|expected|allow)[a-z-]*")

    assert [path.name for path, text in sources.items() if written.search(text)] == []
