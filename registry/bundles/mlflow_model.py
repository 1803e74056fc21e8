"""What an MLmodel file says: which file is the pipeline, and what describes it. Pure.

https://mlflow.org/docs/latest/ml/model/ : an MLmodel lists *flavors*, ways to load what lies beside it. Of these
`sklearn` is one pickle or skops file. All that it says is a claim: the file itself decides what is loaded, and as what.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from registry.bundles.errors import OF_A_STRANGER, UnusableBundle, listed
from registry.bundles.signature import Signature, read_signature

MAX_MLMODEL_BYTES = 2**20
# Without signature, whose text is one value, an MLmodel has about a hundred.
_MOST_VALUES, _MOST_NESTED = 20_000, 20
_LOG_A_PIPELINE = (
    "Log the fitted scikit-learn Pipeline with mlflow.sklearn.log_model(pipeline, …), or save it with "
    "joblib.dump(pipeline, 'model.joblib') and upload that file."
)
_PIN = re.compile(r"^\s*(?:-\s*)?([A-Za-z0-9][\w.-]{0,60})==([\w.+!-]{1,40})\s*$", re.MULTILINE | re.ASCII)
_VERSION = re.compile(r"[\w.+!-]{1,40}", re.ASCII)
_MOST_PINS = 50


@dataclass(frozen=True)
class MlflowModel:
    """Paths are relative to the MLmodel. `predict_fn` is what MLflow's own server calls."""

    model_file: str
    serialization: str
    written_by: str
    signature: Signature | None
    example_file: str | None
    code_folder: str | None
    predict_fn: str
    versions: Mapping[str, str]


def read_mlmodel(content: bytes, *, wants_schema: bool) -> MlflowModel:
    """Raises UnusableBundle for what is no pipeline, and, if it is wanted, for a signature that is no record."""
    document = _parsed(content)
    flavors = _mapping(document.get("flavors"))
    sklearn, python = _mapping(flavors.get("sklearn")), _mapping(flavors.get("python_function"))
    model_file = _text(sklearn.get("pickled_model"))
    if not sklearn and _text(python.get("loader_module")) == "mlflow.sklearn":
        model_file = _text(python.get("model_path")) or _text(python.get("data"))
    if not model_file:
        raise _other_flavor(flavors, python)
    example = _mapping(document.get("saved_input_example_info"))
    is_sparse = _text(example.get("type")).startswith("sparse")
    written_by = _text(document.get("mlflow_version"))
    return MlflowModel(
        model_file=_inside(model_file),
        serialization=_text(sklearn.get("serialization_format")) or "pickle",
        written_by=f"mlflow {written_by}" if written_by else "an old mlflow",
        signature=read_signature(document.get("signature")) if wants_schema else None,
        example_file=_inside(_text(example.get("artifact_path"))) if example and not is_sparse else None,
        code_folder=_text(sklearn.get("code")) or _text(python.get("code")) or None,
        predict_fn=_text(python.get("predict_fn")) or "predict",
        versions={
            name: version
            for name, version in (
                ("scikit-learn", _text(sklearn.get("sklearn_version"))),
                ("python", _text(python.get("python_version"))),
            )
            if _VERSION.fullmatch(version)
        },
    )


def pinned_versions(requirements: bytes) -> dict[str, str]:
    """`name==version` of the lines of a requirements.txt or conda.yaml."""
    text = requirements.decode("utf-8", "replace")
    return dict(list(dict(_PIN.findall(text)).items())[:_MOST_PINS])


def _other_flavor(flavors: Mapping[str, Any], python: Mapping[str, Any]) -> UnusableBundle:
    others = [name for name in flavors if name != "python_function"]
    if others:
        name = listed(sorted(others))
        return UnusableBundle(
            f"It is an MLflow model of the flavor {name}; a pipeline has the flavor sklearn.",
            f"Put the estimator of {name} into a scikit-learn Pipeline, if it has scikit-learn's interface. "
            f"{_LOG_A_PIPELINE}",
        )
    if python:
        loader = listed([_text(python.get("loader_module")) or "its own"])
        return UnusableBundle(
            f"It is an MLflow model that predicts with Python code of its own (python_function, loaded by {loader}), "
            "not a scikit-learn pipeline. Such code is not run here.",
            _LOG_A_PIPELINE,
        )
    return UnusableBundle("Its MLmodel names no flavor.", _LOG_A_PIPELINE)


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        text = content.decode("utf-8-sig")
        _require_plain(yaml.parse(text, Loader=yaml.CBaseLoader))
        # The base loader knows texts, lists and mappings only.
        document = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, TypeError) as error:
        reason = listed([" ".join(str(error).split())])
        raise UnusableBundle(f"Its MLmodel is not the YAML that MLflow writes ({reason}).", OF_A_STRANGER) from error
    if not isinstance(document, Mapping):
        raise UnusableBundle("Its MLmodel is not the YAML that MLflow writes.", OF_A_STRANGER)
    return document


def _require_plain(events: Iterator[Any]) -> None:
    """Raise YAMLError for what would exhaust the stack or the memory of a process that builds it."""
    depth = 0
    for number, event in enumerate(events):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias")
        if depth > _MOST_NESTED or number > _MOST_VALUES:
            raise yaml.YAMLError("it is nested too deeply" if depth > _MOST_NESTED else "it has too many values")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    """'' for YAML's null, which the base loader gives as it is written."""
    return "" if not isinstance(value, str) or value in ("null", "~") else value


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise UnusableBundle(f"Its MLmodel names the file {listed([name])}, which lies outside.", OF_A_STRANGER)
    return str(path)
