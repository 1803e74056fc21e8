"""What the hand-written servers store, if DATABASE_URL is set: one row for each request, by a connection per thread."""

import os
import threading
from typing import Any
from uuid import UUID

import orjson
import psycopg

URL = os.environ.get("DATABASE_URL", "")
_CREATE = """
    CREATE TABLE predictions (
        id uuid PRIMARY KEY, inputs text NOT NULL, predictions text, created_at timestamptz NOT NULL DEFAULT now()
    )
"""
_mine = threading.local()


def create_table(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_CREATE)


def insert(prediction_id: UUID, inputs: Any, predictions: list[str] | None = None) -> None:
    """Without `predictions` while they are not known yet."""
    result = None if predictions is None else _text(predictions)
    _execute(
        "INSERT INTO predictions (id, inputs, predictions) VALUES (%s, %s, %s)", prediction_id, _text(inputs), result
    )


def finish(prediction_id: UUID, predictions: list[str]) -> None:
    _execute("UPDATE predictions SET predictions = %s WHERE id = %s", _text(predictions), prediction_id)


def find(prediction_id: UUID) -> list[str] | None:
    """None while the predictions are not there."""
    row = _execute("SELECT predictions FROM predictions WHERE id = %s", prediction_id).fetchone()
    return orjson.loads(row[0]) if row and row[0] is not None else None


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _execute(statement: str, *parameters: Any) -> "psycopg.Cursor[tuple[Any, ...]]":
    """Each statement is a transaction of its own, and prepared from its first use on."""
    if not hasattr(_mine, "connection"):
        _mine.connection = psycopg.connect(URL, autocommit=True, prepare_threshold=0)
    cursor: psycopg.Cursor[tuple[Any, ...]] = _mine.connection.execute(statement, parameters)
    return cursor
