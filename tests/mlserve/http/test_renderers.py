import json
from typing import Any

import pytest

from mlserve.http.renderers import BrowsableRenderer, OrjsonRenderer, dump_json


@pytest.mark.parametrize(
    "value",
    [
        {"label": "größer", "rows": [1, 2.5, None, True]},
        {"id": 2**64},
        [-(2**70), 1.5],
        {"digits": int("9" * 300)},
        {"key": {"nested": [2**100]}},
    ],
)
def test_it_writes_what_json_reads_back(value: Any) -> None:
    assert json.loads(dump_json(value)) == value


@pytest.mark.parametrize("value", [{"a": [1, 2]}, {"a": 2**80}])
def test_it_writes_compactly(value: Any) -> None:
    assert b" " not in dump_json(value)


@pytest.mark.parametrize("value", [{"a": 1}, {"a": 2**80}])
def test_it_indents_for_browsers(value: Any) -> None:
    written: Any = BrowsableRenderer().get_default_renderer(None).render(value)

    assert written.startswith(b'{\n  "a": ')
    assert json.loads(written) == value


def test_it_writes_nothing_for_nothing() -> None:
    assert OrjsonRenderer().render(None) == b""
