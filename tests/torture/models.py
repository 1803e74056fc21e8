"""The models that are asked, and the only right answer of each, computed by the pipeline itself beforehand."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.torture import faulty

# A row is one of so many; its answer belongs to no other row, so that mixed-up answers are seen.
XS = 1000
_SCHEMA = {
    "type": "object",
    # `serial` distinguishes requests and means nothing to the model. There is no minimum, because the inspection would
    # try it, and faulty models misbehave below zero.
    "properties": {"x": {"type": "integer", "maximum": XS - 1}, "serial": {"type": "integer"}},
    "required": ["x", "serial"],
    "additionalProperties": False,
}
# How a prediction may end whose rows tell a faulty model to misbehave: status, and the problem's type.
_REFUSED = ("failed", "prediction-failed")
_GIVEN_UP = ("failed", "given-up")


@dataclass(frozen=True)
class Model:
    """`ends` is how its predictions end when a row has a negative x; empty for a healthy model, and one that leaks."""

    name: str
    make: Callable[[], Pipeline]
    ends: tuple[tuple[str, str], ...] = ()
    is_faulty: bool = False

    @cached_property
    def pipeline(self) -> Pipeline:
        return self.make()

    @cached_property
    def answers(self) -> list[Any]:
        """The answer for each x. Trees answer a row in the same way whatever stands beside it, to the last bit."""
        answers: list[Any] = self.pipeline.predict(_frame(range(XS))).tolist()
        return answers

    def expected(self, xs: Sequence[int]) -> list[Any]:
        return [self.answers[max(x, 0)] for x in xs]

    def rows(self, xs: Sequence[int], serial: int) -> list[dict[str, int]]:
        return [{"x": x, "serial": serial} for x in xs]


def _frame(xs: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame({"x": xs, "serial": [0] * len(xs)})


def _numbers(of: Callable[[int], float], *before: tuple[str, Any]) -> Callable[[], Pipeline]:
    def make() -> Pipeline:
        tree = DecisionTreeRegressor(random_state=0)
        # Copies, because models with the same step are fitted and saved in several threads.
        return Pipeline([*deepcopy(before), ("tree", tree)]).fit(_frame(range(XS)), [of(x) for x in range(XS)])

    return make


def _words() -> Pipeline:
    tree = DecisionTreeClassifier(random_state=0)
    return Pipeline([("tree", tree)]).fit(_frame(range(XS)), [f"number {x // 4}" for x in range(XS)])


def _misbehaving(name: str, *ends: tuple[str, str]) -> Model:
    step = (name, FunctionTransformer(getattr(faulty, name)))
    return Model(name, _numbers(lambda x: x + 0.5, step), ends, is_faulty=True)


_SLOW_STEP = ("slow", FunctionTransformer(faulty.takes_time))
HEALTHY = (
    Model("squares", _numbers(lambda x: x * x / 7)),
    Model("words", _words),
    Model("roots", _numbers(math.sqrt, _SLOW_STEP)),
    Model("cubes", _numbers(lambda x: x**3 / 11)),
    Model("halves", _numbers(lambda x: x // 2)),
    Model("waves", _numbers(math.sin)),
)
# Nothing of their own takes time, so that what a caller waits for is the service.
QUICK = frozenset(model.name for model in HEALTHY if model.name != "roots")
FAULTY = (
    _misbehaving("raises", _REFUSED),
    _misbehaving("hangs", _GIVEN_UP),
    _misbehaving("leaks"),
    _misbehaving("exits", _GIVEN_UP),
    _misbehaving("quits", _REFUSED, _GIVEN_UP),
    _misbehaving("crashes", _GIVEN_UP),
    _misbehaving("hogs", _GIVEN_UP),
    _misbehaving("forks", _REFUSED),
)
BY_NAME: Mapping[str, Model] = {model.name: model for model in (*HEALTHY, *FAULTY)}


_CALL_ALL = """
from django.core.management import call_command
for command in {commands!r}:
    call_command(*command)
"""


def publish(models: Sequence[Model], folder: Path, manage: Callable[..., str]) -> None:
    """Upload and promote each by `upload_model`, in two processes, for each takes seconds to start."""
    schema, sample = folder / "schema.json", folder / "sample.csv"
    schema.write_text(json.dumps(_SCHEMA))
    _frame(range(20)).to_csv(sample, index=False)

    def arguments(model: Model) -> list[str]:
        artifact = folder / f"{model.name}.joblib"
        joblib.dump(model.pipeline, artifact)
        files = [str(artifact), "--schema", str(schema), "--sample", str(sample)]
        return ["upload_model", *files, "--model", model.name, "--tag", "1.0", "--public", "--promote"]

    def upload(models: Sequence[Model]) -> None:
        uploads = [arguments(model) for model in models]
        manage("shell", "-c", _CALL_ALL.format(commands=uploads))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(upload, [models[::2], models[1::2]]))
