"""What an MLmodel may say; it is written by whoever packs the archive."""

import time
from typing import Any

import pytest

from registry.bundles.errors import UnusableBundle
from registry.bundles.mlflow_model import pinned_versions, read_mlmodel

SKLEARN = b"flavors: {sklearn: {pickled_model: model.pkl, sklearn_version: 1.0.2}}\n"


def refusal(content: bytes, **more: Any) -> str:
    with pytest.raises(UnusableBundle) as caught:
        read_mlmodel(content, **{"wants_schema": True, **more})
    return f"{caught.value.detail} {caught.value.fix}"


def test_it_reads_an_old_one() -> None:
    model = read_mlmodel(SKLEARN, wants_schema=True)

    assert (model.model_file, model.serialization, model.versions["scikit-learn"]) == ("model.pkl", "pickle", "1.0.2")
    assert model.signature is None


@pytest.mark.parametrize("flavor", ["xgboost", "pytorch", "lightgbm", "spark"])
def test_it_names_the_flavor_that_is_no_pipeline(flavor: str) -> None:
    said = refusal(f"flavors: {{{flavor}: {{data: m}}, python_function: {{loader_module: x}}}}".encode())

    assert f"of the flavor {flavor}" in said
    assert "mlflow.sklearn.log_model" in said


@pytest.mark.parametrize("file", ["../model.pkl", "/etc/passwd", "a/../../b", "..\\model.pkl"])
def test_it_refuses_a_file_outside(file: str) -> None:
    assert "lies outside" in refusal(f"flavors: {{sklearn: {{pickled_model: '{file}'}}}}".encode())


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b"{a: " * 200_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(1400)),
        b"- a\n" * 250_000,
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        b"a: &a {k: v}\nb: {<<: [*a, *a]}\n",
        b"\xff\xfe",
        b"a: \0",
        b"? [a]\n: b\n",
        b"a: 1\n---\nb: 2\n",
        b"just a text",
        b"",
    ],
)
def test_it_survives_hostile_yaml(content: bytes) -> None:
    started = time.monotonic()

    assert "not the YAML that MLflow writes" in refusal(content)
    assert time.monotonic() - started < 5


def test_it_makes_no_object_that_yaml_asks_for() -> None:
    assert "names no flavor" in refusal(b"flavors: !!python/object/apply:os.system ['touch /tmp/x']")


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ('[{"name": "a", "type": "binary"}]', "the type binary"),
        ('[{"name": "a", "type": "array", "items": {"type": "long"}}]', "the type array"),
        ('[{"name": "a", "type": ["long"]}]', "the type"),
        ('[{"name": "a", "type": "long"}, {"name": "a", "type": "long"}]', "a column twice"),
        ("[" * 100_000, "not JSON"),
        ('{"a": 1}', "not a list"),
    ],
)
def test_it_refuses_a_signature_that_is_no_record(inputs: str, reason: str) -> None:
    content = SKLEARN + f"signature: {{inputs: '{inputs}'}}".encode()

    assert reason in refusal(content)
    assert read_mlmodel(content, wants_schema=False).signature is None


def test_it_makes_a_schema_of_columns() -> None:
    inputs = (
        '[{"name": "a", "type": "long"}, {"name": 0, "type": "float", "required": false}, '
        '{"name": "c", "type": "datetime", "optional": true}]'
    )
    signature = read_mlmodel(SKLEARN + f"signature: {{inputs: '{inputs}'}}".encode(), wants_schema=True).signature

    assert signature is not None
    assert signature.schema is not None
    assert signature.schema["properties"] == {
        "a": {"type": "integer"},
        "0": {"type": ["number", "null"], "x-dtype": "float32"},
        "c": {"type": ["string", "null"], "format": "date-time"},
    }
    assert signature.schema["required"] == ["a"]


def test_it_keeps_no_version_that_is_none() -> None:
    content = b'flavors: {sklearn: {pickled_model: m, sklearn_version: "1.0\\0"}}'

    assert read_mlmodel(content, wants_schema=True).versions == {}


def test_it_reads_pins_only() -> None:
    found = pinned_versions(b"mlflow==3.1\npandas>=2\n# x==1\n-r more.txt\ngit+https://x\n  - numpy==2.1.0\n\xff==1\n")

    assert found == {"mlflow": "3.1", "numpy": "2.1.0"}
