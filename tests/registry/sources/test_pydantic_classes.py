"""Classes as people write them: what becomes of each, and what of them is not run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlserve.errors import BadUpload
from registry.inspection.inspect import inspect
from registry.inspection.version_request import VersionRequest, schema_source
from registry.pipelines.frames import rows_to_input
from registry.schema.record import RecordSchema
from registry.sources.pydantic_classes import PydanticSchema, from_pydantic
from tests import pipelines

HEAD = """
import enum, math, random, uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, List, Literal, NamedTuple, Optional, TypedDict, Union
import numpy as np
import pandas as pd
from dataclasses import dataclass
import pydantic.dataclasses
from pydantic import (AfterValidator, AliasChoices, AliasPath, AwareDatetime, BaseModel, ConfigDict, Field,
    NaiveDatetime, PastDate, RootModel, StringConstraints, computed_field, condecimal, constr, field_validator,
    model_validator)

class Row(BaseModel):
    price: float

"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """`read(source)` is what `RawData` of a file with these lines gives."""

    def of(source: str) -> PydanticSchema:
        path = tmp_path / "validation.py"
        path.write_text(HEAD + source)
        return from_pydantic(path, "RawData")

    return of


def a_field(line: str, config: str = "") -> str:
    return f"class RawData(BaseModel):\n    {config or 'pass'}\n    {line}\n"


def column(read: Any, line: str) -> dict[str, Any]:
    """The flat property of a class with one field, without its title."""
    schema = RecordSchema.from_json_schema(read(a_field(line)).schema)
    (node,) = schema.properties.values()
    return {key: value for key, value in node.items() if key != "title"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a: Decimal", {"type": "number"}),
        ("a: Optional[Decimal] = None", {"type": ["number", "null"], "default": None}),
        ("a: Decimal = Decimal('1.5')", {"type": "number", "default": 1.5}),
        ("a: Decimal = Decimal('NaN')", {"type": ["number", "null"], "default": None}),
        ("a: Decimal = Field(gt=Decimal('0.5'), le=8)", {"type": "number", "exclusiveMinimum": 0.5, "maximum": 8}),
        ("a: condecimal(ge=0, max_digits=8, decimal_places=2)",
         {"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000}),
        ("a: condecimal(max_digits=3)", {"type": "number", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}),
        ("a: condecimal(multiple_of=Decimal('0.25'))", {"type": "number", "multipleOf": 0.25}),
        ("a: Optional[condecimal(ge=0)]", {"type": ["number", "null"], "minimum": 0}),
        ("a: float = float('nan')", {"type": ["number", "null"], "default": None}),
        ("a: Optional[float] = math.nan", {"type": ["number", "null"], "default": None}),
        ("a: float = np.nan", {"type": ["number", "null"], "default": None}),
        ("a: int = pd.NA", {"type": ["integer", "null"], "default": None}),
        ("a: str = np.nan", {"type": ["string", "null"], "default": None}),
        ("a: float = Field(math.nan, ge=0, description='in euros')",
         {"type": ["number", "null"], "minimum": 0, "description": "in euros", "default": None}),
        ("a: int = Field(math.nan, alias='b')", {"type": ["integer", "null"], "default": None}),
        ("a: float = np.float64(3)", {"type": "number", "default": 3.0}),
        ("a: float = Field(default_factory=lambda: 50.0)", {"type": "number", "default": 50.0}),
        ("a: float = Field(default_factory=lambda: math.nan)", {"type": ["number", "null"], "default": None}),
        ("a: Optional[str] = Field(default_factory=lambda: None)", {"type": ["string", "null"], "default": None}),
        ("a: date = date(2026, 1, 31)", {"type": "string", "format": "date", "default": "2026-01-31"}),
        ("a: AwareDatetime", {"type": "string", "format": "date-time", "x-dtype": "datetime64[us, UTC]"}),
        ("a: Optional[AwareDatetime] = None",
         {"type": ["string", "null"], "format": "date-time", "x-dtype": "datetime64[us, UTC]", "default": None}),
        ("a: NaiveDatetime", {"type": "string", "format": "date-time"}),
        ("a: constr(pattern='^b')", {"type": "string", "pattern": "^b"}),
        ("a: Annotated[Literal[1, 2], Field(title='A')]", {"type": "integer", "enum": [1, 2]}),
        ("a: float = Field(validation_alias=AliasChoices('price', 'preis'))", {"type": "number"}),
        ("a: float = Field(1.5, validation_alias=AliasChoices('price', 'preis'))", {"type": "number", "default": 1.5}),
    ],
    ids=str,
)  # fmt: skip
def test_it_makes_a_column_of_a_field(read: Any, line: str, expected: dict[str, Any]) -> None:
    assert column(read, line) == expected


def test_it_takes_an_enum_as_default(read: Any) -> None:
    lines = "class Kind(str, enum.Enum):\n    BOOK = 'book'\n\n" + a_field("a: Kind = Kind.BOOK")

    schema = RecordSchema.from_json_schema(read(lines).schema)

    data: Any = rows_to_input(schema, [{}])
    assert data["a"].tolist() == ["book"]


@pytest.mark.parametrize(
    ("line", "values"),
    [("a: float = math.nan", [np.nan, np.nan, 2.5]), ("a: float = Field(default_factory=lambda: 50.0)", [50.0, 2.5])],
    ids=str,
)
def test_it_fills_in_what_is_absent(read: Any, line: str, values: list[float]) -> None:
    schema = RecordSchema.from_json_schema(read(a_field(line)).schema)
    rows = [{}, {"a": None}, {"a": 2.5}] if len(values) == 3 else [{}, {"a": 2.5}]

    data: Any = rows_to_input(schema, schema.validated(rows))
    np.testing.assert_array_equal(data["a"], values)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (a_field("a: int = Field(default_factory=lambda: random.randrange(10**9))"),
         "'a' has a default_factory that gives another value each time"),
        (a_field("a: uuid.UUID = Field(default_factory=uuid.uuid4)"), "gives another value each time (UUID("),
        (a_field("a: datetime = Field(default_factory=datetime.now)"), "makes of the clock"),
        (a_field("a: float = Field(default_factory=lambda: 1 / 0)"), "fails (ZeroDivisionError: division by zero)"),
        (a_field("a: float\n    b: float = Field(default_factory=lambda data: data['a'])"),
         "'b' computes its default from other fields"),
        (a_field("a: float = math.inf"), "'a' has an infinite default"),
        (a_field("a: float = 1j"), "'a' has a default of the type complex"),
        (a_field("inputs: List[Row]"), "RawData describes a list; name the class of one row: validation.py:Row."),
        ("class RawData(RootModel[list[Row]]):\n    pass", "name the class of one row: validation.py:Row."),
        ("RawData = List[Row]", "RawData is a list; name the class of one row: validation.py:Row."),
        ("class RawData(RootModel[float]):\n    pass", "RawData describes a single value"),
        (a_field("item: Row\n    kind: str"),
         "'item' is a class of its own (Row), but a row is flat. Write its fields (pr"),
        (a_field("item: Optional[Row] = None"), "'item' is a class of its own (Row)"),
        (a_field("tags: list[str]\n    kind: str"), "'tags' is a list, but a column holds one value."),
        (a_field("tags: dict[str, float] | None\n    kind: str"), "'tags' is a dict, but a column holds one value."),
        (a_field("a: float = Field(validation_alias=AliasPath('x', 0))"), "'a' is read from inside another value"),
        ("@dataclass\nclass RawData:\n    a: int", "RawData is a dataclass; this needs a pydantic class. Write"),
        ("@pydantic.dataclasses.dataclass\nclass RawData:\n    a: int", "RawData is a dataclass;"),
        ("class RawData(TypedDict):\n    a: int", "RawData is a TypedDict;"),
        ("class RawData(NamedTuple):\n    a: int", "RawData is a NamedTuple;"),
        ("", "It has Row. Name one: validation.py:Row."),
        ("from my_project.settings import LIMIT", "validation.py imports my_project, which is not installed"),
    ],
    ids=str,
)  # fmt: skip
def test_it_says_what_to_write_instead(read: Any, source: str, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        read(source)

    assert sentence in refusal.value.detail


@pytest.mark.parametrize("line", ["a: float | Literal['unknown']", "a: Union[int, str]", "a: int | bool"])
def test_it_refuses_several_kinds_in_one_column(read: Any, line: str) -> None:
    with pytest.raises(BadUpload, match=r"'a' allows several kinds of value; a column has one. Keep the one"):
        RecordSchema.from_json_schema(read(a_field(line)).schema)


@pytest.mark.parametrize(
    ("source", "note"),
    [
        (a_field("a: str\n    @field_validator('a')\n    def lower(cls, value):\n        return value"),
         "the validator lower of a"),
        (a_field("a: Optional[Annotated[str, AfterValidator(str.strip)]] = None"), "the validator strip of a"),
        (a_field("a: str\n    @model_validator(mode='after')\n    def both(self):\n        return self"),
         "the validator both"),
        (a_field("a: str\n    @computed_field\n    def twice(self) -> str:\n        return self.a * 2"),
         "the computed field twice"),
        (a_field("a: str\n    def model_post_init(self, context):\n        self.a = 'x'"), "model_post_init"),
        (a_field("a: Annotated[str, StringConstraints(strip_whitespace=True)]"), "strip_whitespace of a"),
        (a_field("a: str", "model_config = ConfigDict(str_to_lower=True)"), "str_to_lower"),
        (a_field("a: str = Field(alias='b')", "model_config = ConfigDict(populate_by_name=True)"),
         "population by field name (the aliases are the columns)"),
        (a_field("a: str = Field(validation_alias=AliasChoices('b', 'c'))"), "the other aliases of a"),
        (a_field("a: float = Field(default_factory=lambda: 5.0)"),
         "the default_factory of a (its default stays 5.0)"),
        (a_field("a: condecimal(decimal_places=2)"), "the decimal places of a"),
        (a_field("a: PastDate"), "the comparison with now of a"),
    ],
    ids=lambda value: value[-40:],
)  # fmt: skip
def test_it_notes_what_is_not_run(read: Any, source: str, note: str) -> None:
    assert note in read(source).notes


@pytest.mark.parametrize("extra", ["allow", "ignore"])
def test_it_ignores_further_columns_where_the_class_says_so(read: Any, extra: str) -> None:
    given = read(a_field("a: str", f"model_config = ConfigDict(extra='{extra}')"))

    assert given.schema["additionalProperties"] is True
    assert given.notes == []


def test_it_notes_nothing_of_a_plain_class(read: Any) -> None:
    lines = "a: Annotated[float, Field(ge=0)]\n    b: Literal['x'] | None = None\n    c: Decimal = Decimal(1)"

    assert read(a_field(lines)).notes == []


def test_it_warns_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "validation.py"
    fields = (
        "a: float\n    b: float\n    @field_validator('a')\n    def double(cls, value):\n        return value * 2\n"
    )
    path.write_text(HEAD + a_field(fields))
    artifact = pipelines.save(pipelines.several_outputs(), tmp_path / "model.joblib")

    report = inspect(artifact, VersionRequest("m", "1", schema=schema_source(str(path)))).report

    (check,) = (each for each in report.checks if each.name == "schema")
    assert check.status == "warning"
    assert check.detail.endswith("Not run for rows: the validator double of a.")
    assert "Let the pipeline do what changes values" in check.fix
