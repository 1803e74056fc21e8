"""The files and columns in which trainers give the answers to their sample rows. Pure."""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.schema.json_files import read_json
from registry.schema.record import RecordSchema, Row
from registry.schema.row_files import JSON_SUFFIXES, read_rows
from registry.tables.numbers import with_point
from registry.tables.text import text_of

_PREDICTION, _PROBABILITIES, _PROBABILITY = "prediction", "probabilities", "probability_"
_OUTPUT = re.compile(r"prediction_[0-9]+", re.ASCII)
# What `predict` and its CSV write beside the answers.
_BESIDE = frozenset({"warnings", "error"})
_DECIMALS = re.compile(r"[^,;\t\n]*\n(-?[0-9]+,[0-9]+\s*\n?)+", re.ASCII)
_SHOWN_NAMES = 20
# Headers of the index that pandas writes before the values.
_INDEX_HEADERS = ("", "index", "Unnamed: 0")


@dataclass(frozen=True)
class TrainerAnswers:
    """One entry per row in each list; None for a list that was not given. `is_text`: cells of CSV, not yet read."""

    predictions: Sequence[Any] | None
    probabilities: Sequence[Any] | None = None
    is_text: bool = False

    @property
    def given(self) -> dict[str, Sequence[Any]]:
        """The lists that were given, by their names in a result."""
        both = {"predictions": self.predictions, "probabilities": self.probabilities}
        return {name: answers for name, answers in both.items() if answers is not None}

    def __len__(self) -> int:
        return len(next(iter(self.given.values()), ()))


def given_answers(request: Mapping[str, Any], labels: Any, inputs: Collection[str]) -> TrainerAnswers | None:
    """What the request of an inspection names: a file, a column of its sample, or nothing. Raises BadUpload.

    `inputs` are columns of the sample, which may stand beside the answers in a file.
    """
    sample, expected, column = (request[name] for name in ("sample", "expected", "expected_column"))
    if expected is None and column is None:
        return None
    if sample is None:
        raise BadUpload(
            "Expected answers were given without `sample`, the rows that they are the answers to. Give both."
        )
    return from_column(Path(sample), column, labels) if expected is None else from_file(Path(expected), inputs)


def from_file(path: Path, inputs: Collection[str] = ()) -> TrainerAnswers:
    """The answers in a file of CSV or JSON. Raises BadUpload."""
    try:
        text, _ = text_of(path.read_bytes(), path.name)
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    read = _from_json if path.suffix.lower() in JSON_SUFFIXES else _from_csv
    return read(text, path.name, frozenset(inputs))


def without_column(rows: Sequence[Row], column: str | None, schema: RecordSchema | None) -> list[Row]:
    """The rows without the column that holds the expected answers, if there is one.

    Raises BadUpload where the sample lacks it, or, once there is a schema, the pipeline takes it as an input.
    """
    if column is None:
        return list(rows)
    if schema is not None and column in schema.names:
        raise BadUpload(f"The column {column!r} cannot hold the expected answers: it is an input of the pipeline.")
    if schema is None and not any(column in row for row in rows):
        listed = ", ".join(list(rows[0])[:_SHOWN_NAMES])
        raise BadUpload(f"The sample has no column {column!r} with the expected answers; its columns: {listed}.")
    return [{name: value for name, value in row.items() if name != column} for row in rows]


def from_column(sample: Path, column: str, labels: Any) -> TrainerAnswers:
    """The answers that stand in a column of the sample. Raises BadUpload."""
    # As text, because a guessed number would have lost how a label was written: "1.0", "00123", "NA".
    node: dict[str, Any] = {"type": ["string", "null"]}
    if texts := texts_of(labels):
        node["enum"] = sorted(texts)
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {column: node}})
    answers = [row.get(column) for row in read_rows(sample, schema)]
    if labels is None:  # numbers, perhaps with decimal commas as those of the other columns
        answers = [with_point(answer) if isinstance(answer, str) else answer for answer in answers]
    return TrainerAnswers(answers, is_text=sample.suffix.lower() not in JSON_SUFFIXES)


