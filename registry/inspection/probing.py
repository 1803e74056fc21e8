"""What the schema allows, tried on the pipeline before anyone asks for it: null, absent columns, values at the limits.

Each probe is a sample row with one value changed. Where the pipeline fails on null, on an absent column or on a value
that its encoder does not know, the schema is made to refuse it: a request with it is then refused with the reason
instead of ending as a failed prediction. The rest is said.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mlserve.errors import InvalidRows
from registry.inspection.report import Check
from registry.inspection.tightening import Kind, Refused, tighten
from registry.pipelines import calls
from registry.schema.flattening import types_of
from registry.schema.record import RecordSchema, Row

# A table of so many cells is made in a second. Some probes are tried for any number of columns.
_MOST_PROBES, _LEAST_PROBES, _MOST_CELLS = 1_000, 50, 1_000_000
_MOST_VALUES = 20
_SHOWN_COLUMNS, _SHOWN_TEXT = 10, 200
_UNSEEN_TEXT = "never seen in training"
_UNSEEN_MOMENTS = {"date": "1677-12-31", "date-time": "1677-12-31T00:00:00"}


@dataclass(frozen=True)
class Probe:
    """A row that the schema allows, which differs in `column` from one that the pipeline predicts."""

    kind: Kind
    column: str
    row: Row

    @property
    def value(self) -> Any:
        return self.row.get(self.column)


@dataclass(frozen=True)
class Failure:
    probe: Probe
    reason: str


@dataclass(frozen=True)
class Probed:
    """The check, and the schema that allows only what can be predicted."""

    check: Check
    schema: RecordSchema


def probe(
    pipeline: Any, schema: RecordSchema, rows: Sequence[Row], outputs: Sequence[str], *, seconds: float
) -> Probed:
    """Try each probe, for about so many seconds. Takes one call if none fails, else some calls for each that does."""
    most = max(_LEAST_PROBES, min(_MOST_PROBES, _MOST_CELLS // len(schema.columns)))
    probes = list(islice(probes_of(schema, rows), most + 1))
    search = _Search(pipeline, schema, outputs, time.monotonic() + seconds)
    failures = list(search.failures(probes[:most]))
    left_out = f" Only the first {most} were tried." if len(probes) > most else ""
    if search.untried:
        left_out += f" {search.untried} could not be tried in {seconds:.0f} s."
    if not failures:
        count = min(most, len(probes)) - search.untried
        detail = f"Tried: {count} nulls, absent columns, unseen values, choices and limits.{left_out}"
        return Probed(Check("nulls", "passed", detail), schema)
    failed = {(failure.probe.kind, failure.probe.column) for failure in failures}
    tightened, refused = tighten(schema, rows, failed)
    return Probed(_warning(failures, refused, left_out), tightened)


def probes_of(schema: RecordSchema, rows: Sequence[Row]) -> Iterator[Probe]:
    """Those that the schema accepts: first each null and absent column, then unseen values, then choices and limits."""
    base = min(rows, key=lambda row: sum(row.get(name) is None for name in schema.names))
    for probe in _changes(schema, base):
        try:
            schema.validated([probe.row])
        except InvalidRows:  # such as a minimum that is no multiple of `multipleOf`
            continue
        yield probe


def _changes(schema: RecordSchema, base: Row) -> Iterator[Probe]:
    for name, node in schema.properties.items():
        if types_of(node)[1]:
            yield Probe("null", name, {**base, name: None})
        if name not in schema.json_schema["required"]:
            yield Probe("absent", name, {each: base[each] for each in base if each != name})
    for name, node in schema.properties.items():
        if "x-training-values" in node and "enum" not in node:
            yield Probe("unseen", name, {**base, name: _unseen(node)})
    for name, node in schema.properties.items():
        if types_of(node)[0] == "string" and "x-training-values" not in node:
            yield Probe("empty", name, {**base, name: ""})
        for value in _values(node):
            yield Probe("value", name, {**base, name: value})


def _unseen(node: Mapping[str, Any]) -> Any:
    """A value of the column's type that training did not have, or one that the schema refuses."""
    known = [value for value in node["x-training-values"] if value is not None]
    match types_of(node)[0]:
        case "boolean":
            return next((value for value in (True, False) if value not in known), None)
        case "string":
            return _UNSEEN_MOMENTS.get(node.get("format", ""), _UNSEEN_TEXT[: node.get("maxLength")])
    return max((value for value in known if isinstance(value, int | float)), default=0) + 1


