from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from registry.pipelines.calls import (
    available_outputs,
    class_labels,
    require_fitted_pipeline,
    run_rows,
    use_one_thread,
)
from registry.pipelines.errors import Unusable, WrongAnswerCount
from registry.sources.schemas import from_pipeline
from tests import pipelines

X = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [10.0, 20, 30, 40, 50, 60], "c": [0.0, 1, 0, 1, 0, 1]})
Y = np.array([0, 1, 0, 1, 0, 1])
BOTH = np.column_stack([Y, 1 - Y])
ROW = {"a": 1.0, "b": 10.0, "c": 0.0}


def answered(estimator: Any, target: Any = Y, rows: int = 1) -> dict[str, list[Any]]:
    """What a pipeline of the estimator answers, by every method that it has."""
    pipeline = Pipeline([("model", estimator)]).fit(X, target)
    return run_rows(pipeline, from_pipeline(pipeline, [ROW]).schema, [ROW] * rows, available_outputs(pipeline))


@pytest.mark.parametrize(
    "candidate",
    [LogisticRegression().fit(X, Y), None, "pipeline", Pipeline],
    ids=["estimator", "none", "text", "class"],
)
def test_it_refuses_what_is_no_pipeline(candidate: Any) -> None:
    with pytest.raises(Unusable, match=r"not a sklearn\.pipeline\.Pipeline") as refusal:
        require_fitted_pipeline(candidate)

    assert "into one Pipeline" in refusal.value.fix


@pytest.mark.parametrize(
    ("candidate", "fix"),
    [
        ({"model": Pipeline([("model", KMeans())])}, "nothing around it"),
        (LinearRegression().fit(X, Y), "save Pipeline([('model', it)]) instead"),
    ],
    ids=["dict", "estimator"],
)
def test_it_says_where_the_pipeline_is(candidate: Any, fix: str) -> None:
    with pytest.raises(Unusable) as refusal:
        require_fitted_pipeline(candidate)

    assert fix in refusal.value.fix


def test_it_refuses_a_pipeline_that_is_not_fitted() -> None:
    with pytest.raises(Unusable, match="not fitted") as refusal:
        require_fitted_pipeline(make_pipeline(StandardScaler(), LogisticRegression()))

    assert refusal.value.fix == "Call pipeline.fit(X, y) before saving it."


@pytest.mark.parametrize("last", [StandardScaler(), "passthrough", None], ids=str)
def test_it_refuses_a_pipeline_that_cannot_predict(last: Any) -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("last", last)]).fit(X, Y)

    with pytest.raises(Unusable, match="last step cannot predict"):
        require_fitted_pipeline(pipeline)


@pytest.mark.parametrize(
    "steps",
    [
        [LogisticRegression()],
        ["passthrough", LogisticRegression()],
        [StandardScaler(), None, LogisticRegression()],
        [FunctionTransformer(), LogisticRegression()],
        [pipelines.Stateless(), LogisticRegression()],
        [make_pipeline(pipelines.Stateless(), SimpleImputer()), StandardScaler(), LogisticRegression()],
        [ColumnTransformer([("own", pipelines.Stateless(), ["a"])]), LogisticRegression()],
        [KMeans(2, n_init=1)],
        [GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2)],
        [make_pipeline(StandardScaler(), LogisticRegression())],
    ],
    ids=lambda steps: " ".join(type(step).__name__ for step in steps),
)
def test_it_accepts_a_fitted_pipeline(steps: list[Any]) -> None:
    pipeline = Pipeline([(str(index), step) for index, step in enumerate(steps)]).fit(X, Y)

    require_fitted_pipeline(pipeline)

    assert len(pipeline.predict(X)) == len(X)


@pytest.mark.parametrize(
    ("estimator", "outputs"),
    [
        (LogisticRegression(), ["predict", "predict_proba", "decision_function"]),
        (SVC(), ["predict", "decision_function"]),
        (KNeighborsClassifier(2), ["predict", "predict_proba"]),
        (LinearRegression(), ["predict"]),
    ],
    ids=str,
)
def test_it_knows_what_a_pipeline_can_answer(estimator: Any, outputs: list[str]) -> None:
    assert available_outputs(Pipeline([("model", estimator)]).fit(X, Y)) == outputs


