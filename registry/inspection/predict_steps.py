"""What to do about an error of a pipeline that predicts its sample, by the error's words. Pure."""

import re

_FRAME = (
    "A step gets an array where it was trained on a frame: sklearn.set_config(transform_output='pandas') of the "
    "training is not saved with a pipeline. pipeline.set_output(transform='pandas') is: call it and save again."
)
_CATEGORY = (
    "A column of texts reaches a step that takes numbers or the dtype category. If it was trained as category, give "
    "`schema` with that dtype and the values, in pydantic: column: Literal['a', 'b'] = "
    'Field(json_schema_extra={"x-dtype": "category"}).'
)
_STEPS = (
    (
        re.compile(r"columns using strings is only supported for dataframes|'numpy.ndarray' object has no attribute"),
        _FRAME,
    ),
    (
        re.compile(
            r"could not convert string to float|must be int, float, bool or category|categorical_feature do not match"
        ),
        _CATEGORY,
    ),
)


def step_for(error: Exception) -> str:
    """The next step, with a space in front; '' where none is known."""
    message = str(error)
    return "".join(f" {step}" for words, step in _STEPS if words.search(message))
