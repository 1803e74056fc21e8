"""The record schema of a pydantic class. Runs in the inspection's child process: the class is the uploader's code.

What JSON Schema cannot say is either brought into a form that it can (decimals, NaN and made defaults), refused with
what to write instead, or named in the notes, because validators are not run when rows arrive.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

from mlserve.errors import BadUpload
from registry.sources.pydantic_defaults import MISSING, default_of
from registry.sources.pydantic_notes import notes_of

_MODULE = "uploaded_validation"
_CONTAINERS = (list, tuple, set, frozenset, dict)


class PydanticSchema(NamedTuple):
    """`notes` say which parts of the class are not run."""

    schema: dict[str, Any]
    notes: list[str]


def from_pydantic(path: Path, class_name: str) -> PydanticSchema:
    """The JSON Schema of `class_name` in the Python file at `path`, which is executed. Raises BadUpload."""
    module = _executed(path)
    model = _row_class(module, path, class_name)
    _require_flat(model, path)
    try:
        schema = model.model_json_schema(by_alias=True, schema_generator=_RowSchema)
    except Exception as error:  # custom types and generators are the uploader's code, too
        raise BadUpload(f"{class_name} gives no JSON Schema ({type(error).__name__}: {error}).") from error
    if model.model_config.get("extra") in ("allow", "ignore"):
        schema["additionalProperties"] = True  # pydantic writes it for one of them
    notes = notes_of(model)
    for name, field in model.model_fields.items():
        _set_default(model, name, field, schema, notes)
    return PydanticSchema(schema, notes)


class _RowSchema(GenerateJsonSchema):
    """Decimals as numbers, which is what JSON has for them, and aware times with their dtype."""

    # Defaults are read from the fields.
    ignored_warning_kinds = GenerateJsonSchema.ignored_warning_kinds | {"non-serializable-default"}

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        limits = {key: _plain(schema[key]) for key in ("ge", "gt", "le", "lt", "multiple_of") if key in schema}
        if (digits := schema.get("max_digits")) is not None:
            bound = 10 ** max(0, digits - (schema.get("decimal_places") or 0))
            if not {"ge", "gt"} & set(limits):
                limits["gt"] = -bound
            if not {"le", "lt"} & set(limits):
                limits["lt"] = bound
        json_schema = {"type": "number"}
        self.update_with_validations(json_schema, limits, self.ValidationsMapping.numeric)
        return json_schema

    def datetime_schema(self, schema: Any) -> dict[str, Any]:
        json_schema = super().datetime_schema(schema)
        return json_schema | ({"x-dtype": "datetime64[us, UTC]"} if schema.get("tz_constraint") == "aware" else {})


def _executed(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise BadUpload(f"{path.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks up annotations through it
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise BadUpload(
            f"{path.name} imports {error.name}, which is not installed where mlserve runs. "
            "Write what the class needs from there into the file itself."
        ) from error
    except (Exception, SystemExit) as error:  # the file is the uploader's code, which may raise anything
        raise BadUpload(f"{path.name} cannot be executed ({type(error).__name__}: {error}).") from error
    return module


def _row_class(module: ModuleType, path: Path, class_name: str) -> type[BaseModel]:
    """Raises BadUpload with what the name stands for instead."""
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return found
    if found is not None and (row := _row_in_list(found)):
        raise BadUpload(_name_the_row(f"{class_name} is a list", row, path))
    if what := _other_kind(found):
        raise BadUpload(
            f"{class_name} is {what}; this needs a pydantic class. Write `class {class_name}(BaseModel):` with the "
            "same fields, and `from pydantic import BaseModel`."
        )
    own = [name for name, value in vars(module).items() if _is_own_model(value)]
    hint = f"It has {', '.join(own)}. Name one: {path.name}:{own[0]}." if own else "It defines no pydantic class."
    raise BadUpload(f"{path.name} has no pydantic class {class_name!r}. {hint}")


def _is_own_model(value: Any) -> bool:
    """Whether `value` is a pydantic class that the file defines rather than imports."""
    return isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == _MODULE


def _other_kind(value: Any) -> str:
    if not isinstance(value, type):
        return ""
    if is_typeddict(value):
        return "a TypedDict"
    if dataclasses.is_dataclass(value):
        return "a dataclass"
    if any(base.__module__.startswith("pydantic.v1") for base in value.__mro__):
        return "a class of pydantic.v1"
    return "a NamedTuple" if hasattr(value, "_fields") else ""


def _require_flat(model: type[BaseModel], path: Path) -> None:
    """Raise BadUpload for fields that are no columns, with what to write instead."""
    name = model.__name__
    fields = list(model.model_fields.items())
    if len(fields) == 1 and (row := _row_in_list(fields[0][1].annotation)):
        raise BadUpload(_name_the_row(f"{name} describes a list", row, path))
    if issubclass(model, RootModel):
        raise BadUpload(f"{name} describes a single value; a row has columns. Write a class with a field for each.")
    for field_name, field in fields:
        if isinstance(field.validation_alias, AliasPath) or _only_paths(field.validation_alias):
            raise BadUpload(
                f"{name}'s field {field_name!r} is read from inside another value (AliasPath), but a row is flat. "
                "Give the field the name of its column."
            )
        for part in _parts(field.annotation):
            _require_scalar(name, field_name, part)


def _require_scalar(name: str, field_name: str, part: Any) -> None:
    inner = _fields_of(part)
    if inner is not None:
        raise BadUpload(
            f"{name}'s field {field_name!r} is a class of its own ({part.__name__}), but a row is flat. Write its "
            f"fields ({', '.join(inner)}) into {name}, one for each column of the training data."
        )
    if _is_container(part):
        container = get_origin(part) or part
        raise BadUpload(
            f"{name}'s field {field_name!r} is a {container.__name__}, but a column holds one value. Write a field for "
            "each value, or one for their text, as the pipeline was trained on it."
        )


def _fields_of(part: Any) -> list[str] | None:
    """The names of the fields of a class with fields; None for any other type."""
    if not isinstance(part, type):
        return None
    if issubclass(part, BaseModel):
        return list(part.model_fields)
    if is_typeddict(part):
        return list(part.__annotations__)
    return [each.name for each in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else None


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, those of a union one by one; not what a container holds."""
    inner = [each for each in get_args(annotation) if isinstance(each, type) or get_origin(each) is not None]
    if _is_container(annotation) or not inner:
        yield annotation
    else:
        for each in inner:
            yield from _parts(each)


