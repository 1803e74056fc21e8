"""Wheels that pip took for the machine that builds, and that Lambda's older system cannot load."""

import pytest

from deployment.platforms import problem_of

NUMPY = "Tag: cp313-cp313-manylinux_2_27_x86_64\nTag: cp313-cp313-manylinux_2_28_x86_64\n"


@pytest.mark.parametrize(
    ("wheel", "python"),
    [
        (NUMPY, (3, 13)),
        ("Tag: py3-none-any\n", (3, 11)),
        ("Tag: cp311-cp311-manylinux2014_x86_64\n", (3, 11)),
        ("Tag: cp311-cp311-manylinux_2_17_aarch64\nTag: cp311-cp311-manylinux2014_aarch64\n", (3, 11)),
    ],
)
def test_it_takes_what_lambda_can_load(wheel: str, python: tuple[int, int]) -> None:
    assert problem_of("numpy", wheel, python) == ""


def test_it_refuses_a_wheel_for_a_newer_system() -> None:
    assert problem_of("numpy", NUMPY, (3, 11)) == (
        "numpy needs glibc 2.27, Lambda's Python 3.11 has 2.26: make PYTHON=python3.13 package"
    )


@pytest.mark.parametrize("tag", ["cp313-cp313-macosx_14_0_arm64", "cp313-cp313-linux_x86_64"])
def test_it_refuses_what_was_built_for_this_machine_only(tag: str) -> None:
    assert problem_of("numpy", f"Tag: {tag}\n", (3, 13))