def _values(node: Mapping[str, Any]) -> list[Any]:
    """The choices of a column, of many the first and the last; or its limits."""
    choices = [value for value in node.get("enum", ()) if value is not None]
    if len(choices) > _MOST_VALUES:
        return [*choices[: _MOST_VALUES // 2], *choices[-_MOST_VALUES // 2 :]]
    return choices or [node[limit] for limit in ("minimum", "maximum") if limit in node]


class _Search:
    """Finds the probes that fail: all in one call, and in halves where that raises."""

    def __init__(self, pipeline: Any, schema: RecordSchema, outputs: Sequence[str], deadline: float) -> None:
        self._call = pipeline, schema, outputs
        self._deadline = deadline
        self.untried = 0

    def failures(self, probes: Sequence[Probe]) -> Iterator[Failure]:
        if not probes:
            return
        if time.monotonic() > self._deadline:
            self.untried += len(probes)
            return
        pipeline, schema, outputs = self._call
        try:
            calls.run_rows(pipeline, schema, [probe.row for probe in probes], outputs)
        except Exception as error:  # noqa: BLE001 - the pipeline is the uploader's code, which may raise anything
            if len(probes) == 1:
                yield Failure(probes[0], f"{type(error).__name__}: {_first_line(str(error))}")
                return
            middle = len(probes) // 2
            yield from self.failures(probes[:middle])
            yield from self.failures(probes[middle:])


_WORDS: Mapping[Kind, str] = {
    "null": "null",
    "absent": "no value at all",
    "unseen": "a value unseen in training",
    "empty": "an empty text",
}
_FIXES: Mapping[Kind, str] = {
    "null": "add an imputer to the pipeline, or let the schema require a value",
    "absent": "add an imputer to the pipeline, or let the schema require the column",
    "unseen": 'give the encoder handle_unknown="ignore", or the column an enum',
    "empty": "let the pipeline take an empty text, or the schema require more (minLength)",
    "value": "narrow the enum or the limits of the schema, or let the pipeline take these values",
}


def _warning(failures: Sequence[Failure], refused: Refused, left_out: str) -> Check:
    """One sentence for each kind of value and reason."""
    groups: dict[tuple[str, bool, str], list[Failure]] = {}
    for failure in failures:
        kind, column = failure.probe.kind, failure.probe.column
        if _is_said(kind, column, refused):
            continue
        groups.setdefault((kind, (kind, column) in refused, failure.reason), []).append(failure)
    sentences = [_sentence(group, is_refused) for (_, is_refused, _), group in groups.items()]
    fixes = dict.fromkeys(_FIXES[group[0].probe.kind] for group in groups.values())
    text = "; ".join(fixes)
    return Check("nulls", "warning", f"{' '.join(sentences)}{left_out}", f"{text[:1].upper()}{text[1:]}.")


def _is_said(kind: Kind, column: str, refused: Refused) -> bool:
    """Whether what is said about another probe of the column covers this one."""
    if kind == "absent":
        return {("null", column), ("absent", column)} <= refused
    return kind == "value" and ("unseen", column) in refused


def _sentence(failures: Sequence[Failure], is_refused: bool) -> str:
    first = failures[0].probe
    what = _WORDS.get(first.kind, "")
    names = [each.probe.column for each in failures]
    if first.kind == "value":
        names = [f"{each.probe.column} = {each.probe.value!r:.{_SHOWN_TEXT}}" for each in failures]
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    consequence = (
        "requests with it are refused with 422"
        if is_refused
        else "a request with it is accepted, and its prediction fails"
    )
    listed = f"{', '.join(names[:_SHOWN_COLUMNS])}{more}"
    return f"The pipeline fails on {f'{what} in ' if what else ''}{listed} ({failures[0].reason}): {consequence}."


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _SHOWN_TEXT else f"{line[:_SHOWN_TEXT]}…"
