"""compose.yaml as Compose reads it: variables put in, an environment and a command for each service."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dotenv
import yaml

_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


class NotSet(Exception):
    """A variable that the file requires; the message is the file's own."""


def read(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Raises NotSet."""
    found: dict[str, Any] = _filled(yaml.safe_load(path.read_text("utf-8")), variables)
    return found


def environment_of(service: Mapping[str, Any], variables_file: Path) -> dict[str, str]:
    """`environment` wins over `env_file`."""
    from_file = values_of(variables_file) if "env_file" in service else {}
    return {**from_file, **service.get("environment", {})}


def values_of(variables_file: Path) -> dict[str, str]:
    return {name: value or "" for name, value in dotenv.dotenv_values(variables_file).items()}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return _VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, rule, rest = found.groups()
    if name is None:
        return "$"
    value = variables.get(name, "")
    if not value and rule and rule.endswith("?"):
        raise NotSet(f"{name}: {rest}")
    return value or (rest if rule and rule.endswith("-") else "")
