"""Positions that compiled code would follow out of its memory, each put into the state of a fitted model."""

import functools
import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy.interpolate import BSpline, PPoly
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from registry.formats import loading
from registry.formats.loading import Refused
from registry.formats.native_state import CHECKS
from registry.formats.object_scan import require_harmless

ROWS = np.random.default_rng(0).normal(size=(60, 3))
ROWS[:, 2] = np.arange(60) % 3
TARGET = np.arange(60) % 3
FAR = 2**20
Change = Callable[[], Any]


def changed(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


def tree(**columns: Any) -> Any:
    """A fitted tree, of which a column of the nodes starts with another value, or another part of the state is set."""
    estimator = DecisionTreeClassifier().fit(ROWS, TARGET)
    state = estimator.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    for name, value in columns.items():
        if name in state:
            state[name] = value
        else:
            state["nodes"][name][0] = value
    estimator.tree_.__setstate__(state)
    return estimator


def histogram(change: Callable[[Any], Any]) -> Any:
    """Boosting by histograms, of which the first tree is changed."""
    estimator = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2, categorical_features=[2])
    estimator.fit(ROWS, TARGET)
    change(estimator._predictors[0][0])
    return estimator


def node(name: str, value: Any) -> Any:
    def change(predictor: Any) -> None:
        predictor.nodes = predictor.nodes.copy()
        predictor.nodes[name][0] = value

    return histogram(change)


def by_category(**columns: Any) -> Any:
    def change(predictor: Any) -> None:
        predictor.nodes = predictor.nodes.copy()
        for name, value in {"is_categorical": 1, **columns}.items():
            predictor.nodes[name][0] = value

    return histogram(change)


def bin_mapper() -> Any:
    estimator = histogram(lambda _: None)
    return changed(estimator, _bin_mapper=changed(estimator._bin_mapper, bin_thresholds_=[]))


def neighbours(kind: Any, place: int, change: Callable[[Any], Any]) -> Any:
    """A tree of rows, of which one part of the state is changed."""
    made = kind(ROWS, leaf_size=5, metric="minkowski")
    state = list(made.__getstate__())
    state[place] = change(state[place].copy() if isinstance(state[place], np.ndarray) else state[place])
    made.__setstate__(tuple(state))
    return made


def first(value: Any, name: str | None = None) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        (array if name is None else array[name])[0] = value
        return array

    return change


def boosting(**attributes: Any) -> Any:
    return changed(GradientBoostingClassifier(n_estimators=2).fit(ROWS, TARGET), **attributes)


def of_more_features() -> Any:
    trees = boosting().estimators_.copy()
    trees[1, 0] = boosting().fit(np.hstack([ROWS, ROWS]), TARGET).estimators_[0, 0]
    return boosting(estimators_=trees)


def generator(name: str, *path: str, position: int) -> Any:
    made = getattr(np.random, name)(0)
    state = made.state
    part = state
    for key in path:
        part = part[key]
    part["buffer_pos" if name == "Philox" else "pos"] = position
    made.state = state
    return np.random.Generator(made)


def sparse(kind: str, **attributes: Any) -> Any:
    return changed(getattr(scipy.sparse, f"{kind}_array")(np.eye(3)), **attributes)


def lists() -> Any:
    made = scipy.sparse.lil_array(np.eye(3))
    made.rows[0] = [FAR]
    return made


def longer(polynomials: Any) -> Any:
    polynomials.x = np.arange(9.0)
    return polynomials


def vectors(machine: Any, **attributes: Any) -> Any:
    return changed(machine.fit(ROWS @ ROWS.T, TARGET), **attributes)


