"""Clients that generators make of /api/schema: without a warning, also of models with similar names, and used."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.conftest import EXAMPLE
from tests.flows.service import Service
from tests.paths import ROOT
from tests.requirements import everything_is_required, require_program

_VENV = ROOT / ".venv-clients"
_NODE = _VENV / "node"
_PROGRAMS = Path(__file__).with_name("clients")
_SECONDS = 300
_RECORD = {
    "island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211, "body_mass_g": 4500,
    "sex": "female", "year": 2007,
}  # fmt: skip
# Names and values of which generators would make the same identifier, or none.
_ODD_CHOICES = {
    "blood group": ["A+", "A-", "0+"],
    "blood-group": ["low", "Low"],
    "class": ["1st", "2nd"],
    "größe": ["klein", "groß"],
    "2": ["", "x"],
}
_USE_PYTHON = """
import json, sys
from generated import Client
from generated.api.penguins_eu import predict_penguins_eu
from generated.models import PenguinsEuPrediction, PenguinsEuRecord, Problem

client = Client(base_url=sys.argv[1])
record = PenguinsEuRecord.from_dict(json.loads(sys.argv[2]))
ask = {"client": client, "outputs": "predict,predict_proba", "prefer": "wait=10"}
one = predict_penguins_eu.sync_detailed(**ask, body=record)
assert isinstance(one.parsed, PenguinsEuPrediction), one
several = predict_penguins_eu.sync(**ask, body=[record, record])
record.bill_length_mm = "long"
refused = predict_penguins_eu.sync_detailed(**ask, body=record)
assert isinstance(refused.parsed, Problem), refused
print(json.dumps({
    "label": one.parsed.result.predictions[0].value,
    "isShare": one.parsed.result.probabilities[0].gentoo > 0.5,
    "rows": several.rows,
    "refused": [refused.status_code, refused.parsed.errors[0].pointer],
}))
client.get_httpx_client().close()
"""
_USE_PYDANTIC = """
import json, sys
import models
prediction = models.PenguinsEuPrediction.model_validate_json(sys.argv[1])
record = models.PenguinsEuRecord.model_validate(json.loads(sys.argv[2]))
print(json.dumps({"label": prediction.result.predictions[0].value, "year": record.year}))
"""


@pytest.fixture(scope="module", autouse=True)
def _generators() -> None:
    if not (_VENV / ".installed").exists():
        _lack("the generators are not installed: make .venv-clients/.installed")


def _lack(reason: str) -> None:
    pytest.fail(reason, pytrace=False) if everything_is_required() else pytest.skip(reason)


@pytest.fixture(scope="module")
def serving(prepared: Service, penguins_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two models of one class and nearly one name, and one of odd columns and classes."""
    service = Service(tmp_path_factory.mktemp("clients"), like=prepared)
    schema = f"{EXAMPLE / 'validation.py'}:RawData"
    for name in ("penguins-eu", "penguins.eu"):
        service.manage("upload_model", str(penguins_artifact), "--model", name, "--tag", "1.0", "--schema", schema,
                       "--sample", str(EXAMPLE / "sample.csv"), "--promote")  # fmt: skip
    artifact, schema, sample = _odd_model(service.folder)
    service.manage("upload_model", artifact, "--model", "odd", "--tag", "1.0", "--schema", schema, "--sample", sample,
                   "--promote")  # fmt: skip
    yield service.start()
    service.stop()


def _odd_model(folder: Path) -> tuple[str, str, str]:
    """The paths of its artifact, its schema and its sample."""
    frame = pd.DataFrame({name: [*values, values[0], values[1]][:4] for name, values in _ODD_CHOICES.items()})
    steps = [("encode", OneHotEncoder(handle_unknown="ignore")), ("model", LogisticRegression())]
    joblib.dump(Pipeline(steps).fit(frame, ["<=50K", ">50K", "<=50K", ">50K"]), folder / "odd.joblib")
    columns = {name: {"type": "string", "enum": values} for name, values in _ODD_CHOICES.items()}
    (folder / "odd.json").write_text(json.dumps({"type": "object", "title": "RawData", "properties": columns}))
    (folder / "rows.json").write_text(frame.to_json(orient="records"))
    return str(folder / "odd.joblib"), str(folder / "odd.json"), str(folder / "rows.json")


