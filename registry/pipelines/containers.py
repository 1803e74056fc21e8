"""What a pipeline was fitted on: a frame, an array, a sequence of texts or one of dicts, and its columns. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.pipelines.facts import Facts
from registry.pipelines.routes import entries, used_columns
from registry.pipelines.tags import takes_records, takes_texts
from registry.schema.record import Container

# The column of a pipeline that was fitted on texts, where nothing names it.
TEXT = "text"


@dataclass(frozen=True)
class FittedInput:
    """`names` are all columns in the order of the training; None where neither pipeline nor rows name them.

    `ignored` are those that the pipeline drops, with their positions. `facts` is what a step of dicts has learned.
    """

    container: Container
    names: tuple[str, ...] | None
    width: int | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...] | None:
        return None if self.names is None else tuple(name for name in self.names if name not in self.ignored)


def fitted_input(pipeline: Any, given: Sequence[str] = ()) -> FittedInput:
    """What `pipeline` was fitted on. `given` names the columns, in their order, where the pipeline does not."""
    first = list(entries(_without_text_functions(pipeline)))
    if any(takes_texts(step) for step in first):
        return FittedInput("texts", tuple(given) or (TEXT,), 1)
    if any(takes_records(step) for step in first):
        learned = _learned_by_dicts(first)
        return FittedInput("records", tuple(learned) or tuple(given) or None, facts=learned)
    names, width = feature_names(pipeline), _attribute(pipeline, "n_features_in_")
    if names is not None:
        return FittedInput("frame", tuple(names), len(names), _ignored(pipeline, names))
    if width is None:
        return FittedInput("frame", tuple(given) or None)
    numbered = [f"x{position}" for position in range(width)]
    ignored = _ignored(pipeline, numbered)
    if len(given) == width - len(ignored):
        rest = iter(given)
        numbered = [_unlike(name, given) if name in ignored else next(rest) for name in numbered]
        ignored = {numbered[position]: position for position in ignored.values()}
    elif len(given) == width:
        numbered = list(given)
        ignored = _ignored(pipeline, numbered)
    return FittedInput("array", tuple(numbered), width, ignored)


def _unlike(name: str, given: Sequence[str]) -> str:
    """A name for a column that is dropped, which is none of those that are given."""
    while name in given:
        name += "_"
    return name


def feature_names(pipeline: Any) -> list[str] | None:
    """The columns of the frame that the pipeline was fitted on, or None when it was not a frame."""
    names = _attribute(pipeline, "feature_names_in_")
    return None if names is None else [str(name) for name in names]


def _attribute(pipeline: Any, name: str) -> Any:
    """Wrappers do not always tell what their pipelines were fitted on."""
    every = [pipeline, *entries(pipeline)]
    return next((value for each in every if (value := getattr(each, name, None)) is not None), None)


def _ignored(pipeline: Any, names: Sequence[str]) -> dict[str, int]:
    used = used_columns(pipeline, names)
    return {name: position for position, name in enumerate(names) if name not in used}


def _without_text_functions(pipeline: Any) -> Any:
    """A pipeline without functions at its entry that were fitted on neither a frame nor an array."""
    steps = getattr(pipeline, "steps", [])
    is_function = steps and type(steps[0][1]).__name__ == "FunctionTransformer"
    if is_function and len(steps) > 1 and not hasattr(steps[0][1], "n_features_in_"):
        return _without_text_functions(pipeline[1:])
    return pipeline


def _learned_by_dicts(first: Sequence[Any]) -> dict[str, Facts]:
    """The columns of a DictVectorizer, which names its features `column` for numbers and `column=value` for texts."""
    learned: dict[str, Facts] = {}
    for step in first:
        for feature in getattr(step, "feature_names_", ()):
            name, separator, value = str(feature).partition(step.separator)
            facts = learned.setdefault(name, {"type": "string", "x-training-values": []} if separator else {})
            if separator and "x-training-values" in facts:
                facts["x-training-values"].append(value)
            elif not separator:
                facts["numeric"] = True
    return learned