@pytest.mark.parametrize(
    ("estimator", "target", "labels"),
    [
        (LogisticRegression(), Y, [0, 1]),
        (LogisticRegression(), Y.astype(bool), [False, True]),
        (LogisticRegression(), np.where(Y, "yes", "no"), ["no", "yes"]),
        (LinearRegression(), Y, None),
        (MultiOutputClassifier(LogisticRegression()), BOTH, [[0, 1], [0, 1]]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_it_reads_the_labels(estimator: Any, target: Any, labels: Any) -> None:
    found = class_labels(Pipeline([("model", estimator)]).fit(X, target))

    assert found == labels
    assert found is None or type(found[0]) is type(labels[0])


def test_it_answers_with_every_method() -> None:
    answers = answered(LogisticRegression(), np.where(Y, "yes", "no"))

    assert set(answers) == {"predictions", "probabilities", "decision_function"}
    assert answers["predictions"] == ["no"]
    assert set(answers["probabilities"][0]) == {"no", "yes"}
    assert isinstance(answers["decision_function"][0], float)


@pytest.mark.parametrize(
    "estimator",
    [MultiOutputClassifier(LogisticRegression()), KNeighborsClassifier(2), ClassifierChain(LogisticRegression())],
    ids=str,
)
def test_it_lists_several_outputs_per_row(estimator: Any) -> None:
    answers = answered(estimator, BOTH, rows=2)

    assert [len(row) for row in answers["predictions"]] == [2, 2]
    for row in answers["probabilities"]:
        assert [set(each) for each in row] == [{"0", "1"}, {"0", "1"}]
        assert [sum(each.values()) for each in row] == pytest.approx([1, 1])


def test_it_lists_the_outputs_of_a_regressor() -> None:
    answers = answered(LinearRegression(), X[["a", "b"]])

    assert answers["predictions"][0] == pytest.approx([1, 10])


def test_it_counts_the_answers() -> None:
    with pytest.raises(WrongAnswerCount, match="predict gave 1 answers for 3 rows"):
        answered(pipelines.AnswersOnce(), rows=3)


def test_it_lets_the_pipelines_own_error_through() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression().fit(X, Y))])

    with pytest.raises(NotFittedError):
        run_rows(
            pipeline,
            from_pipeline(Pipeline([("model", LogisticRegression())]).fit(X, Y), []).schema,
            [ROW],
            ["predict"],
        )


@pytest.fixture
def _fitted_in_threads() -> Iterator[None]:
    """Processes would take seconds to start."""
    with joblib.parallel_config("threading"):
        yield


def jobs_in(estimator: Any) -> list[int]:
    return [each.n_jobs for each in (estimator, *estimator.estimators_)]


def test_it_uses_one_thread_in_every_step() -> None:
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier(2, n_jobs=4)).fit(X, Y)

    use_one_thread(pipeline)

    assert pipeline[-1].n_jobs == 1


@pytest.mark.usefixtures("_fitted_in_threads")
def test_it_uses_one_thread_in_the_fitted_copies_of_a_column_transformer() -> None:
    union = FeatureUnion([("scale", StandardScaler())], n_jobs=3)
    columns = ColumnTransformer([("union", make_pipeline(union), ["a", "b"])], n_jobs=2)
    pipeline = make_pipeline(columns, LogisticRegression()).fit(X, Y)

    use_one_thread(pipeline)

    assert columns.n_jobs == 1
    assert columns.named_transformers_["union"][0].n_jobs == 1


@pytest.mark.usefixtures("_fitted_in_threads")
@pytest.mark.parametrize(
    "estimator",
    [
        BaggingClassifier(RandomForestClassifier(2, n_jobs=4), 2, n_jobs=2),
        StackingClassifier([("forest", RandomForestClassifier(2, n_jobs=4))], cv=2, n_jobs=2),
    ],
    ids=["bagging", "stacking"],
)
def test_it_uses_one_thread_in_the_fitted_parts_of_an_ensemble(estimator: Any) -> None:
    pipeline = make_pipeline(estimator).fit(X, Y)

    use_one_thread(pipeline)

    assert jobs_in(pipeline[-1]) == [1] * len(jobs_in(pipeline[-1]))


@pytest.mark.usefixtures("_fitted_in_threads")
def test_it_uses_one_thread_in_the_best_of_a_search() -> None:
    search = GridSearchCV(KNeighborsClassifier(n_jobs=3), {"n_neighbors": [1, 2]}, cv=2)
    pipeline = make_pipeline(search).fit(X, Y)

    use_one_thread(pipeline)

    assert pipeline[-1].best_estimator_.n_jobs == 1
