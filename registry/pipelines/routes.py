"""Which raw columns reach which fitted steps, followed through a pipeline as far as they can be told apart. Pure."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from registry.pipelines.wrappers import takes_whole_rows, wrapped


@dataclass(frozen=True)
class Origin:
    """The raw column that one column of a step's input is made of, and of nothing else.

    `is_raw`: each value that is present is still the raw one. `is_filled`: an imputer has filled its gaps.
    """

    name: str
    is_raw: bool = True
    is_filled: bool = False


# For each column of a matrix where it comes from; None for one that was computed in another way.
Origins = list[Origin | None]


@dataclass(frozen=True)
class Arrival:
    """A fitted transformer or estimator, with where the columns of its input come from."""

    step: Any
    origins: Origins


def arrivals(pipeline: Any, columns: Sequence[str]) -> Iterator[Arrival]:
    """Each fitted step that columns can be followed to, in the order of the call.

    Pipelines, ColumnTransformers, FeatureUnions, wrappers and HistGradientBoosting's own preprocessor are looked into.
    Columns are lost behind a step that mixes them or makes more of them.
    """
    yield from _follow(pipeline, [Origin(name) for name in columns])


def used_columns(estimator: Any, columns: Sequence[str]) -> set[str]:
    """The columns that a pipeline asks for: all, unless ColumnTransformers stand at its entry, which drop some."""
    if takes_whole_rows(estimator):
        return set(columns)
    steps, routes = getattr(estimator, "steps", None), getattr(estimator, "transformers_", None)
    if steps is not None:
        first = next((step for _, step in steps if not _is_passthrough(step)), None)
        return set(columns) if first is None else used_columns(first, columns)
    if routes is not None:
        taken = [_positions(chosen, columns) for _, step, chosen in routes if not _is_dropped(step)]
        return {columns[position] for positions in taken for position in positions}
    branches = [step for _, step in getattr(estimator, "transformer_list", ())] or wrapped(estimator)
    used = [used_columns(each, columns) for each in branches if not _is_dropped(each)]
    return set().union(*used) if used else set(columns)


def entries(estimator: Any) -> Iterator[Any]:
    """The fitted steps that get the raw data themselves."""
    steps = getattr(estimator, "steps", None)
    if steps is not None:
        first = next((step for _, step in steps if not _is_passthrough(step)), None)
        yield from () if first is None else entries(first)
        return
    branches = [step for _, step in getattr(estimator, "transformer_list", ())] or wrapped(estimator)
    if not branches:
        yield estimator
    for branch in branches:
        if not _is_dropped(branch):
            yield from entries(branch)


# What a walk through an estimator gives: arrivals, and at its end the origins of its output, or None if unknown.
_Walk = Generator[Arrival, None, Origins | None]


def _follow(estimator: Any, given: Origins) -> _Walk:
    if _is_passthrough(estimator):
        return given
    if getattr(estimator, "steps", None) is not None:
        return (yield from _follow_steps(estimator, given))
    if getattr(estimator, "transformers_", None) is not None:
        return (yield from _follow_routes(estimator, given))
    if getattr(estimator, "transformer_list", None) is not None:
        return (yield from _follow_union(estimator, given))
    for inner in wrapped(estimator):
        yield from _follow(inner, given)
    if wrapped(estimator):
        return None
    if getattr(estimator, "_preprocessor", None) is not None:  # HistGradientBoosting encodes categories by itself
        yield from _follow(estimator._preprocessor, given)
    yield Arrival(estimator, given)
    return _output(estimator, given)


def _follow_steps(pipeline: Any, given: Origins) -> _Walk:
    for _, step in pipeline.steps:
        reached = yield from _follow(step, given)
        if reached is None:
            return None
        given = reached
    return given


def _follow_routes(transformer: Any, given: Origins) -> _Walk:
    names = getattr(transformer, "feature_names_in_", None)
    columns = [str(index) for index in range(len(given))] if names is None else list(names)
    if len(columns) != len(given):
        return None
    places = transformer.output_indices_
    made: Origins = [None] * max((place.stop for place in places.values()), default=0)
    for name, step, chosen in transformer.transformers_:
        if _is_dropped(step):
            continue
        reached = yield from _follow(step, [given[position] for position in _positions(chosen, columns)])
        place = places[name]
        if reached is not None and len(reached) == place.stop - place.start:
            made[place] = reached
    return made


def _follow_union(union: Any, given: Origins) -> _Walk:
    made: Origins | None = []
    for _, step in union.transformer_list:
        if _is_dropped(step):
            continue
        reached = yield from _follow(step, given)
        made = None if made is None or reached is None else [*made, *reached]
    return made


def _output(step: Any, given: Origins) -> Origins | None:
    """Where the columns that a single step makes come from; None where that is unknown."""
    if not hasattr(step, "transform"):
        return None
    if is_imputer(step):
        return _imputed(step, given)
    if hasattr(step, "get_support"):
        return [given[position] for position in np.flatnonzero(step.get_support()) if position < len(given)]
    if not _keeps_columns(step, len(given)):
        return None
    return [origin and replace(origin, is_raw=False) for origin in given]


def _imputed(step: Any, given: Origins) -> Origins | None:
    """An imputer keeps the values that are there; indicators of gaps may follow."""
    try:
        width = len(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return None
    kept = [origin and replace(origin, is_filled=True) for origin in given]
    is_indicator = type(step).__name__ == "MissingIndicator"
    return None if is_indicator or width < len(kept) else [*kept, *[None] * (width - len(kept))]


def is_imputer(step: Any) -> bool:
    return type(step).__module__.startswith("sklearn.impute.")


def _keeps_columns(step: Any, width: int) -> bool:
    """Whether a fitted step makes each output column from the input column at the same position alone."""
    try:
        given = getattr(step, "feature_names_in_", None)
        names = list(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return False
    expected = [f"x{index}" for index in range(len(names))] if given is None else list(given)
    return len(names) == width and names == expected


def _is_passthrough(step: Any) -> bool:
    """Whether a step hands on what it gets. ColumnTransformers write "passthrough" as a function of nothing."""
    is_identity = type(step).__name__ == "FunctionTransformer" and step.func is None and not step.validate
    return step is None or step == "passthrough" or is_identity


def _is_dropped(step: Any) -> bool:
    return isinstance(step, str) and step == "drop"


def _positions(chosen: Any, columns: Sequence[str]) -> list[int]:
    """The positions that a route of a ColumnTransformer chose: by name, position, mask or slice of either."""
    if isinstance(chosen, str):
        return [columns.index(chosen)]
    if isinstance(chosen, slice):
        start, stop = chosen.start, chosen.stop
        start = columns.index(start) if isinstance(start, str) else start
        stop = columns.index(stop) + 1 if isinstance(stop, str) else stop  # a slice of names includes its end
        return list(range(*slice(start, stop, chosen.step).indices(len(columns))))
    picked = [chosen] if isinstance(chosen, int | np.integer) else list(chosen)
    if picked and isinstance(picked[0], bool | np.bool_):
        return [position for position, keep in enumerate(picked) if keep]
    numbers = [columns.index(name) if isinstance(name, str) else int(name) for name in picked]
    return [number % len(columns) for number in numbers]
