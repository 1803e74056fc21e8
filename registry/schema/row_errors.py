"""Find the errors of refused rows, at a cost that grows with the body and with nothing else. Pure.

The validator judges one value at a time here: it copies what it judges into each error, so that a large row in which a
hundred columns are missing would be copied a hundred times.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NoReturn

from mlserve.errors import FieldError, InvalidRows
from registry.schema.options import Options, enum_options, without_enum
from registry.schema.patterns import Effort
from registry.schema.violations import pointer, sentence, type_sentence

MAX_LISTED_ERRORS = 100
# For more wrong values or names, only one that differs in case is named.
_MOST_COMPARISONS = 3

_NO_EFFORT_LEFT = (
    "takes too long to compare with its pattern, together with the others of this request: send fewer rows at a time"
)

Path = tuple[int, ...]


class RowErrors:
    """The errors of rows by the properties of a flat schema.

    `compiled` makes a validator of a property, and `slow` names those that are slow to compare with their patterns.
    """

    def __init__(
        self,
        properties: Mapping[str, dict[str, Any]],
        required: Iterable[str],
        compiled: Callable[[Any], Any],
        slow: Collection[str] = (),
    ) -> None:
        self._properties, self._required, self._compiled = properties, frozenset(required), compiled
        self._slow = frozenset(slow)
        self._rules: dict[str, _Rule] = {}

    def refuse(self, rows: Iterable[tuple[Any, Path]], effort: Effort) -> NoReturn:
        """Raise InvalidRows with the errors of rows, each with the path to it: empty for a single record.

        A wrong value that is not listed counts as one error, whatever else is wrong with it. So does each value of a
        slow column once the effort is spent. A column that the model does not have is one error, at its first row.
        """
        listing = _Listing(effort)
        for row, path in rows:
            if isinstance(row, dict):
                self._add_row(listing, row, path)
            else:
                listing.add(path, lambda: type_sentence(["object"]))
        raise InvalidRows(listing.with_counts(), listing.total)

    def _add_row(self, listing: "_Listing", row: dict[str, Any], path: Path) -> None:
        missing = len(self._required)
        for name, value in row.items():
            missing -= name in self._required
            if name in self._properties:
                self._add_value(listing, self._rule(name), value, (*path, name))
            else:
                listing.add_unknown((*path, name), partial(self._meant, name, listing))
        if missing and not listing.is_full:
            for name in self._properties:
                if name in self._required and name not in row:
                    listing.add((*path, name), lambda: "is required")
                    missing -= 1
        listing.total += missing  # those that were not listed

    def _add_value(self, listing: "_Listing", rule: "_Rule", value: Any, path: tuple[str | int, ...]) -> None:
        if rule.most_characters is not None:
            self._add_slow_value(listing, rule, value, path)
        elif not rule.validator.is_valid(value):
            if listing.is_full:
                listing.total += 1
                return
            for error in rule.validator.iter_errors(value):
                listing.add(path, partial(sentence, error))
        else:
            _add_no_option(listing, rule, value, path)

    def _add_slow_value(self, listing: "_Listing", rule: "_Rule", value: Any, path: tuple[str | int, ...]) -> None:
        """The validator, which lists all errors of a value, would compare a long text with its pattern, too."""
        if isinstance(value, str) and len(value) > (most := rule.most_characters or 0):
            listing.add(path, lambda: f"must have at most {most} characters")
        elif listing.effort.is_spent:
            listing.add(path, lambda: _NO_EFFORT_LEFT)
        elif errors := listing.effort.spent_on(lambda each: list(rule.validator.iter_errors(each)), value):
            for error in errors:
                listing.add(path, partial(sentence, error))
        else:
            _add_no_option(listing, rule, value, path)

    def _meant(self, name: str, listing: "_Listing") -> str:
        return self._names.did_you_mean(name, may_compare=listing.may_compare)

    def _rule(self, name: str) -> "_Rule":
        if name not in self._rules:
            node = self._properties[name]
            most = node["maxLength"] if name in self._slow else None
            self._rules[name] = _Rule(self._compiled(without_enum(node)), enum_options(node), most)
        return self._rules[name]

    @cached_property
    def _names(self) -> Options:
        return Options(self._properties)


@dataclass(frozen=True)
class _Rule:
    """What a column's values must be: all but its enum, its enum, and how long where its pattern is slow."""

    validator: Any
    options: Options | None
    most_characters: int | None


def _add_no_option(listing: "_Listing", rule: _Rule, value: Any, path: tuple[str | int, ...]) -> None:
    if (options := rule.options) is not None and value not in options.values:
        listing.add(path, lambda: options.sentence + options.did_you_mean(value, may_compare=listing.may_compare))


@dataclass
class _Unknown:
    """A column that the model does not have: where it is listed (or would be), what may be meant, how many have it."""

    position: int
    meant: str
    rows: int = 1


@dataclass
class _Listing:
    """All errors counted, the first ones in words: a sentence costs far more than an error."""

    effort: Effort
    errors: list[FieldError] = field(default_factory=list)
    total: int = 0
    comparisons: int = 0
    unknown: dict[str, "_Unknown"] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return len(self.errors) >= MAX_LISTED_ERRORS

    def add(self, path: tuple[str | int, ...], wording: Callable[[], str]) -> None:
        self.total += 1
        if not self.is_full:
            self.errors.append(FieldError(pointer(*path), wording()))

    def add_unknown(self, path: tuple[str | int, ...], meant: Callable[[], str]) -> None:
        """`path` ends with the name of the column."""
        name = str(path[-1])
        if name in self.unknown:
            self.unknown[name].rows += 1
        else:
            self.unknown[name] = _Unknown(len(self.errors), "" if self.is_full else meant())
            self.add(path, lambda: "")

    def with_counts(self) -> list[FieldError]:
        """The errors, now that it is known how many rows have each unknown column."""
        for each in self.unknown.values():
            if each.position < len(self.errors):
                rows = f" (in {each.rows:,} rows)" if each.rows > 1 else ""
                detail = f"is not a column of this model{rows}{each.meant}"
                self.errors[each.position] = FieldError(self.errors[each.position].pointer, detail)
        return self.errors

    def may_compare(self) -> bool:
        """Whether one more wrong text may be compared with all that are allowed."""
        self.comparisons += 1
        return self.comparisons <= _MOST_COMPARISONS
