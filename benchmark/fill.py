"""`python -m benchmark.fill ROWS`: a table as after a month of traffic, for measurements with millions of predictions.

The predictions have ended, with sample rows and answers of registered versions, at times spread over the past 29 days,
so that retention leaves them alone. Each run adds as many.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from predictions.models import Prediction
    from registry.models import ModelVersion

_DAYS = 29
# Of each thousand predictions; the others succeed.
_OTHER_ENDS = {"failed": 6, "canceled": 2, "expired": 1}
_ERROR = (
    '{"type":"/problems/prediction-failed","title":"The model raised an error","status":500,'
    '"detail":"The model could not predict this row: ValueError: Input X contains infinity."}'
)
_MOST_OWNERS = 20
Row = list[Any]


class NothingToFillWith(Exception):
    """No version is registered for which predictions could be generated."""


@dataclass(frozen=True)
class Pattern:
    """Rows of the table that repeat, as the database stores them; repetitions differ in their ids and times only."""

    columns: tuple[str, ...]
    rows: Sequence[Row]


def make_pattern(model: str | None, *, seed: int) -> Pattern:
    """Predictions of all versions, or those of one model, with and without an owner. Raises NothingToFillWith."""
    from predictions.models import Prediction
    from registry.models import ModelVersion

    versions = list(ModelVersion.objects.filter(model__name=model) if model else ModelVersion.objects.all())
    if not versions:
        what = f"The model {model!r} has no version" if model else "No version is registered"
        raise NothingToFillWith(
            f"{what}, so there are no predictions to make up. "
            "Register one first: manage.py upload_model ARTIFACT --model NAME --tag TAG --promote."
        )
    columns = tuple(str(field.column) for field in Prediction._meta.concrete_fields)
    return Pattern(columns, [_stored(each) for each in _predictions(versions, random.Random(seed))])  # noqa: S311


def _predictions(versions: Sequence["ModelVersion"], chance: random.Random) -> Iterator["Prediction"]:
    from django.contrib.auth import get_user_model

    from predictions.models import Prediction

    accounts = get_user_model()._default_manager.order_by("pk").values_list("pk", flat=True)
    owners = [*accounts[:_MOST_OWNERS], None]
    ends = [status for status, count in _OTHER_ENDS.items() for _ in range(count)]
    ends += ["succeeded"] * (1000 - len(ends))
    chance.shuffle(ends)
    for status in ends:
        version, now = chance.choice(versions), datetime.now(UTC)
        inputs, result = _example(version, chance)
        was_answered, was_started = status == "succeeded", status in ("succeeded", "failed")
        yield Prediction(
            version=version, owner_id=chance.choice(owners), status=status, row_count=1, inputs=inputs,
            result=result if was_answered else None, error=_ERROR if status == "failed" else None,
            created_at=now, started_at=now if was_started else None, finished_at=now,
            predict_seconds=chance.uniform(0.003, 0.006) if was_started else None, attempts=int(was_started),
        )  # fmt: skip


def _example(version: "ModelVersion", chance: random.Random) -> tuple[str, str]:
    """One row and its answer as they are stored."""
    from mlserve.http.renderers import dump_json

    rows = version.sample_rows or [version.record_schema.example()]
    number = chance.randrange(len(rows))
    answers = version.golden_outputs.get("predictions") or [0] * len(rows)
    result = {"predictions": [answers[number]], "probabilities": None}
    return dump_json([rows[number]]).decode(), dump_json(result).decode()


def _stored(prediction: "Prediction") -> Row:
    from django.db import connection

    fields = prediction._meta.concrete_fields
    return [field.get_db_prep_save(getattr(prediction, field.attname), connection) for field in fields]


def rows_of(pattern: Pattern, count: int, *, now: datetime, seed: int) -> Iterator[Row]:
    """`count` rows from the oldest to the newest, made one at a time: memory does not grow with `count`."""
    bits = random.Random(seed).getrandbits  # noqa: S311 - these ids protect nothing
    position = {name: place for place, name in enumerate(pattern.columns)}
    pk, created, started, finished = (position[name] for name in ("id", "created_at", "started_at", "finished_at"))
    span = timedelta(days=_DAYS)
    first, first_ms, step_ms = now - span, (now - span).timestamp() * 1000, span / timedelta(milliseconds=1) / count
    first_local, wait = first.replace(tzinfo=None), timedelta(milliseconds=4)
    repeating, repeats = pattern.rows, len(pattern.rows)
    for number in range(count):
        row = repeating[number % repeats].copy()
        after_ms = number * step_ms
        # RFC 9562: milliseconds, the version, 12 random bits, the variant, 62 random bits.
        row[pk] = f"{int(first_ms + after_ms):012x}7{bits(12):03x}{0x8 | bits(2):x}{bits(60):015x}"
        created_at = first_local + timedelta(milliseconds=after_ms)
        row[created] = str(created_at)
        ended = str(created_at + wait)
        if row[started] is not None:
            row[started] = ended
        row[finished] = ended
        yield row


def _insert_into_sqlite(columns: Sequence[str], rows: Iterable[Row]) -> None:
    from django.db import connection, transaction

    marks = ", ".join("?" * len(columns))
    with transaction.atomic():
        # sqlite3's own executemany takes rows one at a time; Django's wants a list of all.
        connection.connection.executemany(
            f"INSERT INTO predictions_prediction ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - our columns
            rows,
        )


def _copy_into_postgresql(columns: Sequence[str], rows: Iterable[Row]) -> None:
    from django.db import connection, transaction

    statement = f"COPY predictions_prediction ({', '.join(columns)}) FROM STDIN"
    with transaction.atomic(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@dataclass(frozen=True)
class _Database:
    """How a database inserts many rows fast, and what it otherwise does by itself minutes later."""

    prepare: str
    insert: Callable[[Sequence[str], Iterable[Row]], None]
    tidy: str


_DATABASES: Mapping[str, _Database] = {
    # The versions and owners were just read, so that nothing needs to look them up for each row.
    "sqlite": _Database("PRAGMA foreign_keys = OFF", _insert_into_sqlite, "PRAGMA wal_checkpoint(TRUNCATE)"),
    "postgresql": _Database(
        "SET synchronous_commit = off", _copy_into_postgresql, "VACUUM (ANALYZE) predictions_prediction"
    ),
}


def fill(count: int, *, model: str | None = None, chunk: int = 100_000, say: Callable[[str], None]) -> None:
    """Insert `count` predictions, `chunk` to a transaction. Raises NothingToFillWith."""
    from django.db import connection

    database = _DATABASES[connection.vendor]
    _execute(database.prepare)
    seed = time.time_ns()  # another one would repeat the ids of an earlier run
    pattern = make_pattern(model, seed=seed)
    rows = rows_of(pattern, count, now=datetime.now(UTC), seed=seed)
    began, done = time.monotonic(), 0
    while done < count:
        size = min(chunk, count - done)
        database.insert(pattern.columns, islice(rows, size))
        done += size
        say(f"{done:,} of {count:,} predictions, {done / (time.monotonic() - began):,.0f}/s")
    _execute(database.tidy)


def _execute(statement: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)


def _positive(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < 1:
        raise ValueError(text)
    return number


def main() -> int:
    """Exit status: 0, or 1 when no version is registered."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.fill",
        description="Adds ended predictions of the registered versions to the database that DATABASE_URL names.",
    )
    parser.add_argument("rows", type=_positive, metavar="ROWS", help="how many to add, as 10000000 or 10_000_000")
    parser.add_argument(
        "--chunk", type=_positive, default=100_000, metavar="N", help="rows per transaction: %(default)s"
    )
    parser.add_argument("--model", metavar="NAME", help="of this model's versions alone")
    options = parser.parse_args()

    import django

    from mlserve.conf.dotenv import load_dotenv_once

    load_dotenv_once()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
    django.setup()
    try:
        fill(options.rows, model=options.model, chunk=options.chunk, say=lambda line: print(line, file=sys.stderr))
    except NothingToFillWith as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
