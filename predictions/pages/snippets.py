"""The request that a page makes, to paste into a shell or a program. Pure."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

# What a number of JavaScript holds exactly.
_MOST_EXACT_INTEGER = 2**53


@dataclass(frozen=True)
class Snippet:
    """`key` is the end of ids on the page."""

    key: str
    language: str
    code: str


def snippets(url: str, record: Mapping[str, Any], outputs: Sequence[str], *, needs_account: bool) -> list[Snippet]:
    """The same request in each language: this record, for these outputs, waiting for the result."""
    address = f"{url}?{urlencode({'outputs': ','.join(outputs)}, safe=',')}"
    return [
        Snippet(key, language, write(address, record, needs_account)) for key, (language, write) in _LANGUAGES.items()
    ]


def _curl(url: str, record: Mapping[str, Any], needs_account: bool) -> str:
    lines = [
        f"curl {shlex.quote(url)}",
        *(['--header "Authorization: Bearer $MLSERVE_TOKEN"'] if needs_account else []),
        "--header 'Content-Type: application/json'",
        "--header 'Prefer: wait=10'",
        f"--data {shlex.quote(json.dumps(record, ensure_ascii=False, indent=2))}",
    ]
    return " \\\n  ".join(lines)


def _python(url: str, record: Mapping[str, Any], needs_account: bool) -> str:
    token = """, "Authorization": f"Bearer {os.environ['MLSERVE_TOKEN']}\"""" if needs_account else ""
    return "\n".join([
        *(["import os", ""] if needs_account else []),
        "import requests",
        "",
        "record = {",
        *(f"    {_literal(name)}: {_literal(value)}," for name, value in record.items()),
        "}",
        "answer = requests.post(",
        f"    {json.dumps(url)},",
        "    json=record,",
        f'    headers={{"Prefer": "wait=10"{token}}},',
        "    timeout=30,",
        ")",
        "print(answer.json())",
    ])  # fmt: skip


def _literal(value: Any) -> str:
    """In Python, with its texts in the quotation marks that the other languages have."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _javascript(url: str, record: Mapping[str, Any], needs_account: bool) -> str:
    text = json.dumps(record, ensure_ascii=False, indent=2)
    # JavaScript would change the number before it is sent.
    is_exact = not any(isinstance(value, int) and abs(value) > _MOST_EXACT_INTEGER for value in record.values())
    made = f"JSON.stringify({text})" if is_exact else json.dumps(json.dumps(record, ensure_ascii=False))
    token = '\n    "Authorization": "Bearer YOUR_TOKEN",' if needs_account else ""
    return "\n".join([
        f"const answer = await fetch({json.dumps(url)}, {{",
        '  method: "POST",',
        f'  headers: {{\n    "Content-Type": "application/json",\n    "Prefer": "wait=10",{token}\n  }},',
        f"  body: {_indented(made)},",
        "});",
        "console.log(await answer.json());",
    ])  # fmt: skip


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


_LANGUAGES = {
    "curl": ("curl", _curl),
    "python": ("Python", _python),
    "javascript": ("JavaScript", _javascript),
}