def _from_json(text: str, name: str, inputs: frozenset[str]) -> TrainerAnswers:
    try:
        loaded = read_json(text)
    except ValueError as error:
        raise BadUpload(f"{name} is not JSON: {error}. Expected answers are a list, one per row.") from error
    if isinstance(loaded, dict) and list(loaded) == [str(row) for row in range(len(loaded))]:
        loaded = list(loaded.values())  # as Series.to_json() writes it
    entries = loaded if isinstance(loaded, list) else [loaded]
    if not any(isinstance(entry, dict) for entry in entries):
        return TrainerAnswers(entries)
    names = list(entries[0]) if isinstance(entries[0], dict) else None
    for row, entry in enumerate(entries, start=1):
        if names is None or not isinstance(entry, dict) or entry.keys() != set(names):
            raise BadUpload(f"{name}: the answer of row {row} has other parts than the first one.")
    columns = {each: [entry[each] for entry in entries] for each in names or ()}
    return _from_columns(columns, name, inputs, is_text=False)


def _from_csv(text: str, name: str, inputs: frozenset[str]) -> TrainerAnswers:
    columns = _columns_of(text, name)
    is_table = len(columns) > 1 and not any(map(_is_known, columns))
    if len(columns) == 1 and not any(map(_is_known, columns)):
        return TrainerAnswers(next(iter(columns.values())), is_text=True)
    if is_table and list(columns) == [str(position) for position in range(len(columns))]:
        # DataFrame(pipeline.predict(X)) of several outputs
        return TrainerAnswers([list(cells) for cells in zip(*columns.values(), strict=True)], is_text=True)
    return _from_columns(columns, name, inputs, is_text=True)


def _columns_of(text: str, name: str) -> dict[str, list[str]]:
    """The cells below each name of the header, without an index. Raises BadUpload."""
    first_line = text.partition("\n")[0]
    # Under a single name, a comma can only be one of decimals.
    separator = next((each for each in ",;\t" if each in first_line), ";" if _DECIMALS.fullmatch(text) else ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        # An empty line is an empty cell where there is one column; pandas writes "" then.
        header, *lines = [line for line in reader if line] or [[]]
    except csv.Error as error:
        raise BadUpload(f"{name}, line {reader.line_num}: {error}.") from error
    if not header:
        raise BadUpload(f"{name} is empty; the first line names the columns.")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise BadUpload(f"{name}, row {number}: {len(line)} cells, but the header names {len(header)}.")
    columns = {each: [line[position] for line in lines] for position, each in enumerate(header)}
    if len(columns) < len(header):
        raise BadUpload(f"{name} names a column more than once.")
    if len(header) > 1 and (header[0] in _INDEX_HEADERS or header[1:] == ["0"]):
        del columns[header[0]]
    if separator == ",":
        return columns
    return {each: list(map(with_point, cells)) for each, cells in columns.items()}


def _from_columns(columns: dict[str, list[Any]], name: str, inputs: frozenset[str], *, is_text: bool) -> TrainerAnswers:
    """The columns named prediction (of several outputs prediction_1, prediction_2, …), probabilities and
    probability_<class>. Those of the inputs may stand beside them, and what `predict` writes beside its answers.
    """
    if not any(map(_is_known, columns)):
        listed = ", ".join(list(columns)[:_SHOWN_NAMES])
        raise BadUpload(
            f"{name} has {listed}. Expected answers are one column of values, or prediction and probability_<class>; "
            'in JSON a list of values or of {"prediction": …, "probabilities": {…}}.'
        )
    if other := [each for each in columns if not _is_known(each) and each not in inputs | _BESIDE]:
        raise BadUpload(
            f"{name} has {', '.join(other[:_SHOWN_NAMES])}, which is neither an answer nor a column of the sample. "
            "Correct the name, or leave the column out."
        )
    probabilities = columns.get(_PROBABILITIES)
    by_class = {each.removeprefix(_PROBABILITY): columns[each] for each in columns if each.startswith(_PROBABILITY)}
    if by_class:
        cells = zip(*by_class.values(), strict=True)
        probabilities = [dict(zip(by_class, row, strict=True)) for row in cells]
    predictions: Sequence[Any] | None = columns.get(_PREDICTION)
    if outputs := sorted((each for each in columns if _OUTPUT.fullmatch(each)), key=lambda each: int(each[11:])):
        predictions = [list(row) for row in zip(*(columns[each] for each in outputs), strict=True)]
    return TrainerAnswers(predictions, probabilities, is_text)


def _is_known(column: str) -> bool:
    is_output = _OUTPUT.fullmatch(column) is not None
    return is_output or column in (_PREDICTION, _PROBABILITIES) or column.startswith(_PROBABILITY)


def texts_of(labels: Any) -> frozenset[str]:
    """The class labels that are texts, of all outputs."""
    if isinstance(labels, str):
        return frozenset({labels})
    return frozenset().union(*map(texts_of, labels)) if isinstance(labels, list) else frozenset()