HOSTILE: Mapping[str, Change] = {
    "a tree's child far away": lambda: tree(left_child=FAR),
    "a tree's child before the first": lambda: tree(right_child=-1),
    "a tree's circle": lambda: tree(left_child=0),
    "a tree's feature": lambda: tree(feature=FAR),
    "a tree's negative feature": lambda: tree(feature=-FAR),
    "a tree's count": lambda: tree(node_count=FAR),
    "a tree without nodes": lambda: tree(node_count=0),
    "a tree of other features": lambda: changed(tree(), n_features_in_=2),
    "a forest's tree": lambda: changed(
        RandomForestClassifier(2).fit(ROWS, TARGET), estimators_=[tree(), tree(left_child=FAR)]
    ),
    "boosting's features": of_more_features,
    "boosting's outputs": lambda: boosting(n_trees_per_iteration_=1),
    "boosting's values": lambda: boosting(estimators_=np.array([[tree(), tree(), tree()]], dtype=object)),
    "a histogram's child": lambda: node("left", FAR),
    "a histogram's circle": lambda: node("right", 0),
    "a histogram's feature": lambda: node("feature_idx", FAR),
    "a histogram's category": lambda: by_category(bitset_idx=FAR),
    "a category of a number": lambda: by_category(bitset_idx=0, feature_idx=1),
    "sets of categories": lambda: histogram(lambda each: changed(each, raw_left_cat_bitsets=np.zeros((1, 1), "u4"))),
    "no node": lambda: histogram(lambda each: changed(each, nodes=each.nodes[:0])),
    "a bin mapper": bin_mapper,
    **{
        f"{kind.__name__}: {name}": functools.partial(neighbours, kind, place, change)
        for kind in (KDTree, BallTree)
        for name, place, change in (
            ("a row", 1, first(FAR)),
            ("fewer rows", 1, lambda order: order[:-1].copy()),
            ("the rows of a node", 2, first(FAR, "idx_end")),
            ("the first row of a node", 2, first(-1, "idx_start")),
            ("a leaf with children", 2, lambda nodes: np.where(nodes["is_leaf"] == 1, nodes[0], nodes)),
            ("bounds", 3, lambda bounds: bounds[:, :1].copy()),
            ("leaves of no rows", 4, lambda _: 0),
            ("levels", 5, lambda _: 20),
            ("nodes", 6, lambda count: count - 2),
            ("weights", 12, lambda _: np.ones(1)),
        )
    },
    "a metric of another size": lambda: neighbours(
        KDTree, 11, lambda _: BallTree(ROWS[:, :2], metric="seuclidean", V=np.ones(2)).__getstate__()[11]
    ),
    "a class of nearest rows": lambda: changed(
        KNeighborsClassifier().fit(ROWS, TARGET), _y=np.where(TARGET == 0, FAR, TARGET)
    ),
    "a class of rows around": lambda: changed(
        RadiusNeighborsClassifier(9).fit(ROWS, np.column_stack([TARGET, TARGET])), _y=np.full((60, 2), FAR)
    ),
    "too few classes of rows": lambda: changed(KNeighborsClassifier().fit(ROWS, TARGET), _y=TARGET[:9]),
    "vectors: the coefficients": lambda: vectors(SVC(), _dual_coef_=np.zeros((2, 1))),
    "vectors: none": lambda: vectors(SVC(), support_vectors_=np.zeros((0, 0))),
    "vectors: the classes": lambda: vectors(SVC(), _n_support=np.full(3, FAR, "i4")),
    "vectors: more classes": lambda: vectors(SVC(), _n_support=np.ones(4, "i4")),
    "vectors: the intercept": lambda: vectors(SVR(), _intercept_=np.zeros(0)),
    "vectors: the probabilities": lambda: vectors(SVC(), _probA=np.zeros(1)),
    "vectors: their own rows": lambda: vectors(SVC(kernel="precomputed"), shape_fit_=(1, 1)),
    "centres": lambda: changed(KMeans(2, n_init=1).fit(ROWS), cluster_centers_=np.zeros((2, 1))),
    "a word's column": lambda: changed(CountVectorizer().fit(["a b", "bb cc"]), vocabulary_={"bb": FAR}),
    "a key's column": lambda: changed(DictVectorizer().fit([{"a": 1}]), vocabulary_={"a": -1}),
    "a compressed column": lambda: sparse("csr", indices=np.array([0, 1, FAR], "i4")),
    "a compressed row": lambda: sparse("csc", indptr=np.array([0, 1, FAR, 3], "i4")),
    "a compressed block": lambda: sparse("bsr", indices=np.array([0, 1, FAR], "i4")),
    "a coordinate": lambda: sparse("coo", coords=(np.array([0, 1, FAR]), np.arange(3))),
    "too few coordinates": lambda: sparse("coo", coords=(np.arange(2), np.arange(2))),
    "one dimension": lambda: sparse("coo", coords=(np.arange(3),)),
    "a diagonal": lambda: sparse("dia", offsets=np.array([0, 1], "i4")),
    "a list's column": lists,
    "a list's values": lambda: changed(lists(), data=np.array([[], [1.0], [1.0]], dtype=object)),
    "a key of a matrix": lambda: sparse("dok", _dict={(FAR, 0): 1.0}),
    "a spline's coefficients": lambda: changed(BSpline(np.arange(9.0), np.ones(5), 3), _c=np.ones(1)),
    "a piece's end": lambda: longer(PPoly(np.ones((2, 3)), np.arange(4.0))),
    "a twister's position": lambda: generator("MT19937", "state", position=FAR),
    "a twister's negative position": lambda: generator("MT19937", "state", position=-2),
    "a buffer's position": lambda: generator("Philox", position=FAR),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_refuses_a_position_outside_of_the_memory(name: str) -> None:
    """Not by way of a file, for writing some of them would already read too far."""
    with pytest.raises(Refused, match="is inconsistent"):
        require_harmless(Pipeline([("model", HOSTILE[name]())]))


@pytest.mark.parametrize("way", ["joblib", "skops"])
def test_it_refuses_it_in_each_format(save: Callable[..., Path], way: str) -> None:
    with pytest.raises(Refused, match="A Tree of the file is inconsistent: a node's child is out of range"):
        loading.load(save(tree(left_child=FAR), f"model.{way}"))


@pytest.mark.parametrize("name", CHECKS)
def test_it_names_classes_that_exist(name: str) -> None:
    module, _, kind = name.rpartition(".")

    assert isinstance(getattr(importlib.import_module(module), kind), type)


@pytest.mark.parametrize("size", [1, 2, 3, 31, 32, 33])
@pytest.mark.parametrize("kind", [KDTree, BallTree])
def test_it_lets_in_trees_of_any_size(kind: Any, size: int) -> None:
    for leaf_size in (1, 2, 40):
        require_harmless(kind(ROWS[:size], leaf_size=leaf_size))


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(kernel="precomputed"),
        SVC(kernel=cosine_similarity),
        RandomForestClassifier(2, ccp_alpha=0.02),
        DecisionTreeClassifier(max_leaf_nodes=4),
        GradientBoostingClassifier(n_estimators=2, init="zero"),
        KNeighborsClassifier(algorithm="brute"),
    ],
    ids=lambda estimator: re.sub(" at 0x[0-9a-f]+", "", str(estimator)),
)
def test_it_lets_in_what_was_fitted(estimator: Any) -> None:
    rows = ROWS @ ROWS.T

    require_harmless(estimator.fit(rows, TARGET))


def test_it_lets_in_what_was_not_fitted() -> None:
    require_harmless([SVC(), KNeighborsClassifier(), KMeans(), CountVectorizer(), HistGradientBoostingClassifier()])
