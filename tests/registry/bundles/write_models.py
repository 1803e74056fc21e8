"""Writes models as MLflow's users do. Runs in `.venv-mlflow`: `python write_models.py FOLDER`.

MLflow asks pip for the requirements of each model unless they are given, which takes seconds; only autolog does here.
"""

import os
import sys
from pathlib import Path

os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", GIT_PYTHON_REFRESH="quiet")

import mlflow  # type: ignore[import-not-found]
import mlflow.pyfunc  # type: ignore[import-not-found]
import mlflow.sklearn  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
import sklearn
from mlflow.models import infer_signature  # type: ignore[import-not-found]
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PINS = [f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"]
FRAME = pd.DataFrame(
    {
        "visits": [20, 30, 40, 50] * 5,
        "income": [1.5, 2.5, np.nan, 4.5] * 5,
        "rooms": [1, 2, 2, 3] * 5,
        "city": ["Aarhus", "Bonn", "Aarhus", "Como"] * 5,
    }
)
LABELS = np.array(["stays", "goes", "stays", "goes"] * 5)


class Doubling(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, context: object, model_input: pd.DataFrame) -> pd.DataFrame:
        return model_input * 2


def pipeline() -> Pipeline:
    """`visits` is passed on untouched, as columns are that no encoder or imputer knows."""
    columns = [
        ("numbers", SimpleImputer(), ["income", "rooms"]),
        ("texts", OneHotEncoder(handle_unknown="error"), ["city"]),
    ]
    return make_pipeline(ColumnTransformer(columns, remainder="passthrough"), LogisticRegression()).fit(FRAME, LABELS)


def write_all() -> None:
    fitted, array = pipeline(), FRAME[["visits", "rooms"]].to_numpy()
    signature = infer_signature(FRAME, fitted.predict(FRAME))
    described = {"signature": signature, "input_example": FRAME.head(3), "pip_requirements": PINS}
    for name in ("cloudpickle", "pickle"):
        mlflow.sklearn.save_model(fitted, name, serialization_format=name, **described)
    trusted = ["numpy.dtype", "builtins.slice"]
    mlflow.sklearn.save_model(fitted, "skops", serialization_format="skops", skops_trusted_types=trusted, **described)
    on_array = make_pipeline(StandardScaler(), LogisticRegression()).fit(array, LABELS)
    mlflow.sklearn.save_model(on_array, "array", input_example=array[:3], pip_requirements=PINS)
    texts = make_pipeline(CountVectorizer(), LogisticRegression()).fit(FRAME["city"], LABELS)
    pickled = {"serialization_format": "cloudpickle", "pip_requirements": PINS}
    mlflow.sklearn.save_model(texts, "texts", input_example=["Bonn", "Aarhus"], **pickled)
    with_params = infer_signature(FRAME, fitted.predict(FRAME), params={"threshold": 0.5})
    Path("our_code.py").write_text("ANSWER = 42\n")
    mlflow.sklearn.save_model(
        fitted,
        "extras",
        signature=with_params,
        code_paths=["our_code.py"],
        pyfunc_predict_fn="predict_proba",
        **pickled,
    )
    mlflow.sklearn.save_model(LogisticRegression().fit(array, LABELS), "bare", **pickled)
    mlflow.pyfunc.save_model("pyfunc", python_model=Doubling(), pip_requirements=PINS)
    mlflow.sklearn.save_model(fitted, "binary", signature=infer_signature(pd.DataFrame({"image": [b"x"]})), **pickled)


def write_by_autolog() -> None:
    mlflow.set_tracking_uri(Path("runs").resolve().as_uri())
    mlflow.sklearn.autolog(log_input_examples=True, serialization_format="cloudpickle")
    pipeline()


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    write_all()
    write_by_autolog()
