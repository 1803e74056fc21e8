"""Values `ssm:/name` of environment variables, replaced by what AWS's Parameter Store holds under that name.

So a function's configuration, which many may read, holds no secret. Where no variable asks for it nothing is imported.
"""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

_PREFIX = "ssm:"
# What GetParameters takes at once.
_MOST_AT_ONCE = 10
# A start that hangs is worse than one that fails.
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 5, 3


def resolved(variables: Mapping[str, str]) -> Mapping[str, str]:
    """`variables` with values in place of names. Raises ImproperlyConfigured, which never holds a value.

    Cost: nothing, or about 0.2 s when a variable asks for it.
    """
    asked = {
        variable: value.strip().removeprefix(_PREFIX)
        for variable, value in variables.items()
        if value.strip().startswith(_PREFIX)
    }
    if not asked:
        return variables
    names = sorted(set(asked.values()))
    found: dict[str, str] = {}
    for start in range(0, len(names), _MOST_AT_ONCE):
        found.update(_fetched(names[start : start + _MOST_AT_ONCE], asked))
    if lacking := [f"{variable} ({name})" for variable, name in asked.items() if name not in found]:
        raise ImproperlyConfigured(
            f"The Parameter Store has no value for {', '.join(lacking)}: `aws ssm put-parameter --type SecureString` "
            "makes one, in the region of this process."
        )
    return {**variables, **{variable: found[name] for variable, name in asked.items()}}


def _fetched(names: list[str], asked: Mapping[str, str]) -> dict[str, str]:
    """Those of `names` that are there."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = _client().get_parameters(Names=names, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        wanted = ", ".join(f"{variable} ({name})" for variable, name in asked.items() if name in names)
        raise ImproperlyConfigured(f"The Parameter Store did not give {wanted}: {error}") from error
    return {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}


def _client() -> Any:
    import botocore.session
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries=retries)
    return botocore.session.get_session().create_client("ssm", config=config)
