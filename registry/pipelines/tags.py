"""What a step's class says of its input. Pure; needs scikit-learn."""

from typing import Any


def is_of_known_library(step: Any) -> bool:
    return type(step).__module__.partition(".")[0] in ("sklearn", "lightgbm", "xgboost")


def input_tags(step: Any) -> Any:
    """What a step says of its input; None for one that says nothing."""
    from sklearn.utils import get_tags

    try:
        return get_tags(step).input_tags
    except Exception:  # noqa: BLE001 - a class of the uploader's own may raise anything
        return None


def takes_texts(step: Any) -> bool:
    """Whether a step was fitted on a sequence of texts, as the vectorizers are."""
    tags = input_tags(step)
    return tags is not None and tags.string and not tags.two_d_array and not tags.dict


def takes_records(step: Any) -> bool:
    """Whether a step was fitted on a sequence of dicts, as DictVectorizer and FeatureHasher are."""
    tags = input_tags(step)
    return tags is not None and tags.dict
