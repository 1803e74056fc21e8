"""Every place of the installed scikit-learn that reaches an attribute by a name that is a value: where it comes from.

A file could set such a value. So a new release that has another place fails here; read it, and either let
registry/formats/object_scan.py check the value, or say in this table why no file can choose it.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import sklearn

from registry.formats.object_scan import CHOICES, FEATURE_NAMES, IMPORTANCE

ROOT = Path(sklearn.__file__).parent
# For developers, or for people who look at a model; the service calls none of it.
LEFT_OUT = {
    "tests", "externals", "datasets", "inspection", "_plot", "_repr_html", "_test_common", "_build_utils",
    "_testing.py", "conftest.py", "discovery.py", "estimator_checks.py", "_mocking.py", "_plotting.py", "_export.py",
}  # fmt: skip
# The function, and which of its arguments is the name.
BY_NAME = {
    "getattr": 1, "attrgetter": 0, "methodcaller": 0, "import_module": 0, "__import__": 0, "__getattribute__": 0,
    "_check_response_method": 1, "_get_response_values": 2, "_get_response_values_binary": 2, "eval": 0, "exec": 0,
}  # fmt: skip

REASONS: Mapping[str, str] = {
    "an attribute that the scan of objects checks": """
compose/_column_transformer.py _feature_names_out_with_str_format: str_format
ensemble/_stacking.py _BaseStacking._transform: meth
feature_selection/_base.py _get_feature_importances: getter
metrics/_scorer.py _Scorer._score: self._response_method
metrics/_scorer.py _MultimetricScorer._use_cache: scorer._response_method
model_selection/_classification_threshold.py FixedThresholdClassifier.predict: self._get_response_method()
model_selection/_classification_threshold.py TunedThresholdClassifierCV.predict: self._get_response_method()
multioutput.py _BaseChain._get_predictions: chain_method
multioutput.py _BaseChain._get_predictions: output_method
multioutput.py _BaseChain.fit: self.chain_method
""",
    "what one of those callers passes on": """
metrics/_scorer.py _cached_call: response_method
utils/_response.py _get_response_values: response_method
utils/_response.py _get_response_values_binary: response_method
utils/validation.py _check_response_method: method
""",
    "the name of what was found by one of four words; numpy_interfaces lets only functions have one": """
calibration.py CalibratedClassifierCV.fit: method.__name__
calibration.py _fit_calibrator: method.__name__
calibration.py _CalibratedClassifier.predict_proba: method.__name__
metrics/_scorer.py _MultimetricScorer._use_cache: method.__name__
metrics/_scorer.py _get_response_method_name: method.__name__
utils/_response.py _get_response_values: method.__name__
""",
    "in `fit` only": """
base.py _fit_context.decorator.wrapper: method.__name__
callback/_callback_context.py CallbackContext._call_hooks: hook_name
ensemble/_base.py BaseEnsemble._make_estimator: p
ensemble/_gb.py VerboseReporter.update: self.verbose_fmt
ensemble/_stacking.py _BaseStacking._method_name: method
ensemble/_stacking.py _BaseStacking._method_name: method.__name__
ensemble/_stacking.py _BaseStacking.fit: predict_method
model_selection/_validation.py _fit_and_predict: method
multioutput.py _BaseChain.fit: method.__name__
""",
    "the parameters or methods of the class, or words of the source": """
__init__.py __getattr__: f'sklearn.{name}'
base.py BaseEstimator.get_params: key
gaussian_process/kernels.py Kernel.get_params: arg
gaussian_process/kernels.py Kernel.hyperparameters: attr
kernel_approximation.py Nystroem._get_kernel_params: param
model_selection/_search.py _search_estimator_has.check: attr
model_selection/_split.py _build_repr: key
multiclass.py _estimators_has.check: attr
pipeline.py _final_estimator_has.check: attr
utils/_metadata_requests.py MetadataRequest.__sklearn_clone__: method
utils/_metadata_requests.py MetadataRequest.consumes: method
utils/_metadata_requests.py MetadataRequest.__getattr__: method
utils/_metadata_requests.py MetadataRequest._get_param_names: method
utils/_metadata_requests.py MetadataRequest._route_params: method
utils/_metadata_requests.py MetadataRequest._check_warnings: method
utils/_metadata_requests.py MetadataRequest._serialize: method
utils/_metadata_requests.py RequestMethod.__get__.func: self.name
utils/_metadata_requests.py _MetadataRequester._get_class_level_metadata_request_values: method_name
utils/_param_validation.py HasMethods.is_satisfied_by: method
utils/_set_output.py check_library_installed: library
utils/_set_output.py _SetOutputMixin.__init_subclass__: method
utils/metaestimators.py _BaseComposition._get_params: attr
utils/metaestimators.py _BaseComposition._set_params: attr
utils/metaestimators.py _BaseComposition._replace_estimator: attr
utils/validation.py _check_large_sparse: key
utils/validation.py check_symmetric: conversion
utils/validation.py _estimator_has.check: delegate
utils/validation.py _estimator_has.check: attr
""",
    "what the caller asks a frozen estimator for": """
