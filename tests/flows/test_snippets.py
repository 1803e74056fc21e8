"""What a model's page shows as code does, when it is pasted, what the page did."""

import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from tests.flows.service import Service
from tests.requirements import require_program


@pytest.fixture
def code(service: Service) -> dict[str, str]:
    """The code beside a result, by language."""
    tree = html.fromstring(service.get("/models/penguins?example=1").content)
    languages = tree.xpath("//*[@class='tabs']/label/text()")
    return dict(zip(languages, (each.text_content() for each in tree.xpath("//*[@class='tabs']//pre")), strict=True))


def runner_of(language: str) -> str:
    """The program that runs it."""
    if language == "curl":
        require_program("curl", "apt-get install curl")
        return "bash"
    return sys.executable if language == "Python" else require_program("node", "apt-get install nodejs")


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_it_predicts_when_it_is_pasted(code: dict[str, str], language: str, tmp_path: Path) -> None:
    program = tmp_path / "program.mjs"  # node reads its kind from the name
    program.write_text(code[language])

    done = subprocess.run([runner_of(language), program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("succeeded", "Adelie", "probabilities"))
