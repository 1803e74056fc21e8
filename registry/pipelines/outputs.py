"""The methods of a pipeline that a caller may ask for. Pure, and without scikit-learn."""

from collections.abc import Mapping

# As `?outputs=` names them, with the name of each in the result.
RESULT_NAMES: Mapping[str, str] = {
    "predict": "predictions",
    "predict_proba": "probabilities",
    "decision_function": "decision_function",
}
