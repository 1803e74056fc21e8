"""Check the positions that compiled code of scikit-learn, SciPy and NumPy takes from an object unchecked. Pure.

The children of a tree's node, the columns of a sparse matrix or the place in a random generator's buffer: one out of
range reads the memory of the process into an answer, or writes there. No training makes such a position, so an object
with one is refused. Only what can be told exactly is checked; decision 0007 says what is not.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from registry.formats.errors import Refused
from registry.formats.rules import NEVER

# What a state that no library made raises here.
_UNSOUND = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def require_sound_positions(value: Any) -> None:
    """Raises Refused for an object whose library would read or write outside of its memory.

    Takes a pass over the nodes, indices and vocabularies; parts that are missing, as before `fit`, are not required.
    """
    kind: Any = type(value)
    for check in _checks_of(kind):
        try:
            check(value)
        except _UNSOUND as error:
            raise Refused(f"A {kind.__name__} of the file is inconsistent: {error!s:.100}.", NEVER) from error


@cache
def _checks_of(kind: type) -> tuple[Callable[[Any], None], ...]:
    names = (f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
    return tuple(CHECKS[name] for name in names if name in CHECKS)


def _require(holds: Any, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _require_within(positions: Any, end: int, what: str) -> None:
    found = np.asarray(positions)
    _require(found.size == 0 or (found.dtype.kind in "iu" and found.min() >= 0 and found.max() < end), what)


# --- Trees -------------------------------------------------------------------------------------------------------


def _require_children(inner: Any, *children: Any) -> None:
    """Each child stands behind its parent, as all builders write them, so that no path is a circle."""
    own = np.flatnonzero(inner)
    for child in children:
        _require(((child[own] > own) & (child[own] < len(inner))).all(), "a node's child is out of range")


def _check_tree(tree: Any) -> None:
    # Only with a sound count may the nodes be looked at.
    _require(0 < tree.node_count <= tree.capacity, "its number of nodes")
    _require(tree.n_outputs > 0 and tree.max_n_classes > 0, "its number of outputs")
    nodes = tree.__getstate__()["nodes"]
    inner = nodes["left_child"] != -1
    _require_children(inner, nodes["left_child"], nodes["right_child"])
    _require_within(nodes["feature"][inner], tree.n_features, "a node's feature is out of range")


def _check_tree_estimator(estimator: Any) -> None:
    if "tree_" in vars(estimator):
        _require(estimator.tree_.n_features == estimator.n_features_in_, "its tree has other features")


def _check_boosting(estimator: Any) -> None:
    """Its compiled code reads the trees and the rows without looking at their sizes again."""
    if "estimators_" not in vars(estimator):
        return
    _require(estimator.estimators_.shape[1] == estimator.n_trees_per_iteration_, "its number of trees")
    trees = [each.tree_ for each in estimator.estimators_.ravel()]
    _require(len({tree.n_features for tree in trees}) == 1, "its trees have different features")
    _require(all(tree.n_outputs == tree.max_n_classes == 1 for tree in trees), "its trees have several outputs")


def _check_histogram_tree(tree: Any) -> None:
    nodes, bits = tree.nodes, tree.raw_left_cat_bitsets
    inner = nodes["is_leaf"] == 0
    _require(len(nodes) > 0, "it has no node")
    _require_children(inner, nodes["left"], nodes["right"])
    _require_within(nodes["feature_idx"][inner], np.iinfo(np.intp).max, "a node's feature is out of range")
    by_category = inner & (nodes["is_categorical"] != 0)
    _require(bits.shape[1] == tree.binned_left_cat_bitsets.shape[1] == 8, "its sets of categories")
    _require_within(nodes["bitset_idx"][by_category], len(bits), "a node's set of categories is out of range")


def _check_histogram_boosting(estimator: Any) -> None:
    state = vars(estimator)
    if "_predictors" not in state:
        return
    mapper = vars(state["_bin_mapper"])
    known = np.asarray(mapper["is_categorical_"], dtype=bool)
    features = state["_n_features"]
    _require(features == len(known) == len(mapper["bin_thresholds_"]), "its number of features")
    for tree in (each for stage in state["_predictors"] for each in stage):
        inner = tree.nodes[tree.nodes["is_leaf"] == 0]
        _require_within(inner["feature_idx"], features, "a node's feature is out of range")
        by_category = inner["feature_idx"][inner["is_categorical"] != 0]
        _require(known[by_category].all(), "a node asks a number for its category")


# --- Neighbours --------------------------------------------------------------------------------------------------


def _check_ball_or_kd_tree(tree: Any) -> None:
    data, order, nodes, bounds, leaf_size, levels, count, *_, metric, weights = tree.__getstate__()
    rows, nodes = len(data), np.asarray(nodes)
    _require(leaf_size > 0 and count == len(nodes) == 2**levels - 1, "its number of nodes")
    _require(bounds.shape[1:] == (count, data.shape[1]), "the bounds of its nodes")
    _require(len(order) == rows and (weights is None or len(weights) == rows), "its number of rows")
    _require_within(order, rows, "a row is out of range")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _require(((start >= 0) & (start <= end) & (end <= rows)).all(), "a node's rows are out of range")
    inner = nodes["is_leaf"] == 0
    _require((2 * np.flatnonzero(inner) + 2 < count).all(), "a node's child is out of range")
    # What the tree's own constructor asks of a metric with a size.
    metric._validate_data(np.asarray(data))


def _check_labels(estimator: Any) -> None:
    """Compiled code counts the neighbours of each class in a row of so many numbers."""
    state = vars(estimator)
    if "_y" not in state:
        return
    labels, classes = np.asarray(state["_y"]), estimator.classes_
    columns = [labels] if labels.ndim == 1 else list(labels.T)
    for column, known in zip(columns, classes if isinstance(classes, list) else [classes], strict=True):
        _require_within(column, len(known), "a row's class is out of range")
    _require(len(labels) == estimator.n_samples_fit_ == state["_fit_X"].shape[0], "its number of rows")


# --- Other estimators --------------------------------------------------------------------------------------------


def _check_vectors(estimator: Any) -> None:
    """libsvm takes the sizes of all its arrays from two of them."""
    state = vars(estimator)
    if "support_" not in state:
        return
    vectors, classes = len(estimator.support_), len(state["_n_support"])
    pairs = classes * (classes - 1) // 2
    coefficients = state["_dual_coef_"]
    _require(coefficients.shape == (classes - 1, vectors), "its coefficients")
    _require(coefficients.size == (classes - 1) * vectors, "its coefficients")
    _require(len(state["_intercept_"]) == pairs, "its intercepts")
    _require(all(len(state[name]) in (0, pairs) for name in ("_probA", "_probB")), "its probabilities")
    if estimator._impl in ("c_svc", "nu_svc"):
        counts = np.asarray(state["_n_support"], dtype=np.int64)
        _require(counts.min() >= 0 and counts.sum() == vectors, "its number of support vectors")
    if callable(estimator.kernel) or estimator.kernel == "precomputed":
        _require_within(estimator.support_, estimator.shape_fit_[0], "a support vector is out of range")
    else:
        _require(estimator.support_vectors_.shape[0] == vectors, "its number of support vectors")


def _check_centres(estimator: Any) -> None:
    if "cluster_centers_" in vars(estimator):
        _require(estimator.cluster_centers_.shape[1] == estimator.n_features_in_, "its centres have other features")


def _check_vocabulary(vectorizer: Any) -> None:
    words = vars(vectorizer).get("vocabulary_")
    if words is not None:
        columns = np.fromiter(words.values(), dtype=np.int64, count=len(words))
        _require_within(columns, len(words), "a word's column is out of range")


# --- SciPy and NumPy ---------------------------------------------------------------------------------------------


def _check_compressed(matrix: Any) -> None:
    matrix.check_format(full_check=True)


def _check_coordinates(matrix: Any) -> None:
    _require(len(matrix.coords) == len(matrix.shape), "its number of coordinates")
    for positions, end in zip(matrix.coords, matrix.shape, strict=True):
        _require(positions.shape == matrix.data.shape, "its number of coordinates")
        _require_within(positions, end, "a coordinate is out of range")


def _check_diagonals(matrix: Any) -> None:
    _require(matrix.data.ndim == 2 and matrix.offsets.shape == matrix.data.shape[:1], "its number of diagonals")


def _check_lists(matrix: Any) -> None:
    _require(matrix.rows.shape == matrix.data.shape == matrix.shape[:1], "its number of rows")
    for columns, values in zip(matrix.rows, matrix.data, strict=True):
        _require(len(columns) == len(values), "its number of values")
        _require_within(columns, matrix.shape[1], "a column is out of range")


def _check_keys(matrix: Any) -> None:
    keys = np.array(list(matrix.keys())).reshape(-1, len(matrix.shape))
    for positions, end in zip(keys.T, matrix.shape, strict=True):
        _require_within(positions, end, "a key is out of range")


def _check_spline(spline: Any) -> None:
    type(spline)(spline.t, spline.c, spline.k)


def _check_polynomials(polynomials: Any) -> None:
    type(polynomials)(polynomials.c, polynomials.x)


def _check_mersenne_twister(generator: Any) -> None:
    _require(0 <= generator.state["state"]["pos"] <= 624, "its position")


def _check_philox(generator: Any) -> None:
    _require(0 <= generator.state["buffer_pos"] <= 4, "its position")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "numpy.random._mt19937.MT19937": _check_mersenne_twister,
    "numpy.random._philox.Philox": _check_philox,
    "scipy.interpolate._bsplines.BSpline": _check_spline,
    "scipy.interpolate._interpolate.PPoly": _check_polynomials,
    "scipy.sparse._compressed._cs_matrix": _check_compressed,
    "scipy.sparse._coo._coo_base": _check_coordinates,
    "scipy.sparse._dia._dia_base": _check_diagonals,
    "scipy.sparse._dok._dok_base": _check_keys,
    "scipy.sparse._lil._lil_base": _check_lists,
    "sklearn.cluster._kmeans._BaseKMeans": _check_centres,
    "sklearn.ensemble._gb.BaseGradientBoosting": _check_boosting,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.BaseHistGradientBoosting": _check_histogram_boosting,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _check_histogram_tree,
    "sklearn.feature_extraction._dict_vectorizer.DictVectorizer": _check_vocabulary,
    "sklearn.feature_extraction.text.CountVectorizer": _check_vocabulary,
    "sklearn.neighbors._ball_tree.BinaryTree32": _check_ball_or_kd_tree,
    "sklearn.neighbors._ball_tree.BinaryTree64": _check_ball_or_kd_tree,
    "sklearn.neighbors._classification.KNeighborsClassifier": _check_labels,
    "sklearn.neighbors._classification.RadiusNeighborsClassifier": _check_labels,
    "sklearn.neighbors._kd_tree.BinaryTree32": _check_ball_or_kd_tree,
    "sklearn.neighbors._kd_tree.BinaryTree64": _check_ball_or_kd_tree,
    "sklearn.svm._base.BaseLibSVM": _check_vectors,
    "sklearn.tree._classes.BaseDecisionTree": _check_tree_estimator,
    "sklearn.tree._tree.Tree": _check_tree,
}