@pytest.fixture(scope="module")
def document(serving: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "schema.json"
    path.write_bytes(serving.get("/api/schema?format=json").content)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints, which must succeed and complain of nothing."""
    path = f"{_VENV / 'bin'}:{os.environ['PATH']}"  # where openapi-python-client looks for ruff
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd, env={**os.environ, "PATH": path}, check=False, capture_output=True, text=True, timeout=_SECONDS,
    )  # fmt: skip
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert "warn" not in said.lower(), said
    return done.stdout


def python(program: str, *arguments: str, cwd: Path) -> Any:
    (cwd / "use.py").write_text(program)
    return json.loads(run(_VENV / "bin" / "python", "-W", "error", "use.py", *arguments, cwd=cwd))


def test_it_is_a_client_by_openapi_python_client(serving: Service, document: Path, tmp_path: Path) -> None:
    run(
        _VENV / "bin" / "openapi-python-client", "generate", "--path", document, "--output-path",
        tmp_path / "generated", "--meta", "none", "--fail-on-warning", cwd=tmp_path,
    )  # fmt: skip

    said = python(_USE_PYTHON, serving.url, json.dumps(_RECORD), cwd=tmp_path)

    assert said == {"label": "Gentoo", "isShare": True, "rows": 2, "refused": [422, "#/bill_length_mm"]}


def test_it_is_a_client_of_one_model(serving: Service, document: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    one.write_bytes(serving.get("/api/schema?format=json&model=penguins-eu").content)
    run(
        _VENV / "bin" / "openapi-python-client", "generate", "--path", one, "--output-path", tmp_path / "generated",
        "--meta", "none", "--fail-on-warning", cwd=tmp_path,
    )  # fmt: skip

    assert python(_USE_PYTHON, serving.url, json.dumps(_RECORD), cwd=tmp_path)["label"] == "Gentoo"
    assert not list((tmp_path / "generated").rglob("*odd*"))


def test_it_is_classes_by_datamodel_codegen(serving: Service, document: Path, tmp_path: Path) -> None:
    run(
        _VENV / "bin" / "datamodel-codegen", "--input", document, "--input-file-type", "openapi", "--output",
        tmp_path / "models.py", "--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin", cwd=tmp_path,
    )  # fmt: skip
    prediction = serving.post("/api/models/penguins-eu/predict", json=_RECORD, headers={"Prefer": "wait=10"})

    said = python(_USE_PYDANTIC, prediction.text, json.dumps(_RECORD), cwd=tmp_path)

    assert said == {"label": "Gentoo", "year": 2007}


def test_it_is_types_by_openapi_typescript(serving: Service, document: Path, tmp_path: Path) -> None:
    node = require_program("node", "apt-get install nodejs npm", also_called=("nodejs",))
    if not (_NODE / "node_modules").exists():
        _lack("npm was not there when .venv-clients was made: rm -r .venv-clients, make .venv-clients/.installed")
    for name in ("package.json", "use.ts"):
        (tmp_path / name).write_bytes((_PROGRAMS / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(_NODE / "node_modules")
    programs = tmp_path / "node_modules" / ".bin"
    run(programs / "openapi-typescript", document, "-o", "schema.d.ts", cwd=tmp_path)
    run(
        programs / "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "use.ts",
        cwd=tmp_path,
    )  # fmt: skip

    said = json.loads(run(node, "use.js", serving.url, cwd=tmp_path))

    assert said == {"label": "Gentoo", "isShare": True, "rows": 2, "refused": [422, "#/island"]}
