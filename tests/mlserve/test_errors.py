import json

import pytest

from mlserve import errors
from mlserve.errors import FieldError, InvalidRows, MlserveError, all_kinds, problem_object

KINDS = all_kinds()


def made(kind: type[MlserveError]) -> MlserveError:
    if issubclass(kind, InvalidRows):
        return kind([FieldError("#/0/age", "must be a number")], 3)
    if issubclass(kind, errors.ArtifactRejected):
        return kind("It is broken.", report={"accepted": False})
    return kind("It is broken.")


def test_it_knows_every_kind() -> None:
    declared = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, MlserveError)}

    assert declared <= set(KINDS)
    assert len(KINDS) == len(set(KINDS))


def test_it_gives_each_kind_a_slug_of_its_own() -> None:
    slugs = [kind.slug for kind in KINDS]

    assert len(slugs) == len(set(slugs))
    assert all(slug.replace("-", "").isalpha() and slug.islower() for slug in slugs)


@pytest.mark.parametrize("part", ["title", "meaning"])
def test_it_describes_each_kind_in_words_of_its_own(part: str) -> None:
    words = [getattr(kind, part) for kind in KINDS]

    assert all(words)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_it_makes_the_members_of_rfc_9457(kind: type[MlserveError]) -> None:
    problem = problem_object(made(kind))

    assert problem["type"] == f"/problems/{kind.slug}"
    assert problem["title"] == kind.title
    assert 400 <= problem["status"] == kind.status < 600
    assert problem["detail"]
    assert json.loads(json.dumps(problem)) == problem


def test_it_lists_the_errors_of_rows_with_their_total() -> None:
    problem = problem_object(made(InvalidRows))

    assert problem["errors"] == [{"pointer": "#/0/age", "detail": "must be a number"}]
    assert problem["total_errors"] == 3
    assert problem["detail"].startswith("3 errors in the rows.")


def test_it_carries_the_report_of_a_rejected_artifact() -> None:
    assert problem_object(made(errors.ArtifactRejected))["report"] == {"accepted": False}
