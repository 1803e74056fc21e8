"""What of a pydantic class is not run when rows arrive. Runs in the inspection's child process."""

from collections.abc import Iterator
from typing import Any

from pydantic import AliasChoices, BaseModel

# Parts of pydantic's description of a class that hold the uploader's objects or what happens after validation.
_SKIPPED = frozenset({"default", "metadata", "serialization", "cls", "config", "computed_fields"})
_TEXT_CHANGES = ("strip_whitespace", "to_lower", "to_upper")
_CONFIGS = ("str_strip_whitespace", "str_to_lower", "str_to_upper", "coerce_numbers_to_str")


def notes_of(model: type[BaseModel]) -> list[str]:
    """A few words for each part of the class that only Python can run."""
    notes = [*_of_core(model.__pydantic_core_schema__, ""), *_of_class(model), *_of_config(model), *_of_aliases(model)]
    return list(dict.fromkeys(notes))


def _of_core(node: Any, field: str) -> Iterator[str]:
    """From pydantic's own description of the class, in which each validator is a node with its function."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _of_core(each, field)
    elif isinstance(node, dict):
        yield from (f"{what} of {field}" if field else what for what in _of_node(node))
        if node.get("type") == "model-fields":
            for name, inner in node["fields"].items():
                yield from _of_core(inner, name)
        else:
            for key, value in node.items():
                if key not in _SKIPPED:
                    yield from _of_core(value, field)


def _of_node(node: dict[str, Any]) -> Iterator[str]:
    kind = str(node.get("type"))
    if kind.startswith("function-"):
        function = node["function"]["function"]
        if not str(getattr(function, "__module__", "")).startswith("pydantic"):
            yield f"the validator {getattr(function, '__name__', 'without a name')}"
    if kind == "str":
        yield from (change for change in _TEXT_CHANGES if node.get(change))
    if kind == "decimal" and node.get("decimal_places") is not None:
        yield "the decimal places"
    if kind in ("date", "datetime") and "now_op" in node:
        yield "the comparison with now"


def _of_class(model: type[BaseModel]) -> Iterator[str]:
    yield from (f"the computed field {name}" for name in model.model_computed_fields)
    for name in ("__init__", "model_post_init"):
        method = getattr(model, name)
        if not method.__module__.startswith("pydantic"):
            yield name


def _of_config(model: type[BaseModel]) -> Iterator[str]:
    yield from (name for name in _CONFIGS if model.model_config.get(name))


def _of_aliases(model: type[BaseModel]) -> Iterator[str]:
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    if by_name and any(field.validation_alias or field.alias for field in model.model_fields.values()):
        yield "population by field name (the aliases are the columns)"
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices) and len(field.validation_alias.choices) > 1:
            yield f"the other aliases of {name}"
