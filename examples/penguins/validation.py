"""The schema of one raw row of penguins, before any preprocessing.

The limits refuse slips of the pen, such as centimetres for millimetres; they are wider than any
penguin of these species. A value that is only outside the training data causes a warning.
"""

from typing import Literal

from pydantic import BaseModel, Field


class RawData(BaseModel):
    """One penguin as measured in the field; what was not measured is null."""

    island: Literal["Biscoe", "Dream", "Torgersen"] = Field(
        title="Island",
        description="Island of the Palmer Archipelago where the penguin nests.",
        examples=["Biscoe"],
    )
    bill_length_mm: float | None = Field(
        default=None,
        ge=20,
        le=80,
        title="Bill length (mm)",
        description="Length of the bill's upper ridge, in millimetres.",
        examples=[46.1],
    )
    bill_depth_mm: float | None = Field(
        default=None,
        ge=8,
        le=35,
        title="Bill depth (mm)",
        description="Depth of the bill at its base, in millimetres.",
        examples=[13.2],
    )
    flipper_length_mm: float | None = Field(
        default=None,
        ge=120,
        le=300,
        title="Flipper length (mm)",
        description="Length of the flipper, in millimetres.",
        examples=[211],
    )
    body_mass_g: float | None = Field(
        default=None,
        ge=1500,
        le=9000,
        title="Body mass (g)",
        description="Body mass, in grams.",
        examples=[4500],
    )
    sex: Literal["female", "male"] | None = Field(
        default=None,
        title="Sex",
        description="Sex of the penguin, where it could be determined.",
        examples=["female"],
    )
    year: int = Field(
        ge=1990,
        le=2100,
        title="Year",
        description="Year of the measurement.",
        examples=[2007],
    )
