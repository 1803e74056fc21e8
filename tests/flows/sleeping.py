"""A model that takes as many seconds as its rows say, and then answers 1.5. Its step is of a module of one's own, which
must be on Python's path and trusted where the model is served.
"""

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

_MODULE = "house_steps"
_CODE = '''"""Steps of our house."""

import time


def sleep(frame):
    for seconds in frame["seconds"]:
        time.sleep(seconds)
    return frame * 0
'''
_SCHEMA = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}


@dataclass(frozen=True)
class Sleeper:
    artifact: Path
    schema: Path
    module: Path

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment of the service that serves it, on this machine."""
        return {"PYTHONPATH": str(self.module.parent), "MLSERVE_TRUSTED_MODULES": self.module.stem}

    @property
    def upload_options(self) -> list[str]:
        """Of `upload_model`, behind the artifact."""
        return ["--model", "sleeper", "--tag", "1.0", "--schema", str(self.schema), "--public", "--promote"]


def save_sleeper(folder: Path) -> Sleeper:
    module, schema, artifact = folder / f"{_MODULE}.py", folder / "schema.json", folder / "sleeper.joblib"
    module.write_text(_CODE)
    schema.write_text(json.dumps(_SCHEMA))
    sys.path.insert(0, str(folder))
    try:
        step = FunctionTransformer(importlib.import_module(_MODULE).sleep)
        pipeline = Pipeline([("sleep", step), ("answer", LinearRegression())])
        joblib.dump(pipeline.fit(pd.DataFrame({"seconds": [0.0, 0.0]}), [1.0, 2.0]), artifact)
    finally:
        sys.path.remove(str(folder))
    return Sleeper(artifact, schema, module)