def _is_container(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is None:
        return isinstance(annotation, type) and issubclass(annotation, _CONTAINERS)
    return isinstance(origin, type) and issubclass(origin, Iterable)


def _row_in_list(annotation: Any) -> type[BaseModel] | None:
    """The class of a list of rows."""
    rows = [each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    origin = get_origin(annotation)
    return rows[0] if rows and isinstance(origin, type) and issubclass(origin, Iterable) else None


def _name_the_row(what: str, row: type[BaseModel], path: Path) -> str:
    return f"{what}; name the class of one row: {path.name}:{row.__name__}."


def _only_paths(alias: Any) -> bool:
    return isinstance(alias, AliasChoices) and all(isinstance(each, AliasPath) for each in alias.choices)


def _set_default(model: type[BaseModel], name: str, field: FieldInfo, schema: dict[str, Any], notes: list[str]) -> None:
    """Write the default of a field into the schema as JSON, NaN as null. Raises BadUpload for what is no JSON value."""
    if field.is_required():
        return
    properties = schema["properties"]
    column = _column_of(name, field, properties)
    value = default_of(f"{model.__name__}'s field {name!r}", field)
    if field.default_factory is not None:
        notes.append(f"the default_factory of {name} (its default stays {value!r})")
    node = properties[column]
    if value is MISSING:
        described = {key: node.pop(key) for key in ("title", "description", "default") if key in node}
        properties[column] = {**described, "anyOf": [node, {"type": "null"}], "default": None}
    else:
        node["default"] = value


def _column_of(name: str, field: FieldInfo, properties: dict[str, Any]) -> str:
    aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else ()
    names = [field.validation_alias, *aliases, field.alias, name]
    return next(each for each in names if isinstance(each, str) and each in properties)


def _plain(limit: Any) -> int | float:
    return int(limit) if limit == int(limit) else float(limit)
