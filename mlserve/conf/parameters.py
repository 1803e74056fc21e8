"""Replace values `ssm:/name` of environment variables by what AWS's Parameter Store holds under that name.

So the configuration of a function, which many people may read, holds no secret. Nothing is imported without such a
value.
"""

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

_PREFIX = "ssm:"
# GetParameters takes no more names in one call.
_MOST_AT_ONCE = 10
# A start that fails is better than one that hangs.
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 5, 3


def resolved(variables: Mapping[str, str]) -> Mapping[str, str]:
    """`variables` with values in place of names. Raises ImproperlyConfigured, which never holds a value.

    Cost: nothing, or about 0.2 s when a variable names a parameter.
    """
    stripped = {variable: value.strip() for variable, value in variables.items()}
    named = {variable: value[len(_PREFIX) :] for variable, value in stripped.items() if value.startswith(_PREFIX)}
    if not named:
        return variables
    found = _fetched(named)
    if lacking := [f"{variable} ({name})" for variable, name in named.items() if name not in found]:
        raise ImproperlyConfigured(
            f"The Parameter Store has no value for {', '.join(lacking)}: `aws ssm put-parameter --type SecureString` "
            "makes one, in the region of this process."
        )
    return {**variables, **{variable: found[name] for variable, name in named.items()}}


def _fetched(named: Mapping[str, str]) -> dict[str, str]:
    """The values of those parameters that exist, by name."""
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries=retries)
    names, found = sorted(set(named.values())), {}
    try:
        client = botocore.session.get_session().create_client("ssm", config=config)
        for start in range(0, len(names), _MOST_AT_ONCE):
            answer = client.get_parameters(Names=names[start : start + _MOST_AT_ONCE], WithDecryption=True)
            found.update({each["Name"]: each["Value"] for each in answer["Parameters"]})
    except (BotoCoreError, ClientError) as error:
        wanted = ", ".join(f"{variable} ({name})" for variable, name in named.items())
        raise ImproperlyConfigured(f"The Parameter Store did not give {wanted}: {error}") from error
    return found
