"""What another scikit-learn trained is told so first, also where it does not load or predict here."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sklearn
from sklearn.linear_model import LinearRegression

from registry.inspection.inspect import inspect
from registry.inspection.report import Check
from registry.inspection.version_request import VersionRequest
from tests import pipelines
from tests.pipelines import OTHER_SKLEARN
from tests.registry.inspection.test_inspect import check_of, failure_of, two_columns

Save = Callable[..., Path]
HERE = sklearn.__version__


@pytest.fixture
def of_an_older(save: Save) -> Callable[[bytes], Path]:
    """`of_an_older(name)`: of another scikit-learn, with this name in the place of LinearRegression's."""

    def make(name: bytes) -> Path:
        path = pipelines.with_other_sklearn(save(two_columns()))
        content = path.read_bytes()
        old = b"sklearn.linear_model._base\x94\x8c\x10LinearRegression"
        assert old in content
        path.write_bytes(content.replace(old, name))
        return path

    return make


GONE = b"sklearn.linear_model._base\x94\x8c\x10RemainderColsLst"


@pytest.mark.parametrize("is_allowed", [True, False])
def test_it_says_the_versions_before_names(of_an_older: Callable[[bytes], Path], is_allowed: bool) -> None:
    failed = failure_of(of_an_older(GONE), VersionRequest(allow_other_versions=is_allowed))

    assert failed.name == "environment"
    assert failed.detail == (
        f"Trained with scikit-learn {OTHER_SKLEARN}, here is {HERE}, and it cannot be loaded here: it refers to "
        "sklearn.linear_model._base.RemainderColsLst."
    )
    assert failed.fix.startswith(f"Train with scikit-learn {HERE}, or install {OTHER_SKLEARN} where mlserve runs.")
    assert "`allow_other_versions` does not help" in failed.fix
    assert "trust" not in f"{failed.detail} {failed.fix}"


def test_it_names_what_else_must_be_trusted(of_an_older: Callable[[bytes], Path]) -> None:
    failed = failure_of(of_an_older(b"no_such_package_of_mine_xy\x94\x8c\x10LinearRegression"), VersionRequest())

    assert failed.name == "names"
    assert failed.detail.startswith(f"Trained with scikit-learn {OTHER_SKLEARN}, here is {HERE}")
    assert "MLSERVE_TRUSTED_MODULES=tests,no_such_package_of_mine_xy" in failed.fix


def test_it_takes_back_the_advice_to_allow_what_does_not_predict(save: Save) -> None:
    pipeline = two_columns()
    del pipeline.named_steps["standardscaler"].scale_
    path = pipelines.with_other_sklearn(save(pipeline))

    inspected = inspect(path, VersionRequest())

    environment, predicts = check_of(inspected, "environment"), check_of(inspected, "predicts")
    assert [each.status for each in (environment, predicts)] == ["failed", "failed"]
    assert "nevertheless" not in environment.fix
    assert f"Trained with scikit-learn {OTHER_SKLEARN}, here is {HERE}, and it cannot predict here" in predicts.detail
    assert "does not help" in predicts.fix


def test_it_says_nothing_of_versions_where_they_are_the_same(save: Save) -> None:
    pipeline = two_columns()
    del pipeline.named_steps["standardscaler"].scale_

    failed: Check = failure_of(save(pipeline), VersionRequest())

    assert failed.name == "predicts"
    assert "Trained with" not in failed.detail


def test_it_keeps_names_first_where_the_versions_are_the_same(save: Save, tmp_path: Path) -> None:
    path = save(LinearRegression())
    path.write_bytes(path.read_bytes().replace(b"\x10LinearRegression", b"\x10RemainderColsLst"))

    failed = failure_of(path, VersionRequest())

    assert failed.name == "names"
    assert "sklearn.linear_model._base.RemainderColsLst" in failed.detail


def test_it_blames_no_version_for_what_is_refused(save: Save) -> None:
    pipeline = two_columns()
    pipeline.named_steps["linearregression"].chain_method_ = "fit_transform"

    failed = failure_of(pipelines.with_other_sklearn(save(pipeline)), VersionRequest())

    assert failed.name == "loads"
    assert "would call the method" in failed.detail
    assert "Trained with" not in failed.detail