frozen/_frozen.py _estimator_has.check: attr
frozen/_frozen.py FrozenEstimator.__getattr__: name
""",
    "a property of SciPy's classes": """
utils/_sparse.py _align_api_if_sparse: X.format + '_array'
utils/_sparse.py _align_api_if_sparse: X.format + '_matrix'
""",
    "reads what kind of array an attribute is, and calls nothing": """
utils/_array_api.py check_same_namespace: attribute
""",
    "a template of the source": """
feature_selection/_variance_threshold.py VarianceThreshold.fit: msg
metrics/_classification.py _warn_prf: msg
metrics/_classification.py classification_report: head_fmt
metrics/_classification.py classification_report: row_fmt
metrics/_classification.py classification_report: row_fmt_accuracy
multiclass.py OneVsRestClassifier.partial_fit: 'Mini-batch contains {0} while classes ' + 'must be subset of {1}'
neighbors/_nca.py NeighborhoodComponentsAnalysis._loss_grad_lbfgs: header_fmt
neighbors/_nca.py NeighborhoodComponentsAnalysis._loss_grad_lbfgs: values_fmt
preprocessing/_encoders.py OneHotEncoder._set_drop_idx: msg
preprocessing/_encoders.py OneHotEncoder.inverse_transform: msg
preprocessing/_encoders.py OrdinalEncoder.inverse_transform: msg
preprocessing/_function_transformer.py FunctionTransformer.transform: warn_msg
utils/_metadata_requests.py RequestMethod.__get__: REQUESTER_DOC
utils/_metadata_requests.py RequestMethod.__get__: REQUESTER_DOC_PARAM
""",
}
PLACES = {line for lines in REASONS.values() for line in lines.strip().splitlines()}
# Attributes of algorithms, which are compared with words of the source, and own methods.
OTHER_METHODS = {
    "_check_method_params", "_fit_method", "_get_response_method", "_method_name", "cluster_method",
    "cluster_selection_method", "learning_method", "method", "methods", "path_method", "quantile_method", "svd_method",
}  # fmt: skip


def constant(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.List | ast.Tuple) and all(constant(each) for each in node.elts)
    )


def word_of(call: ast.Call) -> ast.expr | None:
    """What names the attribute; None for another call."""
    function = call.func
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    if name in ("format", "format_map") and isinstance(function, ast.Attribute):
        return function.value
    if name not in BY_NAME:
        return None
    by_keyword = [each.value for each in call.keywords if each.arg == "response_method"]
    return next(iter([*by_keyword, *call.args[BY_NAME[name] :]]), None)


def words_in(node: ast.AST, function: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = f"{function}.{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else function
        word = word_of(child) if isinstance(child, ast.Call) else None
        if word is not None and not constant(word):
            yield f"{inside.lstrip('.')}: {ast.unparse(word)}"
        # What a method that was looked up is called, which is asked for again.
        if isinstance(child, ast.Attribute) and child.attr == "__name__" and "method" in ast.unparse(child.value):
            yield f"{inside.lstrip('.')}: method.__name__"
        yield from words_in(child, inside)


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    paths = [path for path in sorted(ROOT.rglob("*.py")) if not LEFT_OUT & set(path.relative_to(ROOT).parts)]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


def test_it_knows_every_word(modules: dict[str, ast.Module]) -> None:
    found = {f"{path} {word}" for path, tree in modules.items() for word in words_in(tree)}

    assert sorted(found - PLACES) == []
    assert sorted(PLACES - found) == []


def test_it_knows_every_choice_of_a_method(modules: dict[str, ast.Module]) -> None:
    """By the names of attributes, whatever becomes of them."""
    found = {
        node.attr
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    choices = {name for name in found if "method" in name or "getter" in name}

    assert choices - {*CHOICES, IMPORTANCE} == OTHER_METHODS
    texts = {node.value for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {*CHOICES, IMPORTANCE, FEATURE_NAMES} - found - texts == set()
