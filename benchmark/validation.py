"""One row of the benchmark's model: its schema for mlserve and for the hand-written servers."""

from typing import Literal

from pydantic import BaseModel, Field


class RawData(BaseModel):
    """One customer of a bank; every column may be missing."""

    age: float | None = Field(default=None, ge=0, le=130)
    income: float | None = Field(default=None, ge=0)
    balance: float | None = None
    duration: float | None = Field(default=None, ge=0)
    visits: float | None = Field(default=None, ge=0)
    score: float | None = None
    job: Literal["clerk", "driver", "farmer", "nurse", "teacher", "welder"] | None = None
    region: Literal["east", "north", "south", "west"] | None = None
    channel: Literal["branch", "phone", "web"] | None = None
    plan: Literal["basic", "family", "free", "plus", "pro"] | None = None
