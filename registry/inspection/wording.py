"""How a report names the fields of an upload, where it is shown. Pure.

Its texts are written for the API, with a field's name in backticks (`sample`), and stored so; a shell has an option
instead (--sample) and the admin a label (“Sample”).
"""

import re
from collections.abc import Mapping

_FIELD = re.compile(
    "`(schema|schema_class|sample|form|expected|expected_column|allow_other_versions|title|metric|notes)`"
)


def in_shell(text: str) -> str:
    return _FIELD.sub(lambda match: f"--{match[1].replace('_', '-')}", text)


def on_page(text: str, labels: Mapping[str, str]) -> str:
    """`labels`: what the page's form calls each field."""
    return _FIELD.sub(lambda match: f"“{labels.get(match[1], match[1])}”", text)
